import { createHash } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { soundBlob } from '../../images/index.ts'
import { compress, compressionOf, decompress, type LayerCompression, longestMagic, noteContent, startOf } from '../../layers/index.ts'
import { type Descriptor, type Digest, peek, type Store, toDigest } from '../../store/index.ts'

export interface CompressedFile {
  readonly path: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/**
 * Compresses a layer of the store (one that is compressed already, whatever its media type says, anew) into a file that is there while `use` runs.
 * A file and no blob: pushing once must not cost half as much disk for ever, and what it became is remembered, so that a second push to the same place needs no file at all. Rejects with `digest_mismatch`, and does not use it,
 * when the layer turns out to be another than its digest says.
 *
 * @param onBytes told how many bytes of the layer have been taken in
 */
export async function withCompressed<T>(
  store: Store,
  layer: Descriptor,
  compression: LayerCompression,
  onBytes: (bytes: number) => void,
  use: (file: CompressedFile) => Promise<T>,
): Promise<T> {
  const path = store.temporary('tmp', 'compressed')
  try {
    const hash = createHash('sha256')
    let size = 0
    const { held, rest } = await peek(soundBlob(store, layer.digest), longestMagic)
    const handle = await open(path, 'wx', 0o600)
    try {
      for await (const piece of compress(decompress(counted(rest, onBytes)), compression)) {
        hash.update(piece)
        for (let at = 0; at < piece.length; ) at += (await handle.write(piece, at)).bytesWritten
        size += piece.length
      }
    } finally {
      await handle.close()
    }
    const digest = toDigest('sha256', hash.digest('hex'))
    // Pulled back it need not be looked into.
    if (compressionOf(startOf(held)) === 'none') await noteContent(store, { digest, diffId: layer.digest })
    return await use({ path, digest, size })
  } finally {
    await rm(path, { force: true })
  }
}

async function* counted(stream: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of stream) {
    bytes += piece.length
    onBytes(bytes)
    yield piece
  }
}
