import { posix } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { storeError } from '../store/index.ts'

const words: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'a part of it is no directory',
  EISDIR: 'it is a directory',
  ELOOP: 'too many symbolic links lead to it',
  EACCES: 'permission denied',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'the name is too long',
  ENOSPC: 'no space is left',
}

function hintFor(errno: string, path: string): string | undefined {
  const above = JSON.stringify(posix.dirname(path))
  if (errno === 'ENOENT' && /^\/proc(\/|$)/.test(path))
    return `/proc is seen by processes of the container only: c.exec(['cat', '/proc/…']).`
  if (errno === 'ENOENT') return `c.fs.list(${above}) tells what is there, if it is.`
  if (errno === 'ENOTDIR') return `c.fs.stat(${above}) tells what is there.`
  if (errno === 'EISDIR') return `c.fs.list(${JSON.stringify(path)}) tells what is in it.`
  if (errno === 'EROFS') return 'The container was started with { readonly: true }, or the path is in a mount that is not to be written.'
  return undefined
}

/** A failure of reading or writing a file that is open already. */
export function explainUse(error: unknown, path: string): unknown {
  if (error instanceof StrakeError || !(error instanceof Error) || !('code' in error)) return error
  const { code: errno, syscall } = error as NodeJS.ErrnoException
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new StrakeError('store_full', `${path.slice(0, 200)}: ${words.ENOSPC}.`, {
      hint: 'The container writes to the store: make room on its file system.',
      cause: error,
    })
  }
  if (errno === 'EFBIG') return storeError(error, path.slice(0, 200))
  return new StrakeError('kernel_refused', `${path.slice(0, 200)}: ${errno}, ${words[String(errno)] ?? 'the kernel refused it'}.`, {
    cause: error,
    details: { op: syscall, errno },
  })
}

/** A failure of an op on a file, in the words of who gave the path. Its code and details stay. */
export function explainFile(error: unknown, path: string): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const errno = String(error.details?.errno)
  const why = words[errno]
  if (why === undefined || error.details?.op === 'join') return error
  return new StrakeError('kernel_refused', `${path.slice(0, 200)}: ${errno}, ${why}.`, {
    hint: hintFor(errno, path.slice(0, 200)),
    cause: error,
    details: error.details,
  })
}
