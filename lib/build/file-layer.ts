import { createHash } from 'node:crypto'
import { StrakeError } from '../errors/index.ts'
import { type LayerEntry, storeLayer } from '../layers/index.ts'
import { type BuildContext, defaultEpoch } from './context.ts'
import type { PlannedCopy } from './copy.ts'
import { checkAborted } from './failure.ts'
import { type BytePath, type FileSource, opPath, type SourceEntry, textPath } from './files/entry.ts'
import { applyMode } from './files/mode.ts'
import type { Owner } from './files/owner.ts'
import { placements } from './placement.ts'
import { imageLayers, type Stage, type StageLayer, stageLayer } from './stage.ts'
import type { FileMode } from './step.ts'

export interface EntryOptions {
  /** Absolute. */
  readonly destination: BytePath
  readonly isDirectory: boolean
  readonly owner: Owner | undefined
  readonly chmod: FileMode | undefined
}

const types = { file: 'file', directory: 'directory', link: 'symlink' } as const

/** The bytes of a file, which must turn out to be what was planned. */
async function* verified(source: FileSource, entry: SourceEntry, digest: string | undefined): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let size = 0
  const changed = (): StrakeError => {
    source.forget?.(entry)
    return new StrakeError('context_invalid', `${textPath(entry.origin)} changed while it was read`, {
      details: { path: textPath(entry.origin) },
    })
  }
  for await (const piece of source.read(entry)) {
    size += piece.length
    if (size > entry.size) throw changed()
    hash.update(piece)
    yield piece
  }
  if (size !== entry.size || (digest !== undefined && hash.digest('hex') !== digest)) throw changed()
}

/** What was planned, as entries of a layer. The destination itself is left as whatever lies below has it. */
export async function* fileEntries(
  planned: PlannedCopy,
  source: FileSource,
  { destination, isDirectory, owner, chmod }: EntryOptions,
  context: BuildContext,
): AsyncGenerator<LayerEntry> {
  for (const { entry, path, digest, isTop } of placements(planned, destination, isDirectory)) {
    checkAborted(context.options.signal)
    if (isTop && path === '/') continue
    const mode = chmod === undefined ? entry.mode : applyMode(chmod, entry.mode, entry.kind === 'directory')
    yield {
      path: opPath(path),
      type: types[entry.kind],
      ...(entry.kind === 'link' ? { linkPath: opPath(entry.target) } : { mode }),
      uid: owner?.uid ?? entry.uid,
      gid: owner?.gid ?? entry.gid,
      mtime: { sec: entry.mtime ?? context.epoch ?? defaultEpoch, nsec: 0 },
      xattrs: entry.xattrs,
      ...(entry.kind === 'file' ? { size: entry.size, content: verified(source, entry, digest) } : {}),
    }
  }
}

/**
 * Stores entries as a layer and unpacks it over those of the stage, confined as any layer that comes from elsewhere: what cannot be
 * unpacked fails here, and no later.
 */
export async function layerOf(entries: AsyncIterable<LayerEntry>, stage: Stage, context: BuildContext): Promise<StageLayer> {
  const { runtime, options, epoch } = context
  const layer = stageLayer(await storeLayer(runtime.store, entries, { clampTime: epoch }))
  await runtime.unpack({ layers: imageLayers({ ...stage, layers: [...stage.layers, layer] }) }, { signal: options.signal })
  return layer
}
