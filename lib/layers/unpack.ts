import { onAbort, StrakeError } from '../errors/index.ts'
import { type BlobFile, type ByteStream, type Digest, toDigest } from '../store/index.ts'
import type { Agent } from '../zygote/index.ts'
import type { Compression } from './decompress.ts'
import { fillerOf, fillerOfStream } from './fillers.ts'
import { withDefaults } from './limits.ts'
import { Ring } from './ring.ts'
import { type Filler, segmentsOf } from './segments.ts'
import { ByteSource } from './source.ts'
import { Unpacker, type UnpackOptions } from './unpacker.ts'
import { Walker } from './walk.ts'

export interface Unpacked {
  /** Of the uncompressed tar. */
  readonly diffId: Digest
  readonly entries: number
  /** Bytes of the uncompressed tar. */
  readonly bytes: number
}

/**
 * Unpacks a layer (a tar, compressed or not) into the root directory of `agent`, which is confined to it and finds it empty, in
 * overlayfs' form: a whiteout becomes a character device 0:0, an opaque directory gets `user.overlay.opaque` (image-spec,
 * layer.md; Documentation/filesystems/overlayfs.rst). How it is compressed its first bytes say, whatever `mediaType` does.
 *
 * Rejects with `layer_invalid`, `path_escapes`, `limit_exceeded`, `digest_mismatch`, `aborted`, or `kernel_refused` when the machine is at
 * fault (a full disk, say). The directory is then to be thrown away.
 */
export async function unpackLayer(source: BlobFile | ByteStream, agent: Agent, options: UnpackOptions = {}): Promise<Unpacked> {
  const limits = withDefaults(options.limits)
  const ring = await Ring.shared(agent)
  try {
    const onCompression = (found: Compression): void => tellMisnamed(found, options)
    const filler = 'more' in source ? await fillerOf(source, ring, limits, onCompression) : fillerOfStream(source, ring, limits)
    const forget = onAbort(options.signal, () => filler.stop())
    try {
      return await unpackFrom(filler, ring, agent, options)
    } catch (error) {
      throw options.signal?.aborted ? aborted(options.signal) : error
    } finally {
      forget()
      await filler.close()
    }
  } finally {
    ring.release()
  }
}

/** Throws `digest_mismatch` when a layer's content is another than is said of it. */
export function checkDiffId(actual: Digest, expected: Digest): void {
  if (actual === expected) return
  throw new StrakeError('digest_mismatch', `the layer's content has diffID ${actual}, not ${expected}`, { details: { expected, actual } })
}

/** A layer is read as what it is, as Docker and podman do; umoci goes by its media type and fails. */
function tellMisnamed(found: Compression, { mediaType, onNotice }: UnpackOptions): void {
  if (mediaType === undefined || (/[.+](gzip|zstd)$/.exec(mediaType)?.[1] ?? 'none') === found) return
  const what = found === 'none' ? 'is not compressed' : `is compressed by ${found}`
  onNotice?.({ path: '/', message: `the layer ${what}, other than its media type says (${mediaType}): other programs may refuse it` })
}

export function aborted(signal: AbortSignal): StrakeError {
  return new StrakeError('aborted', 'unpacking was aborted', { cause: signal.reason })
}

async function unpackFrom(filler: Filler, ring: Ring, agent: Agent, options: UnpackOptions): Promise<Unpacked> {
  const unpacker = new Unpacker(agent, ring, options)
  let bytes = 0
  async function* walked(): AsyncGenerator<Buffer> {
    for await (const segment of segmentsOf(ring, filler)) {
      if (options.signal?.aborted) throw aborted(options.signal)
      bytes += segment.bytes.length
      yield segment.bytes
      // Everything in it was walked, so every op that reads it is among those sent by now.
      segment.release((await unpacker.flush()).carriedOut)
    }
  }
  const entries = await unpacker.run(new Walker(new ByteSource(walked()), withDefaults(options.limits)))
  const diffId = toDigest('sha256', filler.digest())
  if (options.diffId !== undefined) checkDiffId(diffId, options.diffId)
  return { diffId, entries, bytes }
}
