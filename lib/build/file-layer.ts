import { createHash } from 'node:crypto'
import { StrakeError } from '../errors/index.ts'
import { type LayerEntry, type StoredLayer, storeLayer, storeLayerAgain } from '../layers/index.ts'
import type { Store } from '../store/index.ts'
import { type BuildContext, defaultEpoch } from './context.ts'
import type { PlannedCopy } from './copy.ts'
import { checkAborted } from './failure.ts'
import { type BytePath, type FileSource, opPath, type SourceEntry, textPath } from './files/entry.ts'
import { LinkNames } from './files/file-names.ts'
import { applyMode } from './files/mode.ts'
import type { Owner } from './files/owner.ts'
import { blankDirectory, refuseWhiteout, type Upper } from './files/upper.ts'
import { placements } from './placement.ts'
import { imageLayers, type Stage, type StageLayer, stageLayer } from './stage.ts'
import type { FileMode } from './step.ts'

export interface EntryOptions {
  /** Absolute. */
  readonly destination: BytePath
  readonly isDirectory: boolean
  /** Whether the destination is known to be a directory below. Default false. */
  readonly isThere?: boolean | undefined
  readonly owner: Owner | undefined
  readonly chmod: FileMode | undefined
  /** Seconds since 1970 of all that is put, whatever its own. Undefined: each entry's own. */
  readonly time: number | undefined
  /** Whether nobody gave the directories: files from memory. */
  readonly isUnnamed?: boolean | undefined
}

const types = { file: 'file', directory: 'directory', link: 'symlink' } as const

/** Bytes up to which a file is read at once. */
const smallFile = 128 * 1024

function changed(source: FileSource, entry: SourceEntry): StrakeError {
  source.forget?.(entry)
  return new StrakeError('context_invalid', `${textPath(entry.origin)} changed while it was read`, {
    details: { path: textPath(entry.origin) },
  })
}

/** The bytes of a file, which must turn out to be what was planned. */
function contentOf(source: FileSource, entry: SourceEntry, digest: string | undefined): Buffer | AsyncIterable<Buffer> {
  if (entry.size > smallFile || !source.readNow) return verified(source, entry, digest)
  const content = source.readNow(entry)
  if (content.length !== entry.size || (digest !== undefined && createHash('sha256').update(content).digest('hex') !== digest))
    throw changed(source, entry)
  return content
}

async function* verified(source: FileSource, entry: SourceEntry, digest: string | undefined): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let size = 0
  for await (const piece of source.read(entry)) {
    size += piece.length
    if (size > entry.size) throw changed(source, entry)
    hash.update(piece)
    yield piece
  }
  if (size !== entry.size || (digest !== undefined && hash.digest('hex') !== digest)) throw changed(source, entry)
}

/** What was planned, as entries of a layer. Of the destination nothing but that it is there is copied, and nothing where it `isThere` already. */
export async function* fileEntries(
  planned: PlannedCopy,
  source: FileSource,
  { destination, isDirectory, isThere = false, owner, chmod, time, isUnnamed = false }: EntryOptions,
  context: BuildContext,
): AsyncGenerator<LayerEntry> {
  const names = new LinkNames()
  for (const { entry: given, path, digest, same, isTop } of placements(planned, destination, isDirectory)) {
    checkAborted(context.options.signal)
    if (isTop && (isThere || path === '/')) continue
    refuseWhiteout(path)
    const entry: SourceEntry = isTop ? { ...given, ...blankDirectory } : given
    const linkPath = names.put(path, same)
    const isBlank = isTop || (isUnnamed && entry.kind === 'directory')
    yield {
      path: opPath(path),
      type: linkPath === undefined ? types[entry.kind] : 'link',
      ...(entry.kind === 'link' ? { linkPath: opPath(entry.target) } : { mode: isBlank ? entry.mode : modeOf(entry, chmod) }),
      uid: owner?.uid ?? entry.uid,
      gid: owner?.gid ?? entry.gid,
      mtime: { sec: time ?? entry.mtime ?? context.epoch ?? defaultEpoch, nsec: 0 },
      xattrs: entry.xattrs,
      ...(linkPath === undefined ? {} : { linkPath }),
      ...(entry.kind === 'file' && linkPath === undefined
        ? { size: entry.size, digest, content: () => contentOf(source, entry, digest) }
        : {}),
    }
  }
}

/** Directories that are made for what is added. */
export function* directoryEntries(paths: readonly BytePath[], owner: Owner | undefined, context: BuildContext): Generator<LayerEntry> {
  const { mode, uid, gid } = { ...blankDirectory, ...owner }
  for (const path of paths)
    yield { path: opPath(path), type: 'directory', mode, uid, gid, mtime: { sec: context.epoch ?? defaultEpoch, nsec: 0 } }
}

function modeOf({ mode, kind }: SourceEntry, chmod: FileMode | undefined): number {
  return chmod === undefined ? mode : applyMode(chmod, mode, kind === 'directory')
}

/**
 * Packs what was put into the image, from where its files are, into a layer of the store. It is unpacked when it is first needed.
 *
 * @param step what the step is known by, whatever it copies: what it packed the last time is not packed anew
 */
export async function upperLayer(upper: Upper, source: FileSource, context: BuildContext, step?: string): Promise<StageLayer> {
  const { runtime, options, epoch } = context
  const entries = (): Generator<LayerEntry> => upperEntries(upper, source, options.signal)
  return stageLayer(await storeEntries(entries, runtime.store, epoch, step))
}

async function storeEntries(
  entries: () => AsyncIterable<LayerEntry> | Iterable<LayerEntry>,
  store: Store,
  clampTime: number | undefined,
  step: string | undefined,
): Promise<StoredLayer> {
  return step === undefined ? await storeLayer(store, entries(), { clampTime }) : await storeLayerAgain(store, step, entries, { clampTime })
}

export function* upperEntries(upper: Upper, source: FileSource, signal?: AbortSignal): Generator<LayerEntry> {
  const names = new LinkNames()
  for (const { path: name, entry, file } of upper.entries()) {
    checkAborted(signal)
    if (!file) yield entry
    else {
      // By name, not by `...`: for tens of thousands of files it tells.
      const { path, mode, uid, gid, mtime, xattrs, size } = entry
      const { digest, same } = file
      const linkPath = same && names.put(name, same)
      if (linkPath !== undefined) yield { path, type: 'link', mode, uid, gid, mtime, xattrs, linkPath }
      else yield { path, type: 'file', mode, uid, gid, mtime, xattrs, size, digest, content: () => contentOf(source, file.source, digest) }
    }
  }
}

/**
 * Stores entries as a layer and unpacks it over those of the stage, confined as any layer that comes from elsewhere: what cannot be
 * unpacked fails here, and no later.
 *
 * @param step as `upperLayer` has it
 */
export async function layerOf(
  entries: () => AsyncIterable<LayerEntry>,
  stage: Stage,
  context: BuildContext,
  step?: string,
): Promise<StageLayer> {
  const { runtime, options, epoch, onNotice } = context
  const layer = stageLayer(await storeEntries(entries, runtime.store, epoch, step))
  await runtime.unpack({ layers: imageLayers({ ...stage, layers: [...stage.layers, layer] }) }, { signal: options.signal, onNotice })
  return layer
}
