import { constants, openSync } from 'node:fs'
import { type FileHandle, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { onAbort, StrakeError } from '../errors/index.ts'
import { failedWith, hintOfRead, openGiven, readGiven, storeError } from '../store/index.ts'
import { abortable, abortedBy } from './abortable.ts'

const longestShown = 200
const pieceSize = 512 * 1024

function shown(path: string): string {
  return JSON.stringify(path.length > longestShown ? `${path.slice(0, longestShown)}…` : path).slice(1, -1)
}

/** What is said of a path that an image was to be read from: `image_not_found`, `limit_exceeded`, `invalid_argument`; what is told already stays. */
export function unreadable(path: string, cause: unknown): unknown {
  if (failedWith(cause, 'ENOENT', 'ENOTDIR'))
    return new StrakeError('image_not_found', `there is nothing at ${shown(path)}`, {
      cause,
      hint: path === '/' ? undefined : hintOfRead(cause),
    })
  const told = storeError(cause, shown(path))
  if (told instanceof StrakeError) return told
  // Anything else is a fault of ours, and looks like one.
  if (!(cause instanceof Error && 'code' in cause)) return cause
  return new StrakeError('invalid_argument', `${shown(path)} cannot be read`, { cause, hint: hintOfRead(cause) })
}

function noFile(path: string, kind: string): StrakeError {
  return new StrakeError('invalid_argument', `${shown(path)} is ${kind}, not a file`, {
    hint:
      kind === 'a directory'
        ? "a root directory is for image('dir/'), an OCI layout for images.load('dir') and image('oci:dir')"
        : 'write what comes from it into a file first; a pipe can be given as /dev/stdin',
  })
}

/**
 * The bytes of a file that holds an image. It is opened when they are asked for. Fails with `image_not_found`, `invalid_argument`, `limit_exceeded`, and with
 * `aborted` as soon as the signal is, though nothing may come any more from a pipe.
 */
export async function* sourceFile(
  path: string,
  refused: (kind: string) => Error = (kind) => noFile(path, kind),
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  try {
    if (signal === undefined) yield* readGiven(path, refused)
    else yield* abortable(readUntil(signal, path, refused), signal, 'reading an image')
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** Ends as soon as the signal is aborted, which a read of a pipe that waits in libuv's pool would not: pipes are read by the event loop. */
async function* readUntil(signal: AbortSignal, path: string, refused: (kind: string) => Error): AsyncGenerator<Buffer, void, void> {
  const handle = await openGiven(path, refused)
  const stream = (await handle.stat()).isFIFO() ? await pipeOf(handle) : handle.createReadStream({ highWaterMark: pieceSize })
  const stop = onAbort(signal, () => stream.destroy(abortedBy(signal, 'reading an image')))
  try {
    if (signal.aborted) stream.destroy()
    else for await (const piece of stream) yield piece as Buffer
  } finally {
    stop()
  }
}

async function pipeOf(handle: FileHandle): Promise<Socket> {
  try {
    return new Socket({ fd: openSync(`/proc/self/fd/${handle.fd}`, constants.O_RDONLY | constants.O_NONBLOCK), writable: false })
  } finally {
    await handle.close()
  }
}

/** What there is at a path. Rejects as `sourceFile` fails. */
export async function kindOfPath(path: string): Promise<'file' | 'directory'> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file'
  } catch (error) {
    throw unreadable(path, error)
  }
}
