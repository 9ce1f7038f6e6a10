import { posix } from 'node:path'
import { optionCheck, StrakeError } from '../../errors/index.ts'
import { checkText, checkUser, invalidArgument } from '../argument.ts'
import type { CopySource, CopyStep, MemoryFile } from '../step.ts'
import { type BaseInput, baseOf } from './from.ts'

/** Files from memory: paths below the destination, and what is in each (mode 0644 unless told). */
export type MemoryFiles = Readonly<Record<string, string | Uint8Array | { readonly content: string | Uint8Array; readonly mode?: number }>>

export interface CopyOptions {
  /** Take the paths from another image's files instead of the context. */
  readonly from?: BaseInput
  /** `user`, `uid`, `user:group` or `uid:gid`; names are looked up in the image that is built. Default: root, or the owner in `from`. */
  readonly chown?: string | number
  /** Permissions of every file and directory copied, such as `0o755`. Default: the source's. */
  readonly chmod?: number
}

const checkCopyOptions = optionCheck<CopyOptions>('copy', { from: true, chown: true, chmod: true })
const checkFileNames = optionCheck<{ readonly content: unknown; readonly mode: unknown }>('a file of copy', { content: true, mode: true })

function checkMode(argument: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0o7777)
    throw invalidArgument(argument, 'must be a mode between 0 and 0o7777')
  return value
}

function bytesOf(argument: string, content: unknown): Uint8Array {
  if (typeof content === 'string') return Buffer.from(content)
  if (content instanceof Uint8Array) return Uint8Array.from(content)
  throw invalidArgument(argument, 'must be a string or a Uint8Array')
}

/** `path` without `.`, empty names and a leading slash; `path_escapes` when it leads above where it starts. */
export function relativePath(argument: string, path: string): string {
  const normal = posix.normalize(checkText(argument, path))
  if (normal === '..' || normal.startsWith('../')) {
    throw new StrakeError('path_escapes', `${argument}: ${JSON.stringify(path)} leads out of its directory`, {
      details: { argument, path },
    })
  }
  return normal.replace(/^\/+/, '').replace(/\/$/, '') || '.'
}

function memoryFiles(files: MemoryFiles): MemoryFile[] {
  return Object.entries(files).map(([name, file]): MemoryFile => {
    const path = relativePath('copy', name)
    if (path === '.' || name.endsWith('/')) throw invalidArgument('copy', `has a file without a name: ${JSON.stringify(name)}`)
    const argument = `copy[${JSON.stringify(name)}]`
    if (typeof file === 'string' || file instanceof Uint8Array)
      return Object.freeze({ path, content: bytesOf(argument, file), mode: 0o644 })
    if (typeof file !== 'object' || file === null) throw invalidArgument(argument, 'must be a string, a Uint8Array or { content, mode }')
    checkFileNames(file)
    return Object.freeze({
      path,
      content: bytesOf(`${argument}.content`, file.content),
      mode: file.mode === undefined ? 0o644 : checkMode(`${argument}.mode`, file.mode),
    })
  })
}

/** A path as it was given, checked; a trailing slash or `/.` keeps its meaning of "a directory". */
function checkSourcePath(path: unknown): string {
  const text = checkText('copy', path)
  return relativePath('copy', text)
}

function sourceOf(source: string | readonly string[] | MemoryFiles, from: BaseInput | undefined): CopySource {
  if (typeof source === 'string' || Array.isArray(source)) {
    const given: readonly string[] = typeof source === 'string' ? [source] : source
    if (given.length === 0) throw invalidArgument('copy', 'needs at least one path')
    const paths = Object.freeze(given.map(checkSourcePath))
    return Object.freeze(from === undefined ? { kind: 'context', paths } : { kind: 'image', base: baseOf('from', from), paths })
  }
  if (typeof source !== 'object' || source === null) throw invalidArgument('copy', 'must be a path, paths, or an object of files')
  if (from !== undefined) throw invalidArgument('from', 'goes with paths, not with files from memory')
  return Object.freeze({ kind: 'memory', files: Object.freeze(memoryFiles(source as MemoryFiles)) })
}

/** A copy as data. Several paths need a destination that ends in `/` (or is `.`), as in a Dockerfile. */
export function copyStep(source: string | readonly string[] | MemoryFiles, destination: string, options: CopyOptions = {}): CopyStep {
  checkCopyOptions(options)
  const { from, chown, chmod } = options
  const target = checkText('destination', destination)
  const normal = sourceOf(source, from)
  const isDirectory = /(^|\/)\.{0,2}$/.test(target)
  if (normal.kind !== 'memory' && normal.paths.length > 1 && !isDirectory) {
    throw invalidArgument('destination', `must end in "/" when several paths are copied: ${JSON.stringify(target)}`)
  }
  return Object.freeze({
    kind: 'copy',
    source: normal,
    destination: target,
    ...(chown === undefined ? {} : { chown: checkUser('chown', chown) }),
    ...(chmod === undefined ? {} : { chmod: checkMode('chmod', chmod) }),
  })
}
