import { type AgentFor, type SnapshotOptions, Snapshots } from '../layers/index.ts'
import type { Digest, Store } from '../store/index.ts'
import type { ImageData } from './image.ts'

/** Makes sure that every layer of an image is unpacked, once for all images that have it. Resolves to the snapshots' chainIDs, the bottom one first. */
export async function ensureSnapshots(
  store: Store,
  image: Pick<ImageData, 'layers'>,
  agentFor: AgentFor,
  options: SnapshotOptions = {},
): Promise<Digest[]> {
  return await new Snapshots(store).ensure(image.layers, agentFor, options)
}
