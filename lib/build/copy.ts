import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { checkAborted } from './failure.ts'
import { bytePath, type FileSource, type SourceEntry, type SourceMatch } from './files/entry.ts'
import { isType, joinPath } from './files/root-paths.ts'
import type { RootWriter } from './files/writer.ts'
import type { CopyStep } from './step.ts'

/** What a `copy` will write, read once and known by its content. */
export interface PlannedCopy {
  readonly matches: readonly SourceMatch[]
  /** SHA-256 of each file's bytes, in hex. */
  readonly digests: ReadonlyMap<SourceEntry, string>
  /** SHA-256 over names, modes, owners, link targets and contents; times do not count. */
  readonly content: string
}

async function digestFile(source: FileSource, entry: SourceEntry): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of source.read(entry)) hash.update(piece)
  return hash.digest('hex')
}

function describe(entry: SourceEntry, digest: string | undefined): string {
  const xattrs = [...entry.xattrs].map(([name, value]) => [name, value.toString('hex')])
  return JSON.stringify([
    entry.kind,
    entry.path,
    entry.kind === 'link' ? 0 : entry.mode,
    entry.uid,
    entry.gid,
    entry.target,
    digest ?? '',
    xattrs,
  ])
}

function pathsOf(step: CopyStep): readonly string[] {
  return step.source.kind === 'memory' ? ['.'] : step.source.paths
}

/** Finds and digests all that `step` copies. `context_invalid` when a path names nothing. */
export async function planCopy(step: CopyStep, source: FileSource, signal?: AbortSignal): Promise<PlannedCopy> {
  const hash = createHash('sha256')
  const digests = new Map<SourceEntry, string>()
  const matches: SourceMatch[] = []
  for (const path of pathsOf(step)) {
    const found = await source.find(path)
    if (found.length === 0) {
      const where = step.source.kind === 'image' ? 'the image copied from' : 'the build context'
      throw new StrakeError('context_invalid', `${where} has no ${JSON.stringify(path)}`, {
        hint: step.source.kind === 'context' ? 'paths are relative to the directory given as build({ context })' : undefined,
        details: { path },
      })
    }
    matches.push(...found)
  }
  for (const { name, entries } of matches) {
    hash.update(`${JSON.stringify(name)}\n`)
    for (const entry of entries) {
      checkAborted(signal)
      if (entry.kind === 'file') digests.set(entry, await digestFile(source, entry))
      hash.update(`${describe(entry, digests.get(entry))}\n`)
    }
  }
  return { matches, digests, content: hash.digest('hex') }
}

/**
 * Writes what was planned, where COPY of a Dockerfile would put it: a directory's content goes into the destination; a file
 * goes into it when it ends in `/` or is a directory already, and else becomes it. Missing parents are made.
 */
export async function carryOutCopy(
  step: CopyStep,
  planned: PlannedCopy,
  source: FileSource,
  writer: RootWriter,
  workdir: string,
  signal?: AbortSignal,
): Promise<void> {
  const destination = bytePath(posix.resolve('/', workdir, step.destination))
  const place = await writer.paths.resolve(destination)
  const isDirectory = /(^|\/)\.{0,2}$/.test(step.destination) || isType(place.record, 'directory')
  if (planned.matches.length > 1 && !isDirectory) {
    throw new StrakeError('invalid_argument', `destination must end in "/": the pattern names ${planned.matches.length} files`, {
      details: { argument: 'destination' },
    })
  }
  for (const { name, entries } of planned.matches) {
    const [root, ...rest] = entries
    if (!root) continue
    if (root.kind === 'directory') {
      if (place.record) await writer.directory(place.path)
      else await writer.put(root, place.path, source, undefined)
    } else {
      await writer.put(root, isDirectory ? joinPath(place.path, name) : place.path, source, planned.digests.get(root))
    }
    for (const entry of rest) {
      checkAborted(signal)
      await writer.put(entry, joinPath(place.path, entry.path), source, planned.digests.get(entry))
    }
  }
  await writer.finish()
}
