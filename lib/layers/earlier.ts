import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { type Digest, failedWith, isDigest, readSummed, type Store, writeSummed } from '../store/index.ts'
import { fromByteString, toByteString } from './names.ts'
import { addEntry, clamp, Gatherer, type LayerEntry, layerEnd, type PackOptions } from './pack.ts'

/** To be raised whenever the same entry is packed into other bytes. */
const magic = Buffer.from('strake packed 1\n')
/** Layers of fewer entries are packed sooner than what is known of them is read. */
const fewestEntries = 500
/** More than these are forgotten: about 100 bytes each. */
const mostEntries = 200_000
/** Layers that a store remembers. */
const mostLayers = 32
const pieceSize = 512 * 1024

/** The blob of an earlier layer is not what it was when it was packed. */
export class EarlierIsDamaged extends Error {}

interface Place {
  readonly at: number
  readonly length: number
}

/** One entry of a layer that is being packed: how many bytes it takes, and what they depend on. */
export interface Packed {
  readonly length: number
  readonly line: string
}

/** All that an entry's bytes depend on; undefined where that is not known before they are read. No part of it has a NUL. */
function lineOf(entry: LayerEntry, { clampTime }: PackOptions): string | undefined {
  const { type, mode = '', uid = 0, gid = 0, size = 0, digest = '', major = 0, minor = 0, mtime = { sec: 0, nsec: 0 } } = entry
  if (type === 'file' && digest === '') return undefined
  const { sec, nsec } = clamp(mtime, clampTime)
  const link = entry.linkPath === undefined ? '' : toByteString(entry.linkPath)
  const xattrs = entry.xattrs?.size
    ? JSON.stringify([...entry.xattrs].map(([name, value]) => [name, Buffer.from(value).toString('base64')]))
    : ''
  return `${type} ${mode} ${uid} ${gid} ${size} ${digest} ${sec} ${nsec} ${major} ${minor} ${link.length} ${xattrs.length} ${link}${xattrs}${toByteString(entry.path)}`
}

/**
 * What is known of a layer that was packed before by the same step: where in its blob each entry is, so that the next one takes over what is the same
 * with no look at the files. One file of the store's `cache/packed/` for each step.
 */
export class EarlierLayer {
  readonly #store: Store
  readonly #path: string
  readonly #digest: Digest | undefined
  readonly #places = new Map<string, Place>()
  #size = 0

  private constructor(store: Store, path: string, known: Buffer | undefined) {
    this.#store = store
    this.#path = path
    const [digest = '', ...rest] = known === undefined ? [] : known.toString('latin1').split('\0')
    if (!isDigest(digest)) return
    this.#digest = digest
    for (let index = 0; index + 1 < rest.length; index += 2) {
      const length = Number(rest[index])
      this.#places.set(rest[index + 1] ?? '', { at: this.#size, length })
      this.#size += length
    }
  }

  /** @param step what the step is known by, whatever it copies */
  static async open(store: Store, step: string): Promise<EarlierLayer> {
    const path = store.path('cache', 'packed', createHash('sha256').update(step).digest('hex').slice(0, 32))
    return new EarlierLayer(store, path, await readSummed(path, magic))
  }

  /**
   * What `packLayer` gives of the same entries. Throws `EarlierIsDamaged` at the end, where what was taken over was not what it had been.
   *
   * @param packed is given what `save` wants
   */
  async *pack(entries: AsyncIterable<LayerEntry> | Iterable<LayerEntry>, options: PackOptions, packed: Packed[]): AsyncGenerator<Buffer> {
    const out = new Gatherer()
    // One beyond what is kept says that it is too many.
    const note = (each: Packed): void => void (packed.length <= mostEntries && packed.push(each))
    await using blob = this.#digest && (await EarlierBlob.open(this.#store.blobs.path(this.#digest), this.#digest))
    // What was taken over and is not read yet; nothing while there is something in `out`.
    let start = 0
    let end = 0
    for await (const entry of entries) {
      const line = lineOf(entry, options)
      const place = line === undefined ? undefined : this.#places.get(line)
      if (blob && line !== undefined && place && place.at >= end) {
        if (place.at > end || !out.isEmpty) {
          yield* blob.range(start, end)
          if (!out.isEmpty) yield out.take()
          start = place.at
        }
        end = place.at + place.length
        note({ line, length: place.length })
        continue
      }
      if (blob) yield* blob.range(start, end)
      start = end
      const before = out.total
      const rest = addEntry(out, entry, options)
      if (rest) yield* rest
      note({ line: line ?? '', length: out.total - before })
      if (out.isFull) yield out.take()
    }
    if (blob) yield* blob.range(start, end)
    out.add(layerEnd)
    yield out.take()
    await blob?.finish()
  }

  /** The same step with nothing known. */
  forgotten(): EarlierLayer {
    return new EarlierLayer(this.#store, this.#path, undefined)
  }

  /** Remembers the layer that was made. */
  async save(digest: Digest, packed: readonly Packed[]): Promise<void> {
    if (digest === this.#digest || packed.length < fewestEntries || packed.length > mostEntries) return
    const text = [digest, ...packed.flatMap(({ length, line }) => [String(length), line])].join('\0')
    await writeSummed(this.#store, this.#path, magic, [fromByteString(text)], mostLayers)
  }
}

/** A blob that is read in one direction, all of it, and checked while it is read. */
class EarlierBlob implements AsyncDisposable {
  readonly #handle: FileHandle
  readonly #digest: Digest
  readonly #hash = createHash('sha256')
  #at = 0

  private constructor(handle: FileHandle, digest: Digest) {
    this.#handle = handle
    this.#digest = digest
  }

  /** Undefined where it is gone. */
  static async open(path: string, digest: Digest): Promise<EarlierBlob | undefined> {
    try {
      return new EarlierBlob(await open(path, 'r'), digest)
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /** Bytes from `start`, which was not read yet, to `end`. */
  async *range(start: number, end: number): AsyncGenerator<Buffer> {
    while (this.#at < start) await this.#expect(start - this.#at)
    while (this.#at < end) yield await this.#expect(end - this.#at)
  }

  async finish(): Promise<void> {
    while ((await this.#next(pieceSize)).length > 0);
    if (this.#hash.digest('hex') !== this.#digest.slice(7))
      throw new EarlierIsDamaged(`the content of blob ${this.#digest} has changed on disk`)
  }

  async #expect(most: number): Promise<Buffer> {
    const piece = await this.#next(most)
    if (piece.length === 0) throw new EarlierIsDamaged(`the blob ${this.#digest} is shorter than it was`)
    return piece
  }

  async #next(most: number): Promise<Buffer> {
    const piece = Buffer.allocUnsafeSlow(Math.min(most, pieceSize))
    const { bytesRead } = await this.#handle.read(piece, 0, piece.length, this.#at)
    this.#at += bytesRead
    const read = piece.subarray(0, bytesRead)
    this.#hash.update(read)
    return read
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}
