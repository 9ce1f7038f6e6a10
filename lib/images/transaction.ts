import type { Descriptor } from '../store/index.ts'
import { blobKey, type Digest, type Store } from '../store/index.ts'
import { collectGarbage } from './collect.ts'
import { surveyBlobs } from './survey.ts'

/**
 * Runs work that brings images into the store. What it stores stays until it is over; if it fails the store is as it was before, and if it does not, what
 * it stored beside the images that it resolves to is gone.
 */
export async function importing<T>(store: Store, work: () => Promise<T>, imagesOf: (result: T) => readonly Descriptor[]): Promise<T> {
  const hold = store.hold()
  const needed = new Set<Digest>()
  try {
    const result = await work()
    for (const each of imagesOf(result)) for (const digest of (await surveyBlobs(store, each)).blobs.keys()) needed.add(digest)
    return result
  } finally {
    hold.release()
    const rest = [...hold.made].filter((digest) => !needed.has(digest))
    // What cannot be removed now is garbage, and goes with the next `prune`.
    if (rest.length > 0) await collectGarbage(store, { only: new Set(rest.map(blobKey)) }).catch(() => undefined)
  }
}
