import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import type { LayerNotice } from '../layers/index.ts'
import { checkAborted } from './failure.ts'
import { type BytePath, bytePath, type FileSource, type SourceEntry, type SourceMatch, textPath } from './files/entry.ts'
import { FileNames } from './files/file-names.ts'
import { IgnorePatterns } from './files/ignore.ts'
import { hasWildcard } from './files/pattern.ts'
import { isType } from './files/root-paths.ts'
import type { Upper } from './files/upper.ts'
import { isTopOf, placements } from './placement.ts'
import type { CopyStep } from './step.ts'

/** What is copied, whoever asks: the part of a step that says which files. */
export interface CopyRequest {
  /** Paths or patterns of the source. */
  readonly paths: readonly string[]
  /** Whether the directories of the paths are kept, after `/./` in a path where it has one. */
  readonly parents?: boolean | undefined
  readonly exclude?: readonly string[] | undefined
  /** For messages: `the build context`. */
  readonly where: string
  readonly hint?: string | undefined
}

/** What `step` copies. */
export function requestOf({ source, parents, exclude }: CopyStep): CopyRequest {
  const isImage = source.kind === 'image'
  return {
    paths: source.kind === 'memory' ? ['.'] : source.paths,
    parents,
    exclude,
    where: isImage ? 'the image copied from' : 'the build context',
    hint: isImage
      ? undefined
      : 'paths are relative to the directory given as build({ context }), and a .dockerignore there may leave them out',
  }
}

/** One thing that was found, and the directories of its path that are kept; undefined when none are. */
export interface PlannedMatch extends SourceMatch {
  readonly kept?: BytePath
  /** Those directories as the source has them, the outermost first, where it has any. */
  readonly way?: readonly SourceEntry[]
}

/** What a `copy` will write, read once and known by its content. */
export interface PlannedCopy {
  readonly matches: readonly PlannedMatch[]
  /** SHA-256 of each file's bytes, in hex. */
  readonly digests: ReadonlyMap<SourceEntry, string>
  /** Files that have several names among them: of each of the names the first. */
  readonly links?: ReadonlyMap<SourceEntry, SourceEntry> | undefined
  /** SHA-256 over names, modes, owners, link targets, contents, and which names are of one file; times do not count. */
  readonly content: string
  /** What was found and cannot be copied, for whoever is told of it. */
  readonly leftOut?: readonly LayerNotice[]
}

async function digestFile(source: FileSource, entry: SourceEntry): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of source.read(entry)) hash.update(piece)
  return hash.digest('hex')
}

/** @param same of a file that was there by another name, its number */
function describe(entry: SourceEntry, digest: string | undefined, same?: number): string {
  const xattrs = entry.xattrs.size === 0 ? [] : [...entry.xattrs].map(([name, value]) => [name, value.toString('hex')])
  return JSON.stringify([
    entry.kind,
    entry.path,
    entry.kind === 'link' ? 0 : entry.mode,
    entry.uid,
    entry.gid,
    entry.target,
    digest ?? '',
    xattrs,
    ...(same === undefined ? [] : [same]),
  ])
}

/** The directories of a match's path that are kept: those behind as many names as stand before `/./`. */
function keptOf(pattern: string, match: SourceMatch): BytePath {
  const at = pattern.indexOf('/./')
  const before =
    at < 0
      ? 0
      : pattern
          .slice(0, at)
          .split('/')
          .filter((name) => name !== '' && name !== '.').length
  return match.path.split('/').slice(before, -1).join('/')
}

/** The directories `kept` at the end of what a match is found by, as the source has them. */
async function wayOf(source: FileSource, match: SourceMatch, kept: BytePath): Promise<readonly SourceEntry[]> {
  const above = posix.dirname(match.path)
  const before = above.slice(0, above.length - kept.length)
  const way: SourceEntry[] = []
  for (let end = kept.indexOf('/'); kept !== '' && way.at(-1)?.path !== kept; end = kept.indexOf('/', end + 1)) {
    const path = end < 0 ? kept : kept.slice(0, end)
    const found = await source.directory?.(`${before}${path}`)
    if (!found) return way
    way.push({ ...found, path })
  }
  return way
}

/** A match without what `exclude` names: patterns are relative to a directory that is copied, and to where a file is. */
function without(match: SourceMatch, exclude: IgnorePatterns | undefined): SourceMatch | undefined {
  if (!exclude) return match
  const [root] = match.entries
  if (root?.kind !== 'directory') return exclude.ignores(textPath(match.name)) ? undefined : match
  const left = new Set(match.entries.filter(({ path }) => path === '' || !exclude.ignores(textPath(path))).map(({ path }) => path))
  // A directory of which something is left stays, whatever is said of itself.
  for (const path of [...left])
    for (let parent = posix.dirname(path); parent !== '.' && !left.has(parent); parent = posix.dirname(parent)) left.add(parent)
  const leftOut = match.leftOut?.filter(({ path }) => !exclude.ignores(textPath(path)))
  return { ...match, entries: match.entries.filter(({ path }) => left.has(path)), ...(leftOut ? { leftOut } : {}) }
}

