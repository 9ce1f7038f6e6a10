import { stat } from 'node:fs/promises'
import { checkFlag, invalidOption, optionCheck } from '../errors/index.ts'
import { type AgentFor, Snapshots } from '../layers/index.ts'
import { type Digest, failedWith, type Store } from '../store/index.ts'
import { pruneCacheMounts } from './cache-mounts.ts'
import { cacheRecords, removeRecord } from './cache-records.ts'
import { type Collected, collectGarbage } from './collect.ts'
import { surveyImages } from './survey.ts'
import { transferRecords } from './transfer-records.ts'

export interface PruneOptions {
  /** Images that go: those without a name, or all. One that a container runs from stays. Default none. */
  readonly images?: 'untagged' | 'all' | undefined
  /** Whether the build cache goes, and with it the caches that `run`s have mounted. Default false. */
  readonly cache?: boolean | undefined
  /** Milliseconds: images that came into the store, records of the cache that were made, and caches that were mounted, later than that stay. Default 0. */
  readonly olderThan?: number | undefined
}

const checkNames = optionCheck<PruneOptions>('prune', { images: true, cache: true, olderThan: true })

function checkPruneOptions(options: PruneOptions): void {
  checkNames(options)
  const { images, cache, olderThan } = options
  if (images !== undefined && images !== 'untagged' && images !== 'all') throw invalidOption("images must be 'untagged' or 'all'.")
  checkFlag('cache', cache)
  if (olderThan !== undefined && !(typeof olderThan === 'number' && olderThan >= 0))
    throw invalidOption('olderThan must be a number of milliseconds.')
}

/** What `prune` has removed. */
export interface Pruned extends Collected {
  readonly images: readonly { readonly digest: Digest; readonly tags: readonly string[] }[]
  /** Records of the build cache, and of what pushes and pulls have learnt. */
  readonly records: number
  /** Caches that `run`s have mounted. */
  readonly mounts: number
}

/** Removes what processes that are gone left half done, what is asked for, and then all that nothing needs. Rejects with `store_invalid`, `store_busy`. */
export async function pruneStore(store: Store, agentFor: AgentFor, options: PruneOptions = {}): Promise<Pruned> {
  checkPruneOptions(options)
  await new Snapshots(store).sweep(agentFor)
  const newest = Date.now() - (options.olderThan ?? 0)
  const images = options.images === undefined ? [] : await pruneImages(store, options.images, newest)
  let records = 0
  let recordBytes = 0
  for (const record of options.cache ? [...(await cacheRecords(store)), ...(await transferRecords(store))] : []) {
    if (record.written > newest) continue
    await removeRecord(record)
    records += 1
    recordBytes += record.size
  }
  const mounts = options.cache ? await pruneCacheMounts(store, agentFor, newest) : { count: 0, bytes: 0 }
  const collected = await collectGarbage(store, { agentFor })
  return { ...collected, bytes: collected.bytes + recordBytes + mounts.bytes, images, records, mounts: mounts.count }
}

async function pruneImages(store: Store, which: 'untagged' | 'all', newest: number): Promise<Pruned['images']> {
  const removed: { digest: Digest; tags: readonly string[] }[] = []
  for (const { descriptor, manifests, tags } of await surveyImages(store)) {
    const { digest } = descriptor
    if (which === 'untagged' && tags.length > 0) continue
    const held = store.holds.held()
    if (manifests.some((each) => held.has(`image:${each}`)) || (await arrivalOf(store, digest)) > newest) continue
    // Only the names that were seen: one that was given meanwhile stays.
    if (await store.freeing(() => removeNames(store, digest, tags))) removed.push({ digest, tags })
  }
  return removed
}

async function removeNames(store: Store, digest: Digest, tags: readonly string[]): Promise<boolean> {
  let isGone = false
  await store.refs.edit((refs) => {
    const left = refs.filter(({ name, descriptor }) => descriptor.digest !== digest || (name !== undefined && !tags.includes(name)))
    isGone = left.every(({ descriptor }) => descriptor.digest !== digest)
    return left.length === refs.length ? refs : left
  })
  return isGone
}

async function arrivalOf(store: Store, digest: Digest): Promise<number> {
  try {
    return (await stat(store.blobs.path(digest))).mtimeMs
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return 0
    throw error
  }
}
