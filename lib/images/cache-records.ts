import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Digest, failedWith, isDigest, type Store } from '../store/index.ts'

/** A file of the store's `cache/`: what the work of before made, so that it need not be done again. */
export interface CacheRecord {
  readonly path: string
  /** Bytes of the record itself. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly written: number
  /** Blobs that it has use for: each digest in a field `digest`. */
  readonly blobs: readonly Digest[]
  /** Each digest in a field `diffId`. */
  readonly diffIds: readonly Digest[]
  /** Whether it keeps its blobs. A record of what a file once was imported as does not: that image may be removed, and the record goes with it. */
  readonly keeps: boolean
}

/** Directories of `cache/` that are not of builds. */
const others = ['snapshots', 'mounts', 'seen', 'compressed', 'contents']

/** Every record of the build cache. */
export async function cacheRecords(store: Store): Promise<CacheRecord[]> {
  const records: CacheRecord[] = []
  const root = store.path('cache')
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const path = join(root, entry.name)
    if (entry.isFile()) await add(path, records)
    if (!entry.isDirectory() || others.includes(entry.name)) continue
    for (const name of await readdir(path).catch(ignoreMissing)) await add(join(path, name), records)
  }
  return records
}

function ignoreMissing(error: unknown): never[] {
  if (failedWith(error, 'ENOENT')) return []
  throw error
}

async function add(path: string, records: CacheRecord[]): Promise<void> {
  try {
    const { size, mtimeMs, isFile } = await stat(path).then((stats) => ({ ...stats, isFile: stats.isFile() }))
    if (!isFile) return
    const found = { digest: new Set<Digest>(), diffId: new Set<Digest>() }
    collectDigests(parse(await readFile(path, 'utf8')), found)
    const blobs = [...found.digest]
    records.push({ path, size, written: mtimeMs, blobs, diffIds: [...found.diffId], keeps: !/\/cache\/base\/[^/]+$/.test(path) })
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error
  }
}

/** A torn record counts as an empty one. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function collectDigests(value: unknown, found: { readonly digest: Set<Digest>; readonly diffId: Set<Digest> }): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, each] of Object.entries(value)) {
    if (isDigest(each) && (key === 'digest' || key === 'diffId')) found[key].add(each)
    else collectDigests(each, found)
  }
}

export async function removeRecord(record: Pick<CacheRecord, 'path'>): Promise<void> {
  await rm(record.path, { force: true })
}
