import { StrakeError } from '../../errors/index.ts'
import { type BytePath, textPath } from './entry.ts'

export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

export function invalid(path: BytePath, why: string, cause?: unknown): StrakeError {
  return new StrakeError('context_invalid', `${textPath(path) || '.'} in the build context ${why}`, {
    cause,
    details: { path: textPath(path) },
  })
}

export function escapes(path: BytePath): StrakeError {
  return new StrakeError('path_escapes', `${textPath(path)} is a link that leads out of the build context`, {
    hint: 'copy what it points to into the context, or choose a context directory that holds both',
    details: { path: textPath(path) },
  })
}

export function changed(path: BytePath, cause?: unknown): StrakeError {
  return invalid(path, 'changed while it was read', cause)
}

/** What a failed system call says of a path that was there a moment ago. */
export function unreadable(path: BytePath, error: unknown): StrakeError {
  if (error instanceof StrakeError) return error
  const errno = errnoOf(error)
  if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL', 'ESTALE'].includes(errno)) return changed(path, error)
  return invalid(path, errno === 'EACCES' ? 'may not be read by this user' : `cannot be read (${errno})`, error)
}
