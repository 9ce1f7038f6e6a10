import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type AgentFor, chainId } from '../layers/index.ts'
import { blobKey, type Digest, failedWith, type HoldKey, hexOf, type Store, snapshotKey, toDigest } from '../store/index.ts'
import { type CacheRecord, cacheRecords, removeRecord } from './cache-records.ts'
import { linksOf } from './links.ts'
import { largestManifest } from './manifest.ts'
import { measurePath, measureTree } from './measure.ts'
import { type SurveyedImage, surveyBlobs, surveyImages } from './survey.ts'
import { removeStaleTransfers } from './transfer-records.ts'

export interface CollectOptions {
  /** Agents remove trees whose files are not the caller's. Without it snapshots stay. */
  readonly agentFor?: AgentFor | undefined
  /** Looks at these only. */
  readonly only?: ReadonlySet<HoldKey> | undefined
}

/** What was removed. */
export interface Collected {
  readonly blobs: readonly Digest[]
  readonly snapshots: readonly Digest[]
  /** Bytes that were freed. */
  readonly bytes: number
}

/** What is needed, and by what: the roots are names, what processes hold, and records of the build cache. */
export interface Needed {
  readonly images: readonly SurveyedImage[]
  readonly records: readonly CacheRecord[]
  readonly keys: ReadonlySet<HoldKey>
}

/**
 * Removes the blobs and snapshots that nothing needs: no name leads to them, no build cache, nothing that any process is at (docs/decisions/0008).
 * One at a time for a store. Rejects with `store_invalid` when a manifest is damaged, since what it needs is then not known.
 */
export async function collectGarbage(store: Store, options: CollectOptions = {}): Promise<Collected> {
  return await store.freeing(() => store.withLock('collect', () => collect(store, options), { timeout: 600_000 }))
}

async function collect(store: Store, { agentFor, only }: CollectOptions): Promise<Collected> {
  const candidates = new Map<HoldKey, Digest>()
  const { keys } = await neededKeys(store)
  const add = (key: HoldKey, digest: Digest): void => {
    if (!keys.has(key) && (only === undefined || only.has(key))) candidates.set(key, digest)
  }
  for await (const { digest } of store.blobs.list()) add(blobKey(digest), digest)
  if (agentFor) for (const each of await snapshotsIn(store)) add(snapshotKey(each), each)
  const removed = { blobs: [] as Digest[], snapshots: [] as Digest[], bytes: 0 }
  await store.holds.remove(
    [...candidates.keys()],
    async () => (await neededKeys(store)).keys,
    async (garbage) => {
      const digests = (kind: 'blob' | 'snapshot'): Digest[] =>
        garbage.flatMap((key) => (key.startsWith(`${kind}:`) ? (candidates.get(key) ?? []) : []))
      const snapshots = await removeSnapshots(store, digests('snapshot'), agentFor)
      removed.snapshots.push(...snapshots.removed)
      removed.bytes += snapshots.bytes
      // A manifest goes before what it points to: one that is there may be taken for all that it names.
      for (const digest of await manifestsFirst(store, digests('blob'))) {
        const size = await sizeOf(store.blobs.path(digest))
        await store.blobs.remove(digest)
        removed.bytes += size
        removed.blobs.push(digest)
      }
    },
  )
  for (const record of await cacheRecords(store)) if (!(await isOfUse(store, record))) await removeRecord(record)
  await removeStaleTransfers(store)
  return removed
}

/** What is needed now. Holds are asked first: a name given before its hold was released is then seen. */
export async function neededKeys(store: Store): Promise<Needed> {
  const keys = new Set<HoldKey>(store.holds.held().keys())
  const records = await cacheRecords(store)
  const images = await Promise.all((await surveyImages(store)).map((image) => readAgain(store, image)))
  const chains = new Set<Digest>()
  for (const image of images) {
    for (const digest of image.unreadable) await refuseDamaged(store, digest, image)
    for (const digest of [...image.blobs.keys(), ...image.ociForms]) keys.add(blobKey(digest))
    for (const chain of image.chains) chains.add(chain)
  }
  for (const record of records) if (record.keeps) for (const digest of record.blobs) keys.add(blobKey(digest))
  for (const chain of await cachedChains(store, chains, records)) chains.add(chain)
  for (const chain of chains) keys.add(snapshotKey(chain))
  return { images, records, keys }
}

