import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import zlib, { constants, createGzip } from 'node:zlib'
import { StrakeError } from '../errors/index.ts'
import type { ByteStream } from '../store/index.ts'

export type LayerCompression = 'gzip' | 'zstd'

/** Bytes that are compressed by themselves: large enough that compression loses little, small enough that many are under way. */
const gzipBlock = 512 * 1024
const zstdBlock = 2 * 1024 * 1024
/** Between speed and size: 1 is hardly quicker, 6 takes half as long again and saves 2 %. */
const gzipLevel = 4
/** The most there is (zlib.h): 256 KB more for each, a tenth less time. */
const gzipMemory = 9
const zstdLevel = 3
/** ZSTD_c_compressionLevel of zstd.h. */
const zstdLevelParameter = 100

const deflate = promisify(zlib.deflateRaw) as (bytes: Uint8Array, options: zlib.ZlibOptions) => Promise<Buffer>
/** RFC 1952: deflate, no name, no time, an unknown system: the same input gives the same bytes everywhere. */
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
/** An empty last block of deflate (RFC 1951, 3.2.4). */
const deflateEnd = Buffer.from([0x03, 0x00])

type Crc32 = (bytes: Uint8Array, before: number) => number
type ZstdCompress = (bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void) => void

/** Node 20.15 and later. */
const crc32 = Reflect.get(zlib, 'crc32') as Crc32 | undefined
/** Node 22.15 and later. */
const zstdCompress = Reflect.get(zlib, 'zstdCompress') as ZstdCompress | undefined

export function checkCompression(compression: LayerCompression | 'none'): void {
  if (compression === 'zstd' && zstdCompress === undefined)
    throw new StrakeError('invalid_argument', "compression 'zstd' needs Node 22.15 or later", {
      hint: 'gzip is what every registry and engine takes',
    })
}

/** Compresses on all processors: gzip as one member whose blocks are deflated apart, zstd as frames one after the other. The same bytes each time. */
export function compress(stream: ByteStream, compression: LayerCompression): AsyncIterable<Buffer> {
  if (compression === 'zstd') return zstdFrames(stream)
  return crc32 ? gzipMember(stream, crc32) : serialGzip(stream)
}

async function* gzipMember(stream: ByteStream, sum: Crc32): AsyncGenerator<Buffer> {
  let crc = 0
  let length = 0
  const deflated = inOrder(blocks(stream, gzipBlock), (block) => {
    crc = sum(block, crc)
    length += block.length
    return deflate(block, { level: gzipLevel, memLevel: gzipMemory, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: gzipBlock })
  })
  yield gzipHeader
  yield* deflated
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc, 0)
  trailer.writeUInt32LE(length % 2 ** 32, 4)
  yield Buffer.concat([deflateEnd, trailer])
}

async function* serialGzip(stream: ByteStream): AsyncGenerator<Buffer> {
  const { Readable } = await import('node:stream')
  for await (const piece of Readable.from(stream).pipe(createGzip({ level: gzipLevel, memLevel: gzipMemory, chunkSize: gzipBlock })))
    yield piece as Buffer
}

async function* zstdFrames(stream: ByteStream): AsyncGenerator<Buffer> {
  const params = { [zstdLevelParameter]: zstdLevel }
  yield* inOrder(
    // Nothing at all is a frame too: no bytes are no zstd (RFC 8878).
    blocks(stream, zstdBlock, 1),
    (block) =>
      new Promise<Buffer>((resolve, reject) => {
        zstdCompress?.(block, { params }, (error, result) => (error ? reject(error) : resolve(result)))
      }),
  )
}

/** Cut into blocks of `size`, the last of them shorter; an empty one where there would be fewer than `least`, of 0 and 1. */
async function* blocks(stream: ByteStream, size: number, least: 0 | 1 = 0): AsyncGenerator<Buffer> {
  let held: Uint8Array[] = []
  let length = 0
  let count = 0
  for await (const piece of stream) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + size - length)
      held.push(part)
      length += part.length
      at += part.length
      if (length < size) continue
      count += 1
      yield held.length === 1 ? Buffer.from(part.buffer, part.byteOffset, part.length) : Buffer.concat(held, length)
      held = []
      length = 0
    }
  }
  if (length > 0 || count < least) yield Buffer.concat(held, length)
}

/** Results in the order of their blocks, with a few under way. */
async function* inOrder(input: AsyncIterable<Buffer>, work: (block: Buffer) => Promise<Buffer>): AsyncGenerator<Buffer> {
  const most = Math.min(4, availableParallelism()) + 1
  const queue: Promise<Buffer>[] = []
  try {
    for await (const block of input) {
      const result = work(block)
      result.catch(() => {})
      queue.push(result)
      if (queue.length >= most) yield (await queue.shift()) ?? Buffer.alloc(0)
    }
    for (let next = queue.shift(); next; next = queue.shift()) yield await next
  } finally {
    await Promise.allSettled(queue)
  }
}
