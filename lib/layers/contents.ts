import { access, mkdir, writeFile } from 'node:fs/promises'
import { onAbort } from '../errors/index.ts'
import { type BlobFile, type Digest, failedWith, hexOf, type Store, toDigest } from '../store/index.ts'
import { fillerOf } from './fillers.ts'
import type { LayerLimits } from './limits.ts'
import { Ring } from './ring.ts'

/** A layer's blob, and the uncompressed tar that it is said to hold. */
export interface LayerContent {
  readonly digest: Digest
  readonly diffId: Digest
}

/** One empty file for each: which blob was seen to hold which tar stays true for ever. */
function notePath(store: Store, { digest, diffId }: LayerContent): string {
  return store.path('cache', 'contents', `${hexOf(digest)}-${hexOf(diffId)}`)
}

/** Whether this store has seen that a blob holds what it is said to hold. An uncompressed one has its digest for that. */
export async function isKnownContent(store: Store, layer: LayerContent): Promise<boolean> {
  if (layer.digest === layer.diffId) return true
  try {
    await access(notePath(store, layer))
    return true
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}

/** To be called once the blob's own bytes were compared with its digest, too. Never rejects: what is not noted is looked at once more. */
export async function noteContent(store: Store, layer: LayerContent): Promise<void> {
  if (layer.digest === layer.diffId) return
  try {
    await mkdir(store.path('cache', 'contents'), { recursive: true, mode: 0o700 })
    await writeFile(notePath(store, layer), '', { mode: 0o600 })
  } catch {
    // A full disk, say.
  }
}

/**
 * The digest of what a layer's blob holds, which may still be on its way: decompressed as `unpackLayer` does it, and unpacked nowhere. Resolves once the
 * blob is whole. Rejects as `decompress` does, and with whatever ends the wait for its bytes.
 */
export async function contentOf(file: BlobFile, limits: LayerLimits, signal: AbortSignal | undefined): Promise<Digest> {
  const ring = Ring.own()
  try {
    const filler = await fillerOf(file, ring, limits, () => {})
    const forget = onAbort(signal, () => filler.stop())
    try {
      while ((await filler.fill(0, ring.segmentBytes)) === ring.segmentBytes);
      return toDigest('sha256', filler.digest())
    } finally {
      forget()
      await filler.close()
    }
  } finally {
    ring.release()
  }
}
