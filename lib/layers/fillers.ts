import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { binding, type Decoder } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import type { BlobFile, ByteStream } from '../store/index.ts'
import { errnoName } from '../sys/index.ts'
import { type Compression, compressionOf, decompress, longestMagic, ratioFloor, refuseOtherCompression } from './decompress.ts'
import { type LayerLimits, layerInvalid, limitExceeded } from './limits.ts'
import type { Ring } from './ring.ts'
import type { Filler } from './segments.ts'

/** native/decoder.c */
const states = { hungry: 0, hungryAtEdge: 1, full: 2, damaged: 3, tooWide: 4 } as const
const kinds = { none: 0, gzip: 1, zstd: 2 } as const
const pieceSize = 512 * 1024

/**
 * What fills the ring from a layer's file: the addon, where this Node has the decompressor it takes, else Node's own streams. `onCompression` is told
 * what the layer's first bytes say.
 */
export async function fillerOf(
  file: BlobFile,
  ring: Ring,
  limits: LayerLimits,
  onCompression: (compression: Compression) => void,
): Promise<Filler> {
  const stopping = new Stopping()
  const handle = await file.open()
  try {
    while (file.written < longestMagic && !file.isWhole) await file.more(file.written)
    const magic = Buffer.alloc(longestMagic)
    const { bytesRead } = await handle.read(magic, 0, Math.min(longestMagic, file.written), 0)
    const start = magic.subarray(0, bytesRead)
    refuseOtherCompression(start)
    const compression = compressionOf(start)
    onCompression(compression)
    const decoder = binding().decoder(kinds[compression], limits.windowBytes)
    if (decoder) return new DecodingFiller({ file, handle, ring, decoder, stopping, limits, isPacked: compression !== 'none' })
    return new StreamFiller(pieces(file, handle, stopping), ring, limits, () => handle.close(), stopping)
  } catch (error) {
    await handle.close()
    throw error
  }
}

export function fillerOfStream(stream: ByteStream, ring: Ring, limits: LayerLimits): Filler {
  return new StreamFiller(stream, ring, limits, () => Promise.resolve(), new Stopping())
}

/** A promise that rejects once it is over. */
class Stopping {
  readonly promise: Promise<never>
  #reject: (error: unknown) => void = () => {}
  isStopped = false

  constructor() {
    this.promise = new Promise((_, reject) => {
      this.#reject = reject
    })
    this.promise.catch(() => undefined)
  }

  stop(): void {
    this.isStopped = true
    this.#reject(new StrakeError('aborted', 'unpacking was ended'))
  }
}

async function* pieces(file: BlobFile, handle: FileHandle, stopping: Stopping): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; ; ) {
    if (at === file.written) {
      if (file.isWhole) return
      await Promise.race([file.more(at), stopping.promise])
      continue
    }
    const buffer = Buffer.allocUnsafeSlow(Math.min(pieceSize, file.written - at))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) throw layerInvalid('the file of the layer is shorter than it was')
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

interface Decoding {
  readonly file: BlobFile
  readonly handle: FileHandle
  readonly ring: Ring
  readonly decoder: Decoder
  readonly stopping: Stopping
  readonly limits: LayerLimits
  readonly isPacked: boolean
}

/** Decompresses on libuv's pool, straight into the ring. */
class DecodingFiller implements Filler {
  readonly #with: Decoding
  #made = 0

  constructor(decoding: Decoding) {
    this.#with = decoding
  }

  async fill(offset: number, length: number): Promise<number> {
    const { file, handle, ring, decoder, stopping } = this.#with
    for (let filled = 0; ; ) {
      if (stopping.isStopped) await stopping.promise
      const { isWhole, written } = file
      const [made, position, state] = await binding().decode(decoder, handle.fd, written, ring.handle, offset + filled, length - filled)
      filled += made
      this.#made += made
      this.#check(position, state)
      if (state === states.full) return filled
      if (!isWhole) await Promise.race([file.more(written), stopping.promise])
      else if (state === states.hungryAtEdge) return filled
      else throw layerInvalid('the compressed data was cut short')
    }
  }

  #check(position: number, state: number): void {
    const { limits, isPacked } = this.#with
    if (state < 0) {
      const name = errnoName(-state)
      throw Object.assign(new Error(`a layer could not be read: ${name}`), { code: name, errno: state })
    }
    if (state === states.damaged) throw layerInvalid('the compressed data is damaged, cut short or followed by something else')
    if (state === states.tooWide) throw limitExceeded('windowBytes', limits.windowBytes, 'window of the zstd data')
    if (this.#made > limits.layerBytes) throw limitExceeded('layerBytes', limits.layerBytes, 'bytes of the layer')
    if (isPacked && this.#made > ratioFloor && this.#made > position * limits.compressionRatio)
      throw limitExceeded('compressionRatio', limits.compressionRatio, 'bytes for each compressed byte')
  }

  digest(): string {
    return binding().digest(this.#with.decoder).toString('hex')
  }

  stop(): void {
    this.#with.stopping.stop()
  }

  async close(): Promise<void> {
    await this.#with.handle.close()
  }
}

/** Copies what Node's streams, or zstddec, make of a layer. */
class StreamFiller implements Filler {
  readonly #pieces: AsyncGenerator<Buffer, void, void>
  readonly #ring: Ring
  readonly #close: () => Promise<void>
  readonly #stopping: Stopping
  readonly #hash = createHash('sha256')
  #left: Buffer = Buffer.alloc(0)

  constructor(stream: ByteStream, ring: Ring, limits: LayerLimits, close: () => Promise<void>, stopping: Stopping) {
    this.#pieces = decompress(stream, limits)
    this.#ring = ring
    this.#close = close
    this.#stopping = stopping
  }

  async fill(offset: number, length: number): Promise<number> {
    let filled = 0
    while (filled < length) {
      if (this.#left.length === 0) {
        const next = await Promise.race([this.#pieces.next(), this.#stopping.promise])
        if (next.done) break
        this.#left = next.value
      }
      const part = this.#left.subarray(0, length - filled)
      this.#ring.memory.set(part, offset + filled)
      this.#hash.update(part)
      this.#left = this.#left.subarray(part.length)
      filled += part.length
    }
    return filled
  }

  digest(): string {
    return this.#hash.digest('hex')
  }

  stop(): void {
    this.#stopping.stop()
  }

  async close(): Promise<void> {
    // A source that never answers is not waited for.
    void this.#pieces.return().catch(() => undefined)
    await this.#close()
  }
}
