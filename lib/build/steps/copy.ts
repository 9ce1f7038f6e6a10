import { posix } from 'node:path'
import { isRecord, kindOfValue, optionCheck, StrakeError } from '../../errors/index.ts'
import { checkText, checkUser, invalidArgument } from '../argument.ts'
import { isSymbolicMode } from '../files/mode.ts'
import type { CopySettings, CopySource, CopyStep, FileMode, MemoryFile } from '../step.ts'
import { type BaseInput, baseOf } from './from.ts'

/** Files from memory: paths below the destination, and what is in each (mode 0644 unless told). */
export type MemoryFiles = Readonly<Record<string, string | Uint8Array | { readonly content: string | Uint8Array; readonly mode?: number }>>

/** What `copy` and `add` have in common. */
export interface CopySettingsOptions {
  /** `user`, `uid`, `user:group` or `uid:gid`; names are looked up in the image that is built. Default: root, or the owner in `from`. */
  readonly chown?: string | number
  /** Permissions of every file and directory: `0o755`, `'755'`, or symbolic (`'u=rwX,go=rX'`). Default: the source's. */
  readonly chmod?: number | string
  /** Patterns, as in a .dockerignore, of what is left out of the source; relative to it. */
  readonly exclude?: readonly string[]
  /**
   * Makes the layer one that depends on nothing below it, so that it is found in the cache whatever the base. Links at the destination
   * are not followed then. Default false.
   */
  readonly link?: boolean
}

export interface CopyOptions extends CopySettingsOptions {
  /** Take the paths from another image's files instead of the context. */
  readonly from?: BaseInput
  /** Keep the directories of the paths: `a/b/c` is copied to `a/b/c` below the destination; after `/./` in a path only. Default false. */
  readonly parents?: boolean
}

const checkCopyOptions = optionCheck<CopyOptions>('copy', {
  from: true,
  chown: true,
  chmod: true,
  exclude: true,
  link: true,
  parents: true,
})
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

export function memoryFiles(files: MemoryFiles): MemoryFile[] {
  if (!isRecord(files)) throw invalidArgument('copy', `takes files from memory as an object, not ${kindOfValue(files)}`)
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

/** With `parents` a `/./` says where the kept part begins, and stays. */
function checkSourcePath(path: unknown, parents: boolean): string {
  const text = checkText('copy', path)
  const at = parents ? text.indexOf('/./') : -1
  if (at < 0) return relativePath('copy', text)
  return `${relativePath('copy', text.slice(0, at) || '.')}/./${relativePath('copy', text.slice(at + 3) || '.')}`
}

/** Permissions as a number, or symbolic and checked. */
function checkFileMode(argument: string, value: unknown): FileMode {
  if (typeof value !== 'string') return checkMode(argument, value)
  if (/^[0-7]{1,5}$/.test(value)) return checkMode(argument, Number.parseInt(value, 8))
  if (isSymbolicMode(value)) return value
  throw invalidArgument(argument, `must be a mode such as 0o755, '755' or 'u=rwX,go=rX', not ${JSON.stringify(value)}`)
}

function checkFlag(argument: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(argument, 'must be true or false')
  return value === true
}

function checkExclude(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw invalidArgument('exclude', 'must be an array of patterns')
  return Object.freeze(value.map((each: unknown, index) => checkText(`exclude[${index}]`, each)))
}

/** The destination and the options that `copy` and `add` share, as data. */
export function checkCopySettings(destination: unknown, options: CopySettingsOptions, sources: number): CopySettings {
  const { chown, chmod, exclude, link } = options
  const target = checkText('destination', destination)
  const isDirectory = /(^|\/)\.{0,2}$/.test(target)
  if (sources > 1 && !isDirectory)
    throw invalidArgument('destination', `must end in "/" when several paths are copied: ${JSON.stringify(target)}`)
  if (checkFlag('link', link) && chown !== undefined && !/^\d+(:\d+)?$/.test(String(chown)))
    throw invalidArgument('chown', 'must be numbers together with link: the layer knows no users of the image')
  const patterns = exclude === undefined ? [] : checkExclude(exclude)
  return {
    destination: target,
    ...(chown === undefined ? {} : { chown: checkUser('chown', chown) }),
    ...(chmod === undefined ? {} : { chmod: checkFileMode('chmod', chmod) }),
    ...(patterns.length === 0 ? {} : { exclude: patterns }),
    ...(checkFlag('link', link) ? { link: true } : {}),
  }
}

function sourceOf(source: string | readonly string[] | MemoryFiles, from: BaseInput | undefined, parents: boolean): CopySource {
  if (typeof source === 'string' || Array.isArray(source)) {
    const given: readonly string[] = typeof source === 'string' ? [source] : source
    if (given.length === 0) throw invalidArgument('copy', 'needs at least one path')
    const paths = Object.freeze(given.map((path) => checkSourcePath(path, parents)))
    return Object.freeze(from === undefined ? { kind: 'context', paths } : { kind: 'image', base: baseOf('from', from), paths })
  }
  if (typeof source !== 'object' || source === null) throw invalidArgument('copy', 'must be a path, paths, or an object of files')
  if (from !== undefined) throw invalidArgument('from', 'goes with paths, not with files from memory')
  return Object.freeze({ kind: 'memory', files: Object.freeze(memoryFiles(source as MemoryFiles)) })
}

/** A copy as data. Several paths need a destination that ends in `/` (or is `.`), as in a Dockerfile. */
export function copyStep(source: string | readonly string[] | MemoryFiles, destination: string, options: CopyOptions = {}): CopyStep {
  checkCopyOptions(options)
  const { from, parents } = options
  const keeps = checkFlag('parents', parents)
  const normal = sourceOf(source, from, keeps)
  return Object.freeze({
    kind: 'copy',
    source: normal,
    ...checkCopySettings(destination, options, normal.kind === 'memory' ? 1 : normal.paths.length),
    ...(keeps ? { parents: true } : {}),
  })
}
