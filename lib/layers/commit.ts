import { type Descriptor, type Digest, type Store, toDigest } from '../store/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type DiffOptions, diffEntries } from './diff.ts'
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
  const { digest, size } = await store.blobs.put(packLayer(entries, options))
  return { descriptor: { mediaType: layerMediaType, digest, size }, diffId: toDigest('sha256', digest.slice(7)), size }
}

/** Packs what the upper directory that `agent` is confined to says about the layers below it, into a layer blob of the store. */
export async function diffLayer(store: Store, agent: Agent, options: DiffOptions & PackOptions = {}): Promise<StoredLayer> {
  return await storeLayer(store, diffEntries(agent, options), options)
}
