import { createHash, type Hash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { algorithmOf, BlobWriter, type Digest, type Store, toDigest } from '../../store/index.ts'
import { Refusal } from './refusal.ts'
import type { Repository } from './repository.ts'

/** What is known of a piece of an upload before it comes. */
export interface PieceLimits {
  /** Bytes, exactly; of a chunk that said so. */
  readonly length?: number | undefined
  /** Bytes, of the whole upload. */
  readonly maxSize: number
}

/**
 * A blob on its way in: a file in the store's `tmp/` that is hashed as it grows, so that it need not be read again. It becomes a blob by a rename,
 * or it is gone; if the process is, the next one that opens the store removes it.
 */
export class Upload {
  readonly id = randomUUID()
  readonly repository: Repository
  /** Milliseconds of the clock; when something last came. */
  touched = Date.now()
  readonly #store: Store
  readonly #path: string
  readonly #handle: FileHandle
  #hash = createHash('sha256')
  #size = 0
  #isOver = false

  private constructor(store: Store, repository: Repository, path: string, handle: FileHandle) {
    this.#store = store
    this.repository = repository
    this.#path = path
    this.#handle = handle
  }

  static async start(store: Store, repository: Repository): Promise<Upload> {
    const path = store.temporary('tmp', 'upload')
    return new Upload(store, repository, path, await open(path, 'ax+', 0o600))
  }

  /** Bytes that have come; all of them are on disk when nothing is being added. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds to the end. A piece that is refused leaves no trace; when the connection breaks off, what came until then is kept, and the client may
   * ask how much that was and go on.
   */
  async append(pieces: AsyncIterable<Uint8Array>, { length = Number.POSITIVE_INFINITY, maxSize }: PieceLimits): Promise<void> {
    const before = { size: this.#size, hash: this.#hash.copy() }
    const writer = new BlobWriter(this.#handle, () => {})
    let isBrokenOff = true
    try {
      for await (const piece of pieces) {
        isBrokenOff = false
        const size = this.#size + piece.length
        if (size > maxSize)
          throw new Refusal(413, 'SIZE_INVALID', `a blob has more than ${maxSize} bytes`, { detail: { maximum: maxSize } })
        if (size - before.size > length) throw wrongLength(length)
        this.touched = Date.now()
        // The pool writes while this thread hashes.
        this.#hash.update(piece)
        await writer.add(piece)
        this.#size = size
        isBrokenOff = true
      }
      isBrokenOff = false
      if (length !== Number.POSITIVE_INFINITY && this.#size - before.size !== length) throw wrongLength(length)
      await writer.end()
    } catch (error) {
      const isKept = isBrokenOff && (await succeeds(writer.end()))
      await writer.settle()
      if (!isKept) await this.#goBack(before.size, before.hash)
      throw error
    }
  }

  async #goBack(size: number, hash: Hash): Promise<void> {
    await this.#handle.truncate(size)
    this.#size = size
    this.#hash = hash
  }

  /** Makes a blob of it, in whichever way it ends: one with another digest than it was said to have is gone. */
  async finish(digest: Digest): Promise<void> {
    try {
      const actual = await this.#digest(digest)
      if (actual !== digest)
        throw new Refusal(400, 'DIGEST_INVALID', `the content has digest ${actual}`, { detail: { expected: digest, actual } })
      await this.#handle.sync()
      await this.#handle.close()
      await this.#store.blobs.adopt(this.#path, digest)
      this.#isOver = true
    } finally {
      await this.discard()
    }
  }

  async #digest(digest: Digest): Promise<Digest> {
    if (algorithmOf(digest) === 'sha256') return toDigest('sha256', this.#hash.digest('hex'))
    // A client tells its algorithm at the end only, and hardly any takes another one.
    const hash = createHash('sha512')
    for await (const piece of createReadStream(this.#path, { highWaterMark: 512 * 1024 })) hash.update(piece)
    return toDigest('sha512', hash.digest('hex'))
  }

  async discard(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    await this.#handle.close().catch(() => {})
    await rm(this.#path, { force: true })
  }
}

function succeeds(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

function wrongLength(length: number): Refusal {
  return new Refusal(400, 'SIZE_INVALID', `the chunk does not have the ${length} bytes that it was said to have`, { detail: { length } })
}
