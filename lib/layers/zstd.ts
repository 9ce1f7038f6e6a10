import { pipeline, Readable, type Transform } from 'node:stream'
import zlib from 'node:zlib'
import { StrakeError } from '../errors/index.ts'
import type { ByteStream } from '../store/index.ts'
import { type LayerLimits, layerInvalid, limitExceeded } from './limits.ts'
import { ByteSource } from './source.ts'

/** A part of a frame; `last` is its last part. */
interface FramePart {
  readonly bytes: Buffer
  readonly last: boolean
}

const frameMagic = 0xfd2fb528
const skippableMagic = 0x184d2a50
const checksumBytes = 4

/**
 * Decompresses zstd (RFC 8878): any number of frames, skippable ones among them. The frames are told apart here, so that a window beyond
 * `windowBytes` is refused before a decoder sees it, and data after the last frame is refused. The decoding is node:zlib's where
 * it has zstd (22.15 and later), else zstddec's (the same C code as WebAssembly).
 */
export async function* unzstd(stream: ByteStream, limits: LayerLimits): AsyncGenerator<Buffer, void, void> {
  const frames = frameParts(new ByteSource(stream), limits)
  const decode = typeof nativeDecoder === 'function' ? decodeNatively : decodeInWasm
  for (let first = await frames.next(); !first.done; first = await frames.next()) {
    try {
      yield* decode(restOfFrame(first.value, frames))
    } catch (cause) {
      throw isZstdError(cause) ? layerInvalid('the zstd data is damaged', cause) : cause
    }
  }
}

async function* restOfFrame(first: FramePart, frames: AsyncGenerator<FramePart, void, void>): AsyncGenerator<FramePart, void, void> {
  yield first
  if (first.last) return
  for (let part = await frames.next(); !part.done; part = await frames.next()) {
    yield part.value
    if (part.value.last) return
  }
}

async function* frameParts(source: ByteSource, limits: LayerLimits): AsyncGenerator<FramePart, void, void> {
  const need = async (length: number): Promise<Buffer> => {
    const bytes = await source.exactly(length, 'a zstd frame')
    if (bytes === undefined) throw layerInvalid('the zstd data was cut short')
    return bytes
  }
  try {
    for (let magic = await source.exactly(4, 'a zstd frame'); magic !== undefined; magic = await source.exactly(4, 'a zstd frame')) {
      const number = magic.readUInt32LE(0)
      if ((number & 0xfffffff0) >>> 0 === skippableMagic) {
        await source.skip((await need(4)).readUInt32LE(0), 'a skippable zstd frame')
        continue
      }
      if (number !== frameMagic) throw layerInvalid('the zstd data is followed by something else')
      yield* frame(magic, need, limits)
    }
  } finally {
    await source.close()
  }
}

async function* frame(
  magic: Buffer,
  need: (length: number) => Promise<Buffer>,
  limits: LayerLimits,
): AsyncGenerator<FramePart, void, void> {
  const descriptor = await need(1)
  const flags = descriptor[0] ?? 0
  const single = (flags & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0
  const rest = await need((single ? 0 : 1) + dictionaryBytes + sizeBytes)
  if (dictionaryBytes > 0 && rest.subarray(single ? 0 : 1, (single ? 0 : 1) + dictionaryBytes).some((byte) => byte !== 0))
    throw layerInvalid('the zstd data needs a dictionary')
  const window = single ? contentSize(rest, sizeBytes) : windowSize(rest[0] ?? 0)
  if (window > limits.windowBytes) throw limitExceeded('windowBytes', limits.windowBytes, 'window of the zstd data')
  yield { bytes: Buffer.concat([magic, descriptor, rest]), last: false }
  for (let isLast = false; !isLast; ) {
    const header = await need(3)
    const word = header.readUIntLE(0, 3)
    const type = (word >> 1) & 3
    const size = type === 1 ? 1 : word >> 3
    isLast = (word & 1) === 1
    if (type === 3 || size > 128 * 1024) throw layerInvalid('the zstd data has a block of an unknown kind')
    const parts = [header]
    if (size > 0) parts.push(await need(size))
    const hasChecksum = isLast && (flags & 4) !== 0
    if (hasChecksum) parts.push(await need(checksumBytes))
    yield { bytes: Buffer.concat(parts), last: isLast }
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

function contentSize(header: Buffer, bytes: number): number {
  const field = header.subarray(header.length - bytes)
  if (bytes === 8) return Number(field.readBigUInt64LE(0))
  return field.readUIntLE(0, bytes) + (bytes === 2 ? 256 : 0)
}

type ZstdFactory = (options: { readonly chunkSize: number; readonly params: Readonly<Record<number, number>> }) => Transform

/** ZSTD_d_windowLogMax of zstd.h; the window was checked above, against a limit that the caller may have raised. */
const windowLogMax = 100
const nativeDecoder: unknown = Reflect.get(zlib, 'createZstdDecompress')

async function* decodeNatively(parts: AsyncIterable<FramePart>): AsyncGenerator<Buffer, void, void> {
  const decoder = (nativeDecoder as ZstdFactory)({ chunkSize: 512 * 1024, params: { [windowLogMax]: 31 } })
  async function* bytes(): AsyncGenerator<Buffer> {
    for await (const part of parts) yield part.bytes
  }
  // An error reaches the reader through the decoder, which pipeline destroys with it.
  pipeline(Readable.from(bytes()), decoder, () => {})
  for await (const chunk of decoder) yield chunk as Buffer
}

/** Calls without progress after which the decoder is taken to have stopped at an error, which zstddec does not report. */
const idleCalls = 16

/**
 * zstddec's generator asks its input for the next piece at most once between two of its own results: so a piece fetched ahead
 * of each step is enough to feed it from an asynchronous stream.
 */
async function* decodeInWasm(parts: AsyncIterable<FramePart>): AsyncGenerator<Buffer, void, void> {
  const { ZSTDDecoder } = await import('zstddec/stream')
  const decoder = new ZSTDDecoder()
  await decoder.init()
  const input = parts[Symbol.asyncIterator]()
  const ahead: Buffer[] = []
  const pieces: Iterable<Uint8Array> = {
    [Symbol.iterator]: () => ({
      next: () => {
        const value = ahead.pop()
        return value === undefined ? { done: true, value: undefined } : { done: false, value }
      },
    }),
  }
  const output = decoder.decodeStreaming(pieces)
  for (let idle = 0; idle < idleCalls; idle += 1) {
    if (ahead.length === 0) {
      const part = await input.next()
      if (!part.done) {
        ahead.push(part.value.bytes)
        idle = 0
      }
    }
    const step = output.next()
    if (step.done) return
    if (step.value.length > 0) {
      idle = 0
      yield Buffer.from(step.value.buffer, step.value.byteOffset, step.value.byteLength)
    }
  }
  throw layerInvalid('the zstd data is damaged')
}

/** node:zlib's errors have a code that begins with ZSTD or Z_; zstddec has one error, for data that was cut short. */
function isZstdError(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof StrakeError) return false
  return 'code' in error ? /^Z(STD)?_/.test(String(error.code)) : error.message.startsWith('Incomplete')
}
