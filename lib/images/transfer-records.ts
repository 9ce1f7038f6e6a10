import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { type Digest, failedWith, hexOf, isDigest, type Store } from '../store/index.ts'

/**
 * A file of `cache/seen/HOST/` or `cache/compressed/ALGORITHM/`, which pushes and pulls write: which repositories have a blob, and what a layer became when
 * it was compressed. Its name is the hex of the blob that it is about.
 */
export interface TransferRecord {
  readonly path: string
  /** Hex digits of the blob's digest. */
  readonly about: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly written: number
  /** What the layer became, where it is about that. */
  readonly became: Digest | undefined
}

export async function transferRecords(store: Store): Promise<TransferRecord[]> {
  const records: TransferRecord[] = []
  for (const kind of ['seen', 'compressed'])
    for (const group of await namesIn(store.path('cache', kind)))
      for (const name of await namesIn(store.path('cache', kind, group))) {
        const record = await read(store.path('cache', kind, group, name), kind)
        if (record) records.push(record)
      }
  return records
}

/**
 * Removes the records of blobs that the store has no more. That of a compressed layer is of use while the layer is there; where that was sent, it is the
 * compressed one that was seen.
 */
export async function removeStaleTransfers(store: Store): Promise<void> {
  const present = new Set<string>()
  for await (const { digest } of store.blobs.list()) present.add(hexOf(digest))
  const records = await transferRecords(store)
  const kept = new Set(records.flatMap(({ about, became }) => (became && present.has(about) ? [hexOf(became)] : [])))
  const isOfUse = (about: string): boolean => present.has(about) || kept.has(about)
  for (const { path, about } of records) if (!isOfUse(about)) await rm(path, { force: true })
  // Which blob was seen to hold which layer (lib/layers/contents.ts).
  for (const name of await namesIn(store.path('cache', 'contents')))
    if (!isOfUse(name.slice(0, name.indexOf('-')))) await rm(store.path('cache', 'contents', name), { force: true })
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

async function read(path: string, kind: string): Promise<TransferRecord | undefined> {
  const about = /\/([0-9a-f]{64,128})\.json$/.exec(path)?.[1]
  if (about === undefined) return undefined
  try {
    const { size, mtimeMs } = await stat(path)
    const became = kind === 'compressed' ? digestIn(await readFile(path, 'utf8')) : undefined
    return { path, about, size, written: mtimeMs, became }
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined
    throw error
  }
}

function digestIn(text: string): Digest | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const digest = typeof value === 'object' && value !== null && 'digest' in value ? value.digest : undefined
    return isDigest(digest) ? digest : undefined
  } catch {
    return undefined
  }
}
