import type { FileHandle } from 'node:fs/promises'

/** Bytes that are written at once: each write is a trip through libuv's pool. */
const batchBytes = 512 * 1024

/** Writes pieces to a file in batches, one while the next is gathered. What was added must not change. */
export class BlobWriter {
  readonly #handle: FileHandle
  readonly #onWritten: (bytes: number) => void
  #pieces: Uint8Array[] = []
  #length = 0
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(handle: FileHandle, onWritten: (bytes: number) => void) {
    this.#handle = handle
    this.#onWritten = onWritten
  }

  async add(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return
    this.#pieces.push(piece)
    this.#length += piece.length
    if (this.#length >= batchBytes) await this.#begin()
  }

  /** Resolves when everything has been written. */
  async end(): Promise<void> {
    if (this.#length > 0) await this.#begin()
    await this.settle()
    if (this.#failure) throw this.#failure.error
  }

  /** Resolves when nothing is under way any more; never rejects. */
  async settle(): Promise<void> {
    await this.#writing
  }

  async #begin(): Promise<void> {
    await this.#writing
    if (this.#failure) throw this.#failure.error
    const pieces = this.#pieces
    const length = this.#length
    this.#pieces = []
    this.#length = 0
    this.#writing = this.#write(pieces, length).catch((error: unknown) => {
      this.#failure = { error }
    })
  }

  async #write(pieces: Uint8Array[], length: number): Promise<void> {
    let left: Uint8Array[] = pieces
    for (let missing = length; missing > 0; ) {
      const { bytesWritten } = await this.#handle.writev(left)
      missing -= bytesWritten
      if (missing > 0) left = after(left, bytesWritten)
    }
    this.#onWritten(length)
  }
}

/** What is left of pieces whose first bytes were written. */
function after(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const piece of pieces) {
    if (skip < piece.length) left.push(skip > 0 ? piece.subarray(skip) : piece)
    skip = Math.max(0, skip - piece.length)
  }
  return left
}
