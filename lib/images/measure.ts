import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { type Digest, failedWith, hexOf, type Store, writing } from '../store/index.ts'
import { decodeRecords, type FileRecord, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'

/** How large a tree is, and what it looks like from outside. */
export interface Measure {
  /** Of its files' content, each counted once whatever its number of links. Holes count. */
  readonly bytes: number
  readonly entries: number
  /** SHA-256 over names, types, modes, owners, sizes, times, targets and xattrs: a changed content alone is not seen, any other change is. */
  readonly fingerprint: string
}

const directoriesAtOnce = 64
const typeMask = 0o170000
const directoryType = 0o040000
const fileType = 0o100000

/** Measures the tree at `path` of an agent. What is removed meanwhile counts as not there. */
export async function measureTree(agent: Agent, path: string): Promise<Measure> {
  const hash = createHash('sha256')
  const linked = new Set<string>()
  let bytes = 0
  let entries = 0
  const [root] = await read(agent, 'stat', [Buffer.from(path)])
  for (const record of root ?? []) hash.update(lineOf('', record))
  const waiting: Buffer[] = [Buffer.from(path)]
  while (waiting.length > 0) {
    const batch = waiting.splice(0, directoriesAtOnce)
    const lists = await read(agent, 'readDir', batch)
    for (const [index, directory] of batch.entries()) {
      const records = [...(lists[index] ?? [])].sort((one, other) => Buffer.compare(one.name, other.name))
      for (const record of records) {
        entries += 1
        const here = Buffer.concat([directory, Buffer.from('/'), record.name])
        hash.update(lineOf(here.subarray(path.length).toString('latin1'), record))
        const type = record.mode & typeMask
        if (type === directoryType) waiting.push(here)
        if (type === fileType && isFirst(record, linked)) bytes += record.size
      }
    }
  }
  return { bytes, entries, fingerprint: hash.digest('hex') }
}

function isFirst({ nlink, dev, ino }: FileRecord, linked: Set<string>): boolean {
  if (nlink === 1) return true
  const identity = `${dev}:${ino}`
  if (linked.has(identity)) return false
  linked.add(identity)
  return true
}

function lineOf(path: string, record: FileRecord): string {
  const { mode, uid, gid, nlink, size, mtimeSec, mtimeNsec, rdevMajor, rdevMinor, target } = record
  const type = mode & typeMask
  const xattrs = [...record.xattrs].map(([name, value]) => [name, value.toString('hex')]).sort()
  const sized = type === fileType ? [size, nlink] : []
  return JSON.stringify([path, mode, uid, gid, mtimeSec, mtimeNsec, rdevMajor, rdevMinor, target.toString('latin1'), xattrs, ...sized])
}

async function read(agent: Agent, op: 'stat' | 'readDir', paths: readonly Buffer[]): Promise<FileRecord[][]> {
  const { results } = await agent.run(paths.map((path): Op => ({ op, path, tolerate: ['ENOENT', 'ENOTDIR'] })))
  return results.map((result) => (result instanceof Uint8Array && result.length > 0 ? decodeRecords(result) : []))
}

/**
 * The measure of a snapshot, taken at `path` of an agent and recorded where it is not known; undefined where the snapshot is gone. Taken under the lock of
 * those who remove snapshots: what is measured is there all the while, and no record comes after what it is of has gone.
 */
export async function snapshotMeasure(
  store: Store,
  agent: Agent,
  path: string,
  chainId: Digest,
  signal?: AbortSignal,
): Promise<Measure | undefined> {
  const known = await recordedMeasure(store, chainId)
  if (known) return known
  const take = async (): Promise<Measure | undefined> => {
    const since = await recordedMeasure(store, chainId)
    if (since || !(await isThere(store.path('snapshots', hexOf(chainId))))) return since
    const measure = await measureTree(agent, path)
    await recordMeasure(store, chainId, measure)
    return measure
  }
  return await store.withLock('collect', take, { signal, timeout: 600_000 })
}

export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}

/** The measure of a snapshot as it was when it was first taken; a snapshot never changes. */
export async function recordedMeasure(store: Store, chainId: Digest): Promise<Measure | undefined> {
  try {
    const { bytes, entries, fingerprint } = JSON.parse(await readFile(measurePath(store, chainId), 'utf8')) as Partial<Measure>
    if (typeof bytes !== 'number' || typeof entries !== 'number' || typeof fingerprint !== 'string') return undefined
    return { bytes, entries, fingerprint }
  } catch (error) {
    if (error instanceof SyntaxError || failedWith(error, 'ENOENT')) return undefined
    throw error
  }
}

async function recordMeasure(store: Store, chainId: Digest, measure: Measure): Promise<void> {
  const temporary = store.temporary('tmp', 'measure')
  await writing(async () => {
    try {
      await mkdir(store.path('cache', 'snapshots'), { recursive: true, mode: 0o700 })
      await writeFile(temporary, JSON.stringify(measure), { mode: 0o600 })
      await rename(temporary, measurePath(store, chainId))
    } finally {
      await rm(temporary, { force: true })
    }
  })
}

/** Of the record; it goes before its snapshot, and there is none when one gets its name (`Snapshots.name`). */
export function measurePath(store: Store, chainId: Digest): string {
  return store.path('cache', 'snapshots', hexOf(chainId))
}
