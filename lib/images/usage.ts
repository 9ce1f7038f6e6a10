import { readdir } from 'node:fs/promises'
import type { AgentFor } from '../layers/index.ts'
import { blobKey, type Digest, hexOf, isAlive, ownerIn, type Store, snapshotKey } from '../store/index.ts'
import { measureCacheMounts } from './cache-mounts.ts'
import { neededKeys, snapshotsIn } from './collect.ts'
import { measureTree, snapshotMeasure } from './measure.ts'
import type { SurveyedImage } from './survey.ts'
import { transferRecords } from './transfer-records.ts'

export interface UsageOfKind {
  readonly count: number
  readonly bytes: number
  /** Bytes of these that are not in use by any process. */
  readonly reclaimable: number
}

export interface UsageOfImage {
  /** Of the index of a multi-platform image, else of the manifest. */
  readonly digest: Digest
  readonly tags: readonly string[]
  /** Bytes of its blobs that are there; `shared` with other images or the build cache, `unique` to it: what removing it frees. */
  readonly bytes: number
  readonly shared: number
  readonly unique: number
  /** Whether a container runs from it. */
  readonly inUse: boolean
}

/** What is in a store. All sizes are bytes of content: what the file system adds to it is not counted. */
export interface StoreUsage {
  readonly root: string
  readonly bytes: number
  /** Bytes that `prune({ images: 'all', cache: true })` would free now. */
  readonly reclaimable: number
  /** Blobs of images, each counted once. */
  readonly images: UsageOfKind & { readonly list: readonly UsageOfImage[] }
  /** Unpacked layers. */
  readonly snapshots: UsageOfKind
  /** What running and stopped containers have written. */
  readonly containers: UsageOfKind
  /** Blobs that only the build cache keeps, its records, those of what pushes and pulls have learnt, and the directories that `run`s have mounted as caches. */
  readonly cache: UsageOfKind
  /** Blobs and snapshots that nothing needs: what `prune()` removes. */
  readonly garbage: UsageOfKind
}

/** Adds up what is in a store. Each snapshot is measured once, and then known. */
export async function storeUsage(store: Store, agentFor: AgentFor): Promise<StoreUsage> {
  const { images, records, keys } = await neededKeys(store)
  const held = store.holds.held()
  const sizes = new Map<Digest, number>()
  for await (const { digest, size } of store.blobs.list()) sizes.set(digest, size)
  const cached = new Set(records.flatMap((record) => (record.keeps ? record.blobs : [])))
  const users = new Map<Digest, number>()
  for (const digest of [...images.flatMap(blobsOf), ...cached]) users.set(digest, (users.get(digest) ?? 0) + 1)
  const list = images.map((image) => usageOf(image, sizes, users, (digest) => held.has(`image:${digest}`)))
  const ofImages = tally(
    [...new Set(images.flatMap(blobsOf))].filter((digest) => sizes.has(digest)),
    (digest) => sizes.get(digest) ?? 0,
    (digest) => !held.has(blobKey(digest)) && !cached.has(digest),
  )
  const inImages = new Set(images.flatMap(blobsOf))
  const ofCache = tally(
    [...cached].filter((digest) => sizes.has(digest) && !inImages.has(digest)),
    (digest) => sizes.get(digest) ?? 0,
    (digest) => !held.has(blobKey(digest)),
  )
  const learnt = await transferRecords(store)
  const recordBytes = [...records, ...learnt].reduce((sum, record) => sum + record.size, 0)
  const blobGarbage = [...sizes].filter(([digest]) => !keys.has(blobKey(digest)))
  const trees = await measureAll(store, agentFor)
  const isNeeded = ([digest]: readonly [Digest, number]): boolean => keys.has(snapshotKey(digest))
  const snapshots = tally(trees.snapshots.filter(isNeeded), sizeOfPair, ([digest]) => !held.has(snapshotKey(digest)))
  const snapshotGarbage = trees.snapshots.filter((each) => !isNeeded(each))
  const garbage = tally([...blobGarbage, ...snapshotGarbage], sizeOfPair, () => true)
  const containers = tally(
    trees.containers,
    ({ bytes }) => bytes,
    ({ isOver }) => isOver,
  )
  const mounts = tally(
    await measureCacheMounts(store, agentFor),
    ({ bytes }) => bytes,
    ({ isHeld }) => !isHeld,
  )
  const cache = {
    count: records.length + learnt.length + mounts.count,
    bytes: ofCache.bytes + recordBytes + mounts.bytes,
    reclaimable: ofCache.reclaimable + recordBytes + mounts.reclaimable,
  }
  const shared = [...inImages].filter((digest) => cached.has(digest) && !held.has(blobKey(digest)))
  const kinds = [ofImages, snapshots, containers, cache, garbage]
  return {
    root: store.root,
    bytes: kinds.reduce((sum, { bytes }) => sum + bytes, 0),
    reclaimable:
      kinds.reduce((sum, { reclaimable }) => sum + reclaimable, 0) + shared.reduce((sum, digest) => sum + (sizes.get(digest) ?? 0), 0),
    images: { ...ofImages, count: list.length, list },
    snapshots,
    containers,
    cache,
    garbage,
  }
}

function blobsOf({ blobs, ociForms }: SurveyedImage): Digest[] {
  return [...blobs.keys(), ...ociForms]
}

function sizeOfPair([, size]: readonly [Digest, number]): number {
  return size
}

function tally<T>(all: readonly T[], sizeOf: (each: T) => number, isReclaimable: (each: T) => boolean): UsageOfKind {
  const sum = (some: readonly T[]): number => some.reduce((bytes, each) => bytes + sizeOf(each), 0)
  return { count: all.length, bytes: sum(all), reclaimable: sum(all.filter(isReclaimable)) }
}

function usageOf(
  image: SurveyedImage,
  sizes: ReadonlyMap<Digest, number>,
  users: ReadonlyMap<Digest, number>,
  isUsed: (digest: Digest) => boolean,
): UsageOfImage {
  const present = blobsOf(image).filter((digest) => sizes.has(digest))
  const bytes = (some: readonly Digest[]): number => some.reduce((sum, digest) => sum + (sizes.get(digest) ?? 0), 0)
  const unique = bytes(present.filter((digest) => users.get(digest) === 1))
  const all = bytes(present)
  return {
    digest: image.descriptor.digest,
    tags: image.tags,
    bytes: all,
    shared: all - unique,
    unique,
    inUse: image.manifests.some(isUsed),
  }
}

async function measureAll(
  store: Store,
  agentFor: AgentFor,
): Promise<{ snapshots: (readonly [Digest, number])[]; containers: { readonly bytes: number; readonly isOver: boolean }[] }> {
  const snapshots: (readonly [Digest, number])[] = []
  const containers: { bytes: number; isOver: boolean }[] = []
  const agent = await agentFor('/store')
  try {
    for (const chainId of await snapshotsIn(store)) {
      const measure = await snapshotMeasure(store, agent, `/snapshots/${hexOf(chainId)}`, chainId)
      if (measure) snapshots.push([chainId, measure.bytes])
    }
    for (const name of await readdir(store.path('containers'))) {
      const owner = ownerIn(name)
      const { bytes } = await measureTree(agent, `/containers/${name}/upper`)
      containers.push({ bytes, isOver: owner === undefined || !isAlive(owner) })
    }
  } finally {
    await agent.close()
  }
  return { snapshots, containers }
}
