import { checkEntry, compressionOf, decompress, type LayerLimits, longestMagic, startOf, walkTar } from '../layers/index.ts'
import { type ByteStream, peek } from '../store/index.ts'

/**
 * The bytes of a tar as they are, while a walker looks at its headers. What it refuses is thrown; given `onRefusal` it is told,
 * once, and the bytes go on all the same. Holds no more than the walker has just read.
 *
 * @param decoded makes the tar of the bytes, where they are none
 */
export async function* walkedTar(
  stream: AsyncIterable<Uint8Array>,
  limits: Partial<LayerLimits> | undefined,
  onRefusal: (error: unknown) => void = refuse,
  decoded: (bytes: AsyncIterable<Uint8Array>) => ByteStream = (bytes) => bytes,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces = stream[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  const source = { failure: undefined as unknown, hasFailed: false, isLeft: false, reading: Promise.resolve() as Promise<unknown> }
  const take = async (): Promise<IteratorResult<Uint8Array>> => {
    try {
      const next = await pieces.next()
      if (!next.done) read.push(next.value)
      return next
    } catch (error) {
      Object.assign(source, { failure: error, hasFailed: true })
      throw error
    }
  }
  async function* tap(): AsyncGenerator<Uint8Array, void, void> {
    while (!source.isLeft) {
      const reading = take()
      source.reading = reading
      const next = await reading
      if (next.done) return
      yield next.value
    }
  }
  try {
    try {
      for await (const entry of walkTar(decoded(tap()), limits)) {
        checkEntry(entry, limits)
        yield* read.splice(0)
        for await (const _ of entry.pieces()) yield* read.splice(0)
      }
    } catch (error) {
      if (source.hasFailed) throw source.failure
      onRefusal(error)
    }
    // A decompressor reads ahead, and may be at it.
    source.isLeft = true
    await source.reading.catch(() => undefined)
    if (source.hasFailed) throw source.failure
    yield* read.splice(0)
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value
  } finally {
    await pieces.return?.()
  }
}

/**
 * As `walkedTar`, of a layer: one that is compressed goes by unseen, since to decompress it takes longer than all the rest of a load, unless there are limits
 * that it is to keep.
 */
export async function* walkedLayer(
  stream: ByteStream,
  limits: Partial<LayerLimits> | undefined,
  onRefusal: (error: unknown) => void = refuse,
): AsyncGenerator<Uint8Array, void, void> {
  const { held, rest } = await peek(stream, longestMagic)
  if (compressionOf(startOf(held)) === 'none') yield* walkedTar(rest, limits, onRefusal)
  else if (limits === undefined) yield* rest
  else yield* walkedTar(rest, limits, onRefusal, (bytes) => decompress(bytes, limits))
}

function refuse(error: unknown): never {
  throw error
}
