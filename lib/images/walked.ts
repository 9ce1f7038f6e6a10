import { checkEntry, compressionOf, type LayerLimits, longestMagic, startOf, walkTar } from '../layers/index.ts'
import { type ByteStream, peek } from '../store/index.ts'

/**
 * The bytes of a tar as they are, while a walker looks at its headers. What it refuses is thrown; given `onRefusal` it is told,
 * once, and the bytes go on all the same. Holds no more than the walker has just read.
 */
export async function* walkedTar(
  stream: AsyncIterable<Uint8Array>,
  limits: Partial<LayerLimits> | undefined,
  onRefusal: (error: unknown) => void = refuse,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces = stream[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  const source = { failure: undefined as unknown, hasFailed: false }
  async function* tap(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const next = await pieces.next().catch((error: unknown) => {
        Object.assign(source, { failure: error, hasFailed: true })
        throw error
      })
      if (next.done) return
      read.push(next.value)
      yield next.value
    }
  }
  try {
    try {
      for await (const entry of walkTar(tap(), limits)) {
        checkEntry(entry, limits)
        yield* read.splice(0)
        for await (const _ of entry.pieces()) yield* read.splice(0)
      }
    } catch (error) {
      if (source.hasFailed) throw source.failure
      onRefusal(error)
    }
    yield* read.splice(0)
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value
  } finally {
    await pieces.return?.()
  }
}

/** As `walkedTar`, of a layer: one that is compressed goes by unseen, since to decompress it takes longer than all the rest of a load. */
export async function* walkedLayer(
  stream: ByteStream,
  limits: Partial<LayerLimits> | undefined,
  onRefusal: (error: unknown) => void = refuse,
): AsyncGenerator<Uint8Array, void, void> {
  const { held, rest } = await peek(stream, longestMagic)
  if (compressionOf(startOf(held)) !== 'none') yield* rest
  else yield* walkedTar(rest, limits, onRefusal)
}

function refuse(error: unknown): never {
  throw error
}
