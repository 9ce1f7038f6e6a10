import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { StrakeError } from '../errors/index.ts'
import { type BlobFile, GrowingBlobFile, WholeBlobFile } from './blob-file.ts'
import { BlobWriter } from './blob-writer.ts'
import { algorithmOf, type Digest, type DigestAlgorithm, digestOf, hexOf, isDigest, toDigest } from './digest.ts'
import { failedWith, removeFile, syncDirectory } from './files.ts'
import { ownedName } from './owner.ts'
import { type ByteStream, peek } from './peek.ts'
import { storeError } from './store-error.ts'

/** What a blob must turn out to be. What is left out is not checked. */
export interface Expected {
  readonly digest?: Digest | undefined
  /** Bytes, exactly. */
  readonly size?: number | undefined
  /** Bytes, at most: `limit_exceeded` beyond. */
  readonly maxSize?: number | undefined
}

export interface PutOptions {
  /** Given the file while it is being written; not called for a blob that is there already. */
  readonly onFile?: ((file: BlobFile) => void) | undefined
}

export interface BlobInfo {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** Is told of what is about to be relied upon, before it is looked for, and of what was published. */
export interface BlobWatcher {
  note(digest: Digest): Promise<void>
  made(digest: Digest): void
}

/** Read in pieces of this many bytes: larger pieces gain nothing, smaller ones cost (each is a trip through libuv's pool). */
const pieceSize = 512 * 1024
/** Bytes up to which a source is read to its end before anything is written. */
const smallBlob = 64 * 1024
/** What `read` takes into memory unless told: a manifest or config, not a layer. */
const readLimit = 8 * 1024 * 1024

/**
 * The blobs of an OCI image layout (image-spec, image-layout.md): immutable files named by the digest of their content.
 * A blob is checked while it streams into `tmp/`, synced, and only then renamed to its name, so whoever sees it sees all of it.
 */
export class Blobs {
  readonly #directory: string
  readonly #temporary: string
  readonly #watcher: BlobWatcher | undefined

  constructor(directory: string, temporary: string, watcher?: BlobWatcher) {
    this.#directory = directory
    this.#temporary = temporary
    this.#watcher = watcher
  }

