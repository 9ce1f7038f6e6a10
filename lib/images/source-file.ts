import { stat } from 'node:fs/promises'
import { StrakeError } from '../errors/index.ts'
import { failedWith, hintOfRead, readGiven, storeError } from '../store/index.ts'

const longestShown = 200

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

/** The bytes of a file that holds an image. It is opened when they are asked for. Fails with `image_not_found`, `invalid_argument`, `limit_exceeded`. */
export async function* sourceFile(
  path: string,
  refused: (kind: string) => Error = (kind) => noFile(path, kind),
): AsyncGenerator<Buffer, void, void> {
  try {
    yield* readGiven(path, refused)
  } catch (error) {
    throw unreadable(path, error)
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
