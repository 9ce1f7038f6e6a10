import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { StrakeError } from '../errors/index.ts'
import { failedWith } from './files.ts'

const shortPiece = 64 * 1024

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isFIFO()) return 'a fifo'
  return stats.isSocket() ? 'a socket' : 'a device'
}

/**
 * Opens a file that a caller has named, or that lies in a directory of others, to be read from its beginning to its end. Never waits: open(2) of a fifo
 * does, until somebody writes to it. What is no file rejects as `refused` has it; a pipe that this process was given (`/dev/stdin`, the `/dev/fd/63` of a
 * shell's `<(…)`) is read like one.
 *
 * @param refused told what it is instead: `a directory`, `a fifo`, `a socket`, `a device`
 */
export async function openGiven(path: string, refused: (kind: string) => Error): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw failedWith(error, 'ENXIO') ? refused('a socket') : error
  })
  let isTaken = false
  try {
    const stats = await handle.stat()
    if (stats.isFile()) {
      isTaken = true
      return handle
    }
    const own = `/proc/self/fd/${handle.fd}`
    // Opened once more, without O_NONBLOCK: of a pipe without a name that waits for nobody, and reads of it do.
    if (stats.isFIFO() && (await readlink(own)).startsWith('pipe:')) return await open(own, constants.O_RDONLY)
    throw refused(kindOf(stats))
  } finally {
    if (!isTaken) await handle.close()
  }
}

/** The bytes of such a file; it is opened when the first are asked for. Fails as `openGiven` does, and as reads do. */
export async function* readGiven(path: string, refused: (kind: string) => Error): AsyncGenerator<Buffer, void, void> {
  const handle = await openGiven(path, refused)
  for await (const piece of handle.createReadStream({ highWaterMark: 512 * 1024 })) yield piece as Buffer
}

/** All of such a short file, or its first `most` bytes and one more where it is longer. Fails as `readGiven` does. */
export async function readShort(path: string, most: number, refused: (kind: string) => Error): Promise<Buffer> {
  const handle = await openGiven(path, refused)
  try {
    const pieces: Buffer[] = []
    for (let left = most + 1; left > 0; ) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(left, shortPiece)))
      if (bytesRead === 0) break
      pieces.push(buffer.subarray(0, bytesRead))
      left -= bytesRead
    }
    return Buffer.concat(pieces)
  } finally {
    await handle.close()
  }
}

/** The same, at once. */
export function readShortSync(path: string, most: number, refused: (kind: string) => Error): Buffer {
  const fd = openGivenSync(path, refused)
  try {
    const pieces: Buffer[] = []
    for (let left = most + 1; left > 0; ) {
      const piece = Buffer.allocUnsafe(Math.min(left, shortPiece))
      const length = readSync(fd, piece)
      if (length === 0) break
      pieces.push(piece.subarray(0, length))
      left -= length
    }
    return Buffer.concat(pieces)
  } finally {
    closeSync(fd)
  }
}

function openGivenSync(path: string, refused: (kind: string) => Error): number {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw failedWith(error, 'ENXIO') ? refused('a socket') : error
  }
  let isTaken = false
  try {
    const stats = fstatSync(fd)
    isTaken = stats.isFile()
    if (isTaken) return fd
    const own = `/proc/self/fd/${fd}`
    if (stats.isFIFO() && readlinkSync(own).startsWith('pipe:')) return openSync(own, constants.O_RDONLY)
    throw refused(kindOf(stats))
  } finally {
    if (!isTaken) closeSync(fd)
  }
}

/** What to do about a file that cannot be opened or read. */
export function hintOfRead(error: unknown): string {
  if (error instanceof StrakeError && error.hint !== undefined) return error.hint
  if (failedWith(error, 'ENOENT', 'ENOTDIR')) return 'paths are relative to the working directory of the process'
  if (failedWith(error, 'EACCES', 'EPERM'))
    return 'this user may not read it: run as one who may, or let its owner chmod it and the directories above'
  if (failedWith(error, 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'))
    return 'a path has no NUL and less than 4096 bytes, a name in it at most 255'
  if (failedWith(error, 'ELOOP')) return 'its symbolic links lead in a circle'
  return 'the `cause` says what the system answered; `dmesg` may tell more of a disk or a network file system'
}