  /** The file of a blob, whether it exists or not. */
  path(digest: Digest): string {
    return join(this.#directory, algorithmOf(digest), hexOf(digest))
  }

  /** Whether there is such a blob. One that is there stays while what asked for it is under way (`Store.hold`). */
  async has(digest: Digest): Promise<boolean> {
    return (await this.size(digest)) !== undefined
  }

  /** Bytes, or undefined when there is no such blob. One that is there stays, as with `has`. */
  async size(digest: Digest): Promise<number | undefined> {
    await this.#watcher?.note(digest)
    return await this.#size(digest)
  }

  async #size(digest: Digest): Promise<number | undefined> {
    try {
      const found = await stat(this.path(digest))
      // What has a blob's name and is no file is none: a directory.
      return found.isFile() ? found.size : undefined
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /**
   * Stores bytes and returns their digest. A source that turns out longer, shorter or other than `expected` rejects with
   * `size_mismatch` or `digest_mismatch`, at the first byte too many, with `store_full` where there is no room, and leaves nothing. A blob that is there already is
   * not written again, and with `expected.digest` its source is not read either; but one of another size than `expected.size` is damaged, and is replaced.
   */
  async put(source: Uint8Array | ByteStream, expected: Expected = {}, { onFile }: PutOptions = {}): Promise<BlobInfo> {
    if (expected.digest !== undefined) {
      const size = await this.size(expected.digest)
      if (size !== undefined && (expected.size === undefined || size === expected.size)) return { digest: expected.digest, size }
    }
    const algorithm = expected.digest === undefined ? 'sha256' : algorithmOf(expected.digest)
    const file = join(this.#temporary, `${ownedName()}.blob`)
    const growing = new GrowingBlobFile(file)
    try {
      const pieces = source instanceof Uint8Array ? [source] : source
      const isLookedAt = expected.digest === undefined && onFile === undefined
      const begun = await peek(pieces, isLookedAt ? smallBlob : 0, (length) => refuseTooLong(length, expected))
      const known = begun.isWhole ? await this.#known(Buffer.concat(begun.held), expected) : undefined
      if (known) return known
      const found = await this.#writeTemporary(file, begun.rest, algorithm, expected, growing, onFile)
      await this.#watcher?.note(found.digest)
      await this.#publish(file, found.digest)
      return found
    } catch (error) {
      const reason = storeError(error)
      growing.fail(reason)
      await removeFile(file)
      throw reason
    }
  }

  /** A small blob that is there already: what a step made that made nothing new, say. */
  async #known(content: Uint8Array, expected: Expected): Promise<BlobInfo | undefined> {
    const { length } = content
    refuseTooLong(length, expected)
    checkSize(length, expected)
    const digest = digestOf(content)
    return (await this.size(digest)) === length ? { digest, size: length } : undefined
  }

  async #writeTemporary(
    path: string,
    source: ByteStream,
    algorithm: DigestAlgorithm,
    expected: Expected,
    growing: GrowingBlobFile,
    onFile: PutOptions['onFile'],
  ): Promise<BlobInfo> {
    const hash = createHash(algorithm)
    const handle = await open(path, 'wx', 0o600)
    const writer = new BlobWriter(handle, (bytes) => growing.grow(bytes))
    let size = 0
    try {
      onFile?.(growing)
      for await (const piece of source) {
        size += piece.length
        refuseTooLong(size, expected)
        hash.update(piece)
        await writer.add(piece)
      }
      checkSize(size, expected)
      await writer.end()
      const digest = toDigest(algorithm, hash.digest('hex'))
      if (expected.digest !== undefined && digest !== expected.digest)
        throw new StrakeError('digest_mismatch', `content has digest ${digest}, not ${expected.digest}`, {
          details: { expected: expected.digest, actual: digest },
        })
      growing.end(this.path(digest))
      await handle.sync()
      return { digest, size }
    } finally {
      await writer.settle()
      await handle.close()
    }
  }

  /**
   * Takes over a file of the store's `tmp/` whose caller has written and synced it, and has computed its digest while doing so. The file is
   * gone from there afterwards, also when the blob was there before.
   */
  async adopt(file: string, digest: Digest): Promise<void> {
    try {
      if (await this.has(digest)) await removeFile(file)
      else await this.#publish(file, digest)
    } catch (error) {
      throw storeError(error)
    }
  }

  async #publish(file: string, digest: Digest): Promise<void> {
    const directory = join(this.#directory, algorithmOf(digest))
    try {
      await rename(file, this.path(digest))
    } catch (error) {
      if (failedWith(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) await this.remove(digest)
      else if (!failedWith(error, 'ENOENT')) throw error
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await rename(file, this.path(digest))
    }
    await syncDirectory(directory)
    this.#watcher?.made(digest)
  }

  /** A whole blob in memory, checked against its digest. Rejects with `store_invalid` when there is none or it has rotted. */
  async read(digest: Digest, maxSize = readLimit): Promise<Buffer> {
    const size = await this.#size(digest)
    if (size === undefined) throw missing(digest)
    if (size > maxSize)
      throw new StrakeError('limit_exceeded', `blob ${digest} has ${size} bytes; at most ${maxSize} are read into memory`, {
        details: { limit: 'blobBytes', maximum: maxSize, size },
      })
    const bytes = await readFile(this.path(digest)).catch((error: unknown) => {
      throw failedWith(error, 'ENOENT') ? missing(digest) : error
    })
    if (digestOf(bytes, algorithmOf(digest)) !== digest) {
      throw new StrakeError('store_invalid', `the content of blob ${digest} has changed on disk`, {
        hint: `delete ${this.path(digest)} and fetch or build it again`,
        details: { digest },
      })
    }
    return bytes
  }

  /** The file of a blob that is there. Rejects with `store_invalid` when there is none. */
  async file(digest: Digest): Promise<BlobFile> {
    const size = await this.#size(digest)
    if (size === undefined) throw missing(digest)
    return new WholeBlobFile(this.path(digest), size)
  }

  /** The bytes of a blob, not checked again. */
  async stream(digest: Digest): Promise<Readable> {
    if ((await this.#size(digest)) === undefined) throw missing(digest)
    return createReadStream(this.path(digest), { highWaterMark: pieceSize })
  }

  /** Also what is in the place of a blob, and is none. */
  async remove(digest: Digest): Promise<void> {
    try {
      await removeFile(this.path(digest))
    } catch (error) {
      // A directory has taken its place.
      if (!failedWith(error, 'EISDIR', 'EPERM')) throw error
      await rm(this.path(digest), { recursive: true, force: true })
    }
  }

  /** Every blob of the store. */
  async *list(): AsyncGenerator<BlobInfo> {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const names = await readdir(join(this.#directory, algorithm)).catch((error: unknown) => {
        if (failedWith(error, 'ENOENT')) return []
        throw error
      })
      for (const name of names) {
        const digest = toDigest(algorithm, name)
        if (!isDigest(digest)) continue
        const size = await this.#size(digest)
        if (size !== undefined) yield { digest, size }
      }
    }
  }
}

function refuseTooLong(size: number, expected: Expected): void {
  if (expected.size !== undefined && size > expected.size)
    throw sizeMismatch(`more than the ${expected.size} bytes announced`, size, expected.size)
  if (expected.maxSize !== undefined && size > expected.maxSize) {
    throw new StrakeError('limit_exceeded', `content has more than ${expected.maxSize} bytes`, {
      details: { limit: 'blobBytes', maximum: expected.maxSize },
    })
  }
}

function checkSize(size: number, expected: Expected): number {
  if (expected.size !== undefined && size !== expected.size)
    throw sizeMismatch(`${size} bytes instead of ${expected.size}`, size, expected.size)
  return size
}

function sizeMismatch(what: string, actual: number, expected: number): StrakeError {
  return new StrakeError('size_mismatch', `content has ${what}`, { details: { expected, actual } })
}

function missing(digest: Digest): StrakeError {
  return new StrakeError('store_invalid', `blob ${digest} is not in the store`, { details: { digest } })
}
