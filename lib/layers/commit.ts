import { type BlobInfo, type Descriptor, type Digest, type Store, toDigest } from '../store/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type DiffOptions, diffEntries } from './diff.ts'
import { EarlierIsDamaged, EarlierLayer, type Packed } from './earlier.ts'
import { type LayerEntry, type PackOptions, packLayer } from './pack.ts'

/** Stored uncompressed: its digest is its diffID, and nothing waits for a compressor. Pushing compresses. */
export const layerMediaType = 'application/vnd.oci.image.layer.v1.tar'

/** A layer in the blob store. */
export interface StoredLayer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
  /** Bytes of the uncompressed tar. */
  readonly size: number
}

/** Packs entries into a layer blob of the store. */
export async function storeLayer(
  store: Store,
  entries: AsyncIterable<LayerEntry> | Iterable<LayerEntry>,
  options: PackOptions = {},
): Promise<StoredLayer> {
  return storedAs(await store.blobs.put(packLayer(entries, options)))
}

function storedAs({ digest, size }: BlobInfo): StoredLayer {
  return { descriptor: { mediaType: layerMediaType, digest, size }, diffId: toDigest('sha256', digest.slice(7)), size }
}

/**
 * Packs entries as `storeLayer` does, and takes over what is as it was when the same step packed a layer the last time, of entries whose `digest` is known:
 * their content is not asked for. It is asked for once more where the earlier layer's blob turns out to be damaged.
 *
 * @param step what the step is known by, whatever it copies
 */
export async function storeLayerAgain(
  store: Store,
  step: string,
  entries: () => AsyncIterable<LayerEntry> | Iterable<LayerEntry>,
  options: PackOptions = {},
): Promise<StoredLayer> {
  const earlier = await EarlierLayer.open(store, step)
  try {
    return await storeAfter(earlier, store, entries(), options)
  } catch (error) {
    if (!(error instanceof EarlierIsDamaged)) throw error
    return await storeAfter(earlier.forgotten(), store, entries(), options)
  }
}

async function storeAfter(
  earlier: EarlierLayer,
  store: Store,
  entries: AsyncIterable<LayerEntry> | Iterable<LayerEntry>,
  options: PackOptions,
): Promise<StoredLayer> {
  const packed: Packed[] = []
  const stored = await store.blobs.put(earlier.pack(entries, options, packed))
  await earlier.save(stored.digest, packed)
  return storedAs(stored)
}

/** Packs what the upper directory that `agent` is confined to says about the layers below it, into a layer blob of the store. */
export async function diffLayer(store: Store, agent: Agent, options: DiffOptions & PackOptions = {}): Promise<StoredLayer> {
  return await storeLayer(store, diffEntries(agent, options), options)
}
