import { StrakeError } from '../../errors/index.ts'
import { kindOf, parseManifest } from '../../images/index.ts'
import type { Descriptor, Digest, Store } from '../../store/index.ts'

/** The indexes among the names of a store that have a manifest in them. */
export async function indexesWith(store: Store, digest: Digest): Promise<Descriptor[]> {
  const found = new Map<Digest, Descriptor>()
  for (const { descriptor } of await store.refs.list()) {
    if (kindOf(descriptor.mediaType) !== 'index' || found.has(descriptor.digest)) continue
    const { mediaType, size } = descriptor
    if (await holds(store, descriptor, digest, 0)) found.set(descriptor.digest, { mediaType, digest: descriptor.digest, size })
  }
  return [...found.values()]
}

const deepest = 4

async function holds(store: Store, index: Descriptor, digest: Digest, depth: number): Promise<boolean> {
  if (depth > deepest) return false
  try {
    const parsed = parseManifest(await store.blobs.read(index.digest), index.mediaType, { artifacts: true })
    if (parsed.kind !== 'index') return false
    if (parsed.manifests.some((each) => each.digest === digest)) return true
    for (const each of parsed.manifests)
      if (kindOf(each.mediaType) === 'index' && (await holds(store, each, digest, depth + 1))) return true
    return false
  } catch (error) {
    if (error instanceof StrakeError) return false
    throw error
  }
}