/** What could not be read of an image may have gone, and have come back, between two looks. */
async function readAgain(store: Store, image: SurveyedImage): Promise<SurveyedImage> {
  return image.unreadable.size === 0 ? image : { ...image, ...(await surveyBlobs(store, image.descriptor)) }
}

async function refuseDamaged(store: Store, digest: Digest, image: SurveyedImage): Promise<void> {
  if ((await sizeOf(store.blobs.path(digest), -1)) < 0) return
  throw new StrakeError('store_invalid', `the blob ${digest} of ${image.tags.join(', ') || image.descriptor.digest} is damaged`, {
    hint: 'store.verify({ mend: true }) removes what is damaged; load or pull the image again',
    details: { digest, tags: image.tags },
  })
}

/** Whether all that it names is there. */
async function isOfUse(store: Store, record: CacheRecord): Promise<boolean> {
  for (const digest of record.blobs) if ((await sizeOf(store.blobs.path(digest), -1)) < 0) return false
  return true
}

/** Snapshots of steps that only the cache knows: layers that a record names on top of any chain that is needed. */
async function cachedChains(store: Store, chains: ReadonlySet<Digest>, records: readonly CacheRecord[]): Promise<Digest[]> {
  const others = new Set((await snapshotsIn(store)).filter((each) => !chains.has(each)))
  const diffIds = new Set(records.flatMap((record) => (record.keeps ? [...record.diffIds, ...record.blobs] : [])))
  const found: Digest[] = []
  const waiting: (Digest | undefined)[] = [undefined, ...chains]
  while (others.size > 0 && waiting.length > 0) {
    const parent = waiting.pop()
    for (const diffId of diffIds) {
      const chain = chainId(parent, diffId)
      if (!others.delete(chain)) continue
      found.push(chain)
      waiting.push(chain)
    }
  }
  return found
}

/** ChainIDs of the snapshots that are there. */
export async function snapshotsIn(store: Store): Promise<Digest[]> {
  return (await readdir(store.path('snapshots'))).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => toDigest('sha256', name))
}

/**
 * Each is given another name first, so that nobody ever sees a part of one. Under the lock `collect`. Resolves to those that were there and the bytes of
 * their files (only where an agent may look into them).
 */
export async function removeSnapshots(
  store: Store,
  chains: readonly Digest[],
  agentFor: AgentFor | undefined,
): Promise<{ readonly removed: readonly Digest[]; readonly bytes: number }> {
  const removed: Digest[] = []
  const moved: string[] = []
  let bytes = 0
  for (const chain of chains) {
    const path = store.temporary('snapshots')
    // First, so that there is none without its snapshot, wherever this ends.
    await rm(measurePath(store, chain), { force: true })
    try {
      await rename(store.path('snapshots', hexOf(chain)), path)
    } catch (error) {
      if (failedWith(error, 'ENOENT')) continue
      throw error
    }
    moved.push(path)
    removed.push(chain)
  }
  const agent = moved.length > 0 ? await agentFor?.('/store/snapshots') : undefined
  try {
    for (const path of moved) {
      const name = `/${basename(path)}`
      if (agent) {
        bytes += (await measureTree(agent, name)).bytes
        await agent.run([{ op: 'removeTree', path: name }])
      } else await rm(path, { recursive: true, force: true })
    }
  } finally {
    await agent?.close()
  }
  return { removed, bytes }
}

async function manifestsFirst(store: Store, digests: readonly Digest[]): Promise<Digest[]> {
  const first: Digest[] = []
  const rest: Digest[] = []
  for (const digest of digests) ((await pointsOn(store.blobs.path(digest))) ? first : rest).push(digest)
  return [...first, ...rest]
}

async function pointsOn(path: string): Promise<boolean> {
  const size = await sizeOf(path)
  if (size === 0 || size > largestManifest) return false
  const links = linksOf(await readFile(path))
  return links !== undefined && (links.config !== undefined || links.manifests.length > 0)
}

async function sizeOf(path: string, missing = 0): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return missing
    throw error
  }
}
