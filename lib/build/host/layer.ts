import { lstatSync } from 'node:fs'
import { StrakeError } from '../../errors/index.ts'
import { type LayerEntry, layerMediaType, storeLayer } from '../../layers/index.ts'
import { type Digest, isDigest, type Store } from '../../store/index.ts'
import { fieldsOf, readRecord, writeRecord } from '../records.ts'
import type { StageLayer } from '../stage.ts'
import { assembleHostBase, type BaseEntry } from './assemble.ts'
import { type Witness, witness } from './tree.ts'

/** Changed whenever the same files come to make another base. */
const version = 2

interface HostRecord {
  readonly version: number
  readonly digest: Digest
  readonly size: number
  /** What no time in it is later than, in seconds since 1970; null where nothing was set. */
  readonly epoch: number | null
  readonly witnesses: readonly Witness[]
}

function recordPath(store: Store): string {
  return store.path('cache', 'host.json')
}

function parseHost(value: unknown): HostRecord | undefined {
  const record = fieldsOf(value)
  const { digest, size, epoch, witnesses } = record
  if (
    record.version !== version ||
    !isDigest(digest) ||
    typeof size !== 'number' ||
    (epoch !== null && typeof epoch !== 'number') ||
    !Array.isArray(witnesses)
  )
    return undefined
  return { version, digest, size, epoch, witnesses }
}

/** Whether every file that the base was made from is still the same. */
function holds(witnesses: readonly Witness[]): boolean {
  return witnesses.every((before) => {
    const stats = lstatSync(before.path, { bigint: true, throwIfNoEntry: false })
    if (!stats) return false
    const now = witness(before.path, stats)
    return now.size === before.size && now.mtimeNs === before.mtimeNs && now.ino === before.ino
  })
}

function* layerEntries(entries: readonly BaseEntry[]): Generator<LayerEntry> {
  for (const entry of entries) {
    const common = { path: entry.path, mtime: { sec: entry.mtime, nsec: 0 } }
    if (entry.kind === 'directory') yield { ...common, type: 'directory', mode: entry.mode }
    if (entry.kind === 'link') yield { ...common, type: 'symlink', linkPath: entry.target }
    if (entry.kind === 'file') yield { ...common, type: 'file', mode: entry.mode, content: entry.content }
  }
}

/**
 * The base from this machine's own files, as a layer in the store: made anew when one of those files has changed, found otherwise.
 *
 * @param epoch later times become this one, in seconds since 1970
 */
export async function hostLayer(store: Store, epoch?: number, onMade: () => void = () => {}): Promise<StageLayer> {
  const known = readRecord(recordPath(store), parseHost)
  const isSame = known?.epoch === (epoch ?? null) && (await store.blobs.size(known.digest)) === known.size
  if (known && isSame && holds(known.witnesses)) return layerOf(known)
  onMade()
  const base = await assembleHostBase()
  if (!base) {
    throw new StrakeError('image_not_found', "from('host'): this machine has no shell that can be copied", {
      hint: 'a working `sh` must be in /usr/bin or /bin, and readable',
    })
  }
  const { descriptor } = await storeLayer(store, layerEntries(base.entries), { clampTime: epoch })
  const record = { version, digest: descriptor.digest, size: descriptor.size, epoch: epoch ?? null, witnesses: base.witnesses }
  writeRecord(store, recordPath(store), record)
  return layerOf(record)
}

function layerOf({ digest, size }: HostRecord): StageLayer {
  return { digest, diffId: digest, size, mediaType: layerMediaType }
}
