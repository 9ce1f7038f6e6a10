import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { type ByteStream, peek } from '../store/index.ts'
import { type LayerLimits, layerInvalid, limitExceeded, withDefaults } from './limits.ts'
import { unzstd } from './zstd.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Node's stream inflates twice as fast with pieces of this size as with its own 16 KB. */
const pieceSize = 512 * 1024
/** A ratio says something once so many bytes are out. */
export const ratioFloor = 256 * 1024 * 1024

/** Tells a stream's compression by its first bytes, whatever its media type or name says. */
export function compressionOf(start: Uint8Array): Compression {
  const magic = Buffer.from(start.buffer, start.byteOffset, start.byteLength)
  if (magic.length >= 2 && magic.readUInt16BE(0) === 0x1f8b) return 'gzip'
  if (magic.length >= 4 && (magic.readUInt32LE(0) === 0xfd2fb528 || (magic.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50))
    return 'zstd'
  return 'none'
}

/** Bytes that tell all of them apart. */
export const longestMagic = 4

/** The first bytes of what was read. */
export function startOf(held: readonly Uint8Array[]): Buffer {
  return Buffer.concat(held.map((each) => each.subarray(0, longestMagic))).subarray(0, longestMagic)
}

/** What layers never are, and archives of root file systems may be. */
export function otherCompressionOf(start: Buffer): 'xz' | 'bzip2' | 'lz4' | undefined {
  const magic = start.toString('latin1')
  return magic.startsWith('\xfd7zX') ? 'xz' : magic.startsWith('BZh') ? 'bzip2' : magic.startsWith('\x04"M\x18') ? 'lz4' : undefined
}

/** Refuses what no layer is compressed by. Throws `layer_invalid`. */
export function refuseOtherCompression(start: Buffer): void {
  const other = otherCompressionOf(start)
  if (other !== undefined)
    throw layerInvalid(`it is compressed with ${other}, which is not supported; gzip and zstd are: decompress it first`)
}

/**
 * Decompresses gzip (several members too), zstd (several frames too) or neither. Rejects with `layer_invalid` when the data is damaged, cut
 * short or followed by something else; with `limit_exceeded` beyond `layerBytes`, `compressionRatio` or `windowBytes`.
 */
export async function* decompress(stream: ByteStream, limits: Partial<LayerLimits> = {}): AsyncGenerator<Buffer, void, void> {
  const all = withDefaults(limits)
  const { held, rest } = await peek(stream, longestMagic)
  const start = startOf(held)
  const compression = compressionOf(start)
  refuseOtherCompression(start)
  const counted = { bytes: 0 }
  const input = count(rest, counted)
  const output = compression === 'gzip' ? gunzip(input, counted) : compression === 'zstd' ? unzstd(input, all) : input
  let out = 0
  for await (const piece of output) {
    out += piece.length
    if (out > all.layerBytes) throw limitExceeded('layerBytes', all.layerBytes, 'bytes of the layer')
    if (compression !== 'none' && out > ratioFloor && out > counted.bytes * all.compressionRatio)
      throw limitExceeded('compressionRatio', all.compressionRatio, 'bytes for each compressed byte')
    yield piece
  }
}

async function* count(stream: AsyncIterable<Uint8Array>, counted: { bytes: number }): AsyncGenerator<Buffer> {
  for await (const piece of stream) {
    counted.bytes += piece.length
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
  }
}

async function* gunzip(stream: AsyncIterable<Buffer>, counted: { readonly bytes: number }): AsyncGenerator<Buffer> {
  const inflater = createGunzip({ chunkSize: pieceSize })
  // An error reaches the reader through the inflater, which pipeline destroys with it.
  pipeline(Readable.from(stream), inflater, () => {})
  try {
    for await (const piece of inflater) yield piece as Buffer
  } catch (cause) {
    const damaged = cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_')
    throw damaged ? layerInvalid('the gzip data is damaged, cut short or followed by something else', cause) : cause
  }
  // Node ends at zeroes after the last member, whatever may follow them.
  if (inflater.bytesWritten < counted.bytes)
    throw layerInvalid(`the gzip data is followed by ${counted.bytes - inflater.bytesWritten} other bytes`)
}
