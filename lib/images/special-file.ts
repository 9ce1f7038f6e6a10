import { closeSync, constants, fstatSync, openSync, write } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { failedWith } from '../store/index.ts'
import { checkAborted } from './abortable.ts'

const longestPause = 32
const writeSome = promisify(write)

/**
 * Opens what is no regular file: a fifo (a stream), or a device (its descriptor, the caller's to close). A fifo is waited for until somebody reads it. As
 * nothing here waits inside a system call, whatever it waits for can be ended by the signal, and keeps none of libuv's threads.
 */
export async function openSpecial(path: string, isFifo: boolean, signal: AbortSignal | undefined): Promise<Writable | number> {
  const fd = await patiently(() => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY), isFifo, signal)
  let isTaken = false
  try {
    const stream = fstatSync(fd).isFIFO() ? new Socket({ fd, readable: false, writable: true }) : undefined
    isTaken = true
    return stream ?? fd
  } finally {
    if (!isTaken) closeSync(fd)
  }
}

/** Writes to a device as much as it takes, and waits while it takes nothing: a terminal that was stopped (termios(3), XOFF). Closes it. */
export async function writeDevice(fd: number, pieces: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  try {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) at += await patiently(async () => (await writeSome(fd, piece, at)).bytesWritten, false, signal)
    }
  } finally {
    closeSync(fd)
  }
}

/** Tries again for as long as the answer is "not now": EAGAIN, and of a fifo that nobody has opened to read ENXIO (fifo(7)). */
async function patiently<T>(attempt: () => T | Promise<T>, isFifo: boolean, signal: AbortSignal | undefined): Promise<T> {
  for (let pause = 1; ; pause = Math.min(pause * 2, longestPause)) {
    checkAborted(signal, 'saving')
    try {
      return await attempt()
    } catch (error) {
      if (!failedWith(error, 'EAGAIN') && !(isFifo && failedWith(error, 'ENXIO'))) throw error
    }
    await sleep(pause)
  }
}
