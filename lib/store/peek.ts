export type ByteStream = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface Peeked {
  /** What was read: at least as many bytes as were asked for, or all there are. */
  readonly held: readonly Uint8Array[]
  readonly isWhole: boolean
  /** The stream with what was read in it still. To be read, or returned from, once. */
  readonly rest: AsyncGenerator<Uint8Array, void, void>
}

/**
 * Reads the first bytes of a stream, however small the pieces are that it comes in, and gives it back as it was.
 *
 * @param check told how many bytes have been read; what it throws ends the stream
 */
export async function peek(stream: ByteStream, bytes: number, check: (length: number) => void = () => {}): Promise<Peeked> {
  const iterator = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]()
  const held: Uint8Array[] = []
  let isWhole = false
  try {
    for (let length = 0; length < bytes; ) {
      const next = await iterator.next()
      if (next.done) {
        isWhole = true
        break
      }
      held.push(next.value)
      length += next.value.length
      check(length)
    }
  } catch (error) {
    await iterator.return?.()
    throw error
  }
  return { held, isWhole, rest: resumed(held, iterator) }
}

async function* resumed(
  held: readonly Uint8Array[],
  iterator: Iterator<Uint8Array> | AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let hasEnded = false
  try {
    yield* held
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
    hasEnded = true
  } finally {
    if (!hasEnded) await iterator.return?.()
  }
}