/** Files between two turns of the event loop. */
const filesPerTurn = 200
/** Characters that are hashed at once. */
const linesAtOnce = 64 * 1024

function notCopied(path: string, what: string, { where }: CopyRequest): StrakeError {
  return new StrakeError('context_invalid', `${JSON.stringify(path)} of ${where} is ${what}, and nothing can be copied of it`, {
    details: { path },
  })
}

/** Finds and digests all that is copied. `context_invalid` when a path names nothing, or something that cannot be copied. */
export async function planCopy(request: CopyRequest, source: FileSource, signal?: AbortSignal): Promise<PlannedCopy> {
  const hash = createHash('sha256')
  const digests = new Map<SourceEntry, string>()
  const names = new FileNames()
  const matches: PlannedMatch[] = []
  const leftOut: LayerNotice[] = []
  const exclude = request.exclude && new IgnorePatterns(request.exclude)
  for (const path of request.paths) {
    const found = await source.find(path.replaceAll('/./', '/'))
    // A pattern may match nothing (BuildKit's AllowEmptyWildcard): `COPY package.json package-lock.json* ./`.
    if (found.length === 0 && !hasWildcard(path)) {
      throw new StrakeError('context_invalid', `${request.where} has no ${JSON.stringify(path)}`, { hint: request.hint, details: { path } })
    }
    for (const match of found) {
      const left = without(match, exclude)
      for (const { path: below, what } of left?.leftOut ?? []) {
        if (below === '' && !hasWildcard(path)) throw notCopied(path, what, request)
        const all = below === '' ? match.path : `${match.path}/${below}`
        leftOut.push({ path: `/${textPath(all)}`, message: `${what}, which is not copied` })
      }
      if (!left || left.entries.length === 0) continue
      const kept = request.parents ? keptOf(path, match) : undefined
      matches.push(kept === undefined ? left : { ...left, kept, way: await wayOf(source, match, kept) })
    }
  }
  for (const match of matches) {
    const { name, kept, way = [], entries } = match
    let lines = `${JSON.stringify(kept === undefined ? name : [kept, name, ...way.map((each) => describe(each, undefined))])}\n`
    for (const entry of entries) {
      checkAborted(signal)
      const same = names.add(entry)
      const found =
        entry.kind === 'file' ? ((same && digests.get(same.entry)) ?? source.digestOf?.(entry) ?? digestFile(source, entry)) : undefined
      const digest = typeof found === 'string' ? found : await found
      if (digest !== undefined) digests.set(entry, digest)
      if (digests.size % filesPerTurn === 0) await setImmediate()
      lines += isTopOf(match, entry) ? '\n' : `${describe(entry, digest, same?.number)}\n`
      if (lines.length < linesAtOnce) continue
      hash.update(lines)
      lines = ''
    }
    hash.update(lines)
  }
  return { matches, digests, links: names.links, content: hash.digest('hex'), leftOut }
}

/** The absolute path of a destination. */
export function destinationOf(workdir: string, destination: string): BytePath {
  return bytePath(posix.resolve('/', workdir, destination))
}

/** Whether a destination says by itself that it is a directory. */
export function isDirectoryName(destination: string): boolean {
  return /(^|\/)\.{0,2}$/.test(destination)
}

/** Puts what was planned into the image. Missing parents are made. */
export async function carryOutCopy(
  { destination, parents, source }: Pick<CopyStep, 'destination' | 'parents'> & { readonly source?: { readonly kind: string } },
  planned: PlannedCopy,
  upper: Upper,
  workdir: string,
  signal?: AbortSignal,
): Promise<void> {
  const place = await upper.paths.resolve(destinationOf(workdir, destination))
  const isDirectory = parents === true || isDirectoryName(destination) || isType(place.record, 'directory')
  for (const { entry, path, digest, same, isTop, isKept } of placements(planned, place.path, isDirectory)) {
    checkAborted(signal)
    // Of files from memory nobody gave the directories that they are in.
    const isUnnamed = entry.kind === 'directory' && source?.kind === 'memory'
    if (isUnnamed || isTop || (isKept && (await upper.has(path)))) await upper.directory(path)
    else await upper.put(entry, path, digest, same)
  }
}
