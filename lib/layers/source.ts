import type { ByteStream } from '../store/index.ts'
import { layerInvalid } from './limits.ts'

const nothing = Buffer.alloc(0)

/** Reads exact counts of bytes from chunks of any size, holding one chunk at a time. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #chunk: Buffer = nothing
  #at = 0
  #taken = 0

  constructor(stream: ByteStream) {
    this.#chunks = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]()
  }

  /** How many bytes were taken so far. */
  get position(): number {
    return this.#taken
  }

  /** Makes sure that the current chunk has a byte; false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const next = await this.#chunks.next()
      if (next.done) return false
      this.#chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
      this.#at = 0
    }
    return true
  }

  /** How many bytes the current chunk has still. */
  get atHand(): number {
    return this.#chunk.length - this.#at
  }

  /** `length` bytes of the current chunk, which has as many. */
  take(length: number): Buffer {
    const piece = this.#chunk.subarray(this.#at, this.#at + length)
    this.pass(length)
    return piece
  }

  /** Reads over `length` bytes of the current chunk, which has as many. */
  pass(length: number): void {
    this.#at += length
    this.#taken += length
  }

  /** A byte of the current chunk, `ahead` of the next one to be read. */
  peek(ahead: number): number | undefined {
    return this.#chunk[this.#at + ahead]
  }

  /** Between 1 and `most` bytes; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    if (this.#at === this.#chunk.length && !(await this.#fill())) return undefined
    return this.take(Math.min(most, this.atHand))
  }

  /** Exactly `length` bytes, or undefined when none is left; `layer_invalid` when the end comes in between. */
  async exactly(length: number, what: string): Promise<Buffer | undefined> {
    const first = await this.some(length)
    if (first === undefined || first.length === length) return first
    // A chunk's memory is only lent until the next one is asked for.
    const pieces = [Buffer.from(first)]
    for (let missing = length - first.length; missing > 0; ) {
      const piece = await this.some(missing)
      if (piece === undefined) throw layerInvalid(`the archive ends within ${what}`)
      pieces.push(Buffer.from(piece))
      missing -= piece.length
    }
    return Buffer.concat(pieces, length)
  }

  /** Reads over `length` bytes. */
  async skip(length: number, what: string): Promise<void> {
    for (let left = length; left > 0; ) {
      const piece = await this.some(left)
      if (piece === undefined) throw layerInvalid(`the archive ends within ${what}`)
      left -= piece.length
    }
  }

  /** Tells the producer that no more is wanted. */
  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}
