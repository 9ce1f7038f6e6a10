import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { readSummed, type Store, writeSummed } from '../../store/index.ts'

/** What lstat(2) says of a file: as long as it stays the same, so does the file's content. */
export type FileIdentity = Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs' | 'ctimeMs' | 'mode'>

const magic = Buffer.from('strake digests 1\n'.padEnd(24, '\n'))
/** dev, ino, size, mtimeMs, ctimeMs as doubles, mode as a word, SHA-256, and nothing: a multiple of 8 bytes. */
const recordSize = 80
const digestAt = 44
/** Milliseconds: a file that changed so short a time before it was read may change again without its times being others, on the coarsest file system. */
const racyTime = 2000
/** Files of one context, beyond those of the build that saves: 16 MB. */
const mostRecords = 200_000
/** Contexts that a store remembers. */
const mostContexts = 32

export function isSameFile(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.ino === other.ino &&
    one.ctimeMs === other.ctimeMs &&
    one.mtimeMs === other.mtimeMs &&
    one.size === other.size &&
    one.mode === other.mode &&
    one.dev === other.dev
  )
}

/**
 * Digests of the files of one context, so that a file which is as it was need not be read again; what the index is to git(1). One file of the store's
 * `cache/context/` for each context, replaced as a whole: of processes that save at once, one wins. A file that is torn, or of another version, counts as
 * none. Nothing is trusted of a file that had changed within two seconds before it was read ("racy" in gitformat-index(5)).
 */
export class DigestCache {
  readonly #store: Store
  readonly #path: string
  readonly #known: Buffer
  /** Where in `#known` the record of an inode begins. Of two file systems' equal inodes one counts. */
  readonly #places = new Map<number, number>()
  readonly #learnt = new Map<number, { readonly identity: FileIdentity; readonly digest: string }>()
  readonly #used = new Set<number>()
  #hasForgotten = false

  private constructor(store: Store, path: string, known: Buffer) {
    this.#store = store
    this.#path = path
    this.#known = known
    for (let at = 0; at < known.length; at += recordSize) this.#places.set(known.readDoubleLE(at + 8), at)
  }

  /** @param context the path of the directory, links resolved */
  static async open(store: Store, context: string): Promise<DigestCache> {
    const name = createHash('sha256').update(context, 'latin1').digest('hex').slice(0, 32)
    const path = store.path('cache', 'context', name)
    const known = await readSummed(path, magic)
    return new DigestCache(store, path, known && known.length % recordSize === 0 ? known : Buffer.alloc(0))
  }

  /** SHA-256 in hex of the file that looks like this, where it is known. */
  get(identity: FileIdentity): string | undefined {
    const learnt = this.#learnt.get(identity.ino)
    if (learnt) return isSameFile(learnt.identity, identity) ? learnt.digest : undefined
    const at = this.#places.get(identity.ino)
    if (at === undefined || !this.#isRecordOf(at, identity)) return undefined
    this.#used.add(at)
    return this.#known.toString('hex', at + digestAt, at + digestAt + 32)
  }

  /**
   * Remembers what was read of a file that looked like this before and after.
   *
   * @param readAt when it was opened, in milliseconds since 1970
   */
  set(identity: FileIdentity, digest: string, readAt: number): void {
    if (Math.max(identity.mtimeMs, identity.ctimeMs) + racyTime < readAt) this.#learnt.set(identity.ino, { identity, digest })
  }

  /** Takes back what is known of a file: its content has turned out to be another. */
  forget({ ino }: Pick<FileIdentity, 'ino'>): void {
    this.#learnt.delete(ino)
    const at = this.#places.get(ino)
    if (at === undefined) return
    this.#places.delete(ino)
    this.#used.delete(at)
    this.#hasForgotten = true
  }

  /** Writes what was learnt. What cannot be written is read again another time. */
  async save(): Promise<void> {
    if (this.#learnt.size === 0 && !this.#hasForgotten) return
    const records = this.#records()
    this.#hasForgotten = false
    await writeSummed(this.#store, this.#path, magic, [Buffer.concat(records)], mostContexts)
  }

  #isRecordOf(at: number, { dev, ino, size, mtimeMs, ctimeMs, mode }: FileIdentity): boolean {
    const known = this.#known
    return (
      known.readDoubleLE(at) === dev &&
      known.readDoubleLE(at + 8) === ino &&
      known.readDoubleLE(at + 16) === size &&
      known.readDoubleLE(at + 24) === mtimeMs &&
      known.readDoubleLE(at + 32) === ctimeMs &&
      known.readUInt32LE(at + 40) === mode
    )
  }

  /** What this build has learnt and used; of the rest, which other builds of this context may want, as much as there is room for. */
  #records(): Buffer[] {
    const kept: Buffer[] = []
    let room = mostRecords
    const keep = (at: number, ino: number): void => {
      if (this.#learnt.has(ino)) return
      kept.push(this.#known.subarray(at, at + recordSize))
      room -= 1
    }
    for (const [ino, at] of this.#places) if (this.#used.has(at)) keep(at, ino)
    room -= this.#learnt.size
    for (const [ino, at] of this.#places) if (room > 0 && !this.#used.has(at)) keep(at, ino)
    for (const { identity, digest } of this.#learnt.values()) kept.push(formatRecord(identity, digest))
    return kept
  }
}

function formatRecord({ dev, ino, size, mtimeMs, ctimeMs, mode }: FileIdentity, digest: string): Buffer {
  const record = Buffer.alloc(recordSize)
  for (const [index, value] of [dev, ino, size, mtimeMs, ctimeMs].entries()) record.writeDoubleLE(value, index * 8)
  record.writeUInt32LE(mode, 40)
  record.write(digest, digestAt, 'hex')
  return record
}
