import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { invalidOption, isRecord, kindOfValue, onAbort, StrakeError } from '../errors/index.ts'
import { checkCompression, compress, type LayerCompression } from '../layers/index.ts'
import { failedWith, ownedName, writing } from '../store/index.ts'
import { abortable, checkAborted } from './abortable.ts'
import { tryFlock } from './flock.ts'
import { sweepLeftovers } from './leftovers.ts'
import { openSpecial, writeDevice } from './special-file.ts'

/** A file, which is replaced as a whole (a device or a fifo is written to), or a stream, which is ended. */
export type SaveTarget = string | Writable

export type Compress = LayerCompression | 'none'

/** Refuses what cannot be written to, before anything is read. Throws `invalid_argument`. */
export function checkTarget(target: unknown): void {
  if (
    typeof target === 'string' ? target !== '' : isRecord(target) && typeof target.pipe === 'function' && typeof target.write === 'function'
  )
    return
  throw invalidOption(`It is written to the path of a file, or to a stream, not to ${target === '' ? "''" : kindOfValue(target)}.`)
}

const pieceSize = 512 * 1024

/**
 * Writes bytes as they come, compressed or not. The file is there whole or not at all. The signal ends it at any point, whatever it waits for: a stream is
 * destroyed then, as by every failure. Rejects with `aborted`, `invalid_argument`, `store_full`, `output_failed`.
 */
export async function writeOut(
  target: SaveTarget,
  bytes: AsyncIterable<Uint8Array>,
  options: { readonly compress?: Compress | undefined; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { signal } = options
  const pieces = abortable(compressed(bytes, options.compress ?? 'none'), signal, 'saving')
  if (typeof target === 'string') await writing(() => writeFile(target, pieces, signal), target.slice(0, 200))
  else await writing(() => writeStream(target, pieces, signal), 'what it is written to')
}

async function writeStream(target: Writable, pieces: AsyncGenerator<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  const ending = new AbortController()
  const stop = onAbort(signal, () => ending.abort(signal?.reason))
  if (signal?.aborted) ending.abort(signal.reason)
  try {
    await pipeline(Readable.from(pieces, { objectMode: false, highWaterMark: pieceSize }), target, { signal: ending.signal })
  } catch (cause) {
    if (failedWith(cause, 'ABORT_ERR')) checkAborted(signal, 'saving')
    throw streamFailure(target, cause)
  } finally {
    stop()
    // What is being read comes to its end before what it is read from does.
    await pieces.return(undefined).catch(() => undefined)
  }
}

function streamFailure(target: Writable, cause: unknown): unknown {
  const isClosed = failedWith(cause, 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED')
  // Not of the bytes, and not a disk that is full.
  if (!(cause === target.errored || isClosed) || cause instanceof StrakeError || failedWith(cause, 'ENOSPC', 'EDQUOT')) return cause
  const why = isClosed ? 'was closed before its end' : 'failed'
  return new StrakeError('output_failed', `the stream that is written to ${why}`, { cause })
}

async function writeFile(target: string, pieces: AsyncGenerator<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  const found = await stat(target).catch((cause: unknown) => {
    if (failedWith(cause, 'ENOENT')) return undefined
    throw notWritable(target, cause)
  })
  if (found?.isDirectory()) throw new StrakeError('invalid_argument', `${target} is a directory`, { hint: 'name a file in it' })
  // A device, a fifo or an open file of the process (/dev/stdout) is written to; nothing may take its place.
  if (found && !found.isFile()) return await writeSpecial(target, found.isFIFO(), pieces, signal)
  const path = found ? await realpath(target) : target
  const start = `.${basename(path).slice(0, 100)}.`
  await sweepLeftovers(dirname(path), start)
  const temporary = join(dirname(path), `${start}${ownedName()}`)
  try {
    const handle = await opened(temporary, target)
    // Says that somebody is writing it, to those who cannot see this process.
    tryFlock(handle.fd)
    await writeTo(handle, pieces)
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function writeSpecial(
  target: string,
  isFifo: boolean,
  pieces: AsyncGenerator<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const special = await openSpecial(target, isFifo, signal).catch((cause: unknown) => {
    throw cause instanceof StrakeError ? cause : notWritable(target, cause)
  })
  if (typeof special === 'number') await writeDevice(special, pieces, signal)
  else await writeStream(special, pieces, signal)
}

async function opened(path: string, shown: string): Promise<FileHandle> {
  return await open(path, 'wx', 0o666).catch((cause: unknown) => {
    throw failedWith(cause, 'ENOSPC', 'EDQUOT') ? cause : notWritable(shown, cause)
  })
}

function notWritable(target: string, cause: unknown): StrakeError {
  return new StrakeError('invalid_argument', `${target} cannot be written`, { cause })
}

async function writeTo(handle: FileHandle, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) at += (await handle.write(piece, at)).bytesWritten
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Of the layers' compressor, on all processors. */
function compressed(bytes: AsyncIterable<Uint8Array>, kind: Compress): AsyncIterable<Uint8Array> {
  if (kind === 'none') return bytes
  if (kind !== 'gzip' && kind !== 'zstd')
    throw new StrakeError('invalid_argument', `not a compression: ${JSON.stringify(kind)}`, { hint: "'none', 'gzip' or 'zstd'" })
  checkCompression(kind)
  return compress(bytes, kind)
}
