import { createReadStream } from 'node:fs'
import { StrakeError } from '../../errors/index.ts'
import {
  familiarReference,
  goneBlob,
  hasLinks,
  type ImageData,
  kindOf,
  largestManifest,
  layerMediaTypeOf,
  type Manifest,
  parseManifest,
  parseReference,
  soundBlob,
} from '../../images/index.ts'
import { type ByteStream, blobKey, type Descriptor, type Digest, failedWith, type Store } from '../../store/index.ts'
import { manifestName, oneOf, parallelOf, rejection } from './check.ts'
import { checkCompression } from './compress.ts'
import { withCompressed } from './compressed.ts'
import { throwIfAborted } from './failure.ts'
import { indexesWith } from './indexes.ts'
import { type MadeManifest, rewritten, subjectOf, withReferences, withSubject } from './made-manifest.ts'
import { checkRemoteOptions } from './option-names.ts'
import type { PushOptions, TransferEvent } from './options.ts'
import { inParallel, linked } from './parallel.ts'
import { Records } from './records.ts'
import { Repository } from './repository.ts'
import { upload } from './upload.ts'

/** What a registry has after a push. */
export interface PushResult {
  /** As it was given: `127.0.0.1:5000/app:2`. */
  readonly reference: string
  /** Of the manifest, or index, in the registry: another than the image's own where layers were compressed on their way. */
  readonly digest: string
  readonly mediaType: string
  /** Blobs that were sent; those that were there, or mounted from another repository, do not count. */
  readonly uploaded: number
  /** Their bytes. */
  readonly uploadedBytes: number
}

interface Push {
  readonly store: Store
  readonly repository: Repository
  readonly options: PushOptions
  readonly compression: 'gzip' | 'zstd' | 'none'
  readonly control: AbortController
  readonly records: Records
  readonly sent: { blobs: number; bytes: number }
  /** What the manifests of an index have become, by the digests that they have in the store. */
  readonly made: Map<Digest, Descriptor>
}

/**
 * Sends an image to a registry under a tag: the blobs that it lacks, then the manifest. Layers that the store has uncompressed are compressed on their
 * way. With a digest and a tag it is put under the tag, if it has that digest. Rejects with `invalid_reference`, `invalid_argument`, `registry_…`, `image_not_found` (no index with it, for `platform: 'all'`), `store_invalid`,
 * `digest_mismatch` (a reference with a digest that the image has not; a layer that has changed on the disk), `aborted`.
 */
export async function pushImage(
  store: Store,
  image: Pick<ImageData, 'digest' | 'descriptor'> & Partial<Pick<ImageData, 'id' | 'layers'>>,
  reference: string,
  options: PushOptions = {},
): Promise<PushResult> {
  checkRemoteOptions('push', options)
  const target = parseReference(reference)
  const compression = oneOf('compression', options.compression, ['gzip', 'zstd', 'none'], 'gzip')
  checkCompression(compression)
  parallelOf(options)
  if (options.chunkSize !== undefined && !(Number.isInteger(options.chunkSize) && options.chunkSize > 0))
    throw new StrakeError('invalid_argument', 'chunkSize is a number of bytes')
  oneOf('platform', options.platform, ['all'], 'all')
  const { control, unlink } = linked(options.signal)
  using hold = store.hold()
  try {
    // All at once, and before anything is read: a collector of another process takes whichever of them nobody holds.
    const parts = [...(image.id ? [image.id] : []), ...(image.layers ?? []).map(({ digest }) => digest)]
    await hold.keep(...[image.digest, ...parts].map(blobKey))
    const repository = new Repository(target.domain, target.repository, { ...options, signal: control.signal }, 'push')
    const sent = { blobs: 0, bytes: 0 }
    const push: Push = { store, repository, options, compression, control, records: new Records(store), sent, made: new Map() }
    const root = options.platform === 'all' ? await indexWith(store, image) : image.descriptor
    const made = await pushManifest(push, root)
    if (target.digest !== undefined && target.digest !== made.digest)
      throw new StrakeError('digest_mismatch', `the image is ${made.digest} in a registry, not ${target.digest}`, {
        hint: "push it by a tag; compression: 'none' keeps the digest",
        details: { expected: target.digest, actual: made.digest },
      })
    // By its digest alone nobody would find it under the tag that was asked for.
    await repository.putManifest(target.tag ?? manifestName(target), made.mediaType, made.bytes)
    return {
      reference: familiarReference(target),
      digest: made.digest,
      mediaType: made.mediaType,
      uploaded: sent.blobs,
      uploadedBytes: sent.bytes,
    }
  } catch (error) {
    throw rejection(error, options.signal)
  } finally {
    unlink()
  }
}

async function indexWith(store: Store, image: Pick<ImageData, 'digest'>): Promise<Descriptor> {
  const [index] = await indexesWith(store, image.digest)
  if (index) return index
  throw new StrakeError('image_not_found', 'the store has no index with this image in it', {
    hint: "pull it with { platform: 'all' }, or push this image alone",
    details: { digest: image.digest },
  })
}

/** Sees to it that the registry has all that a manifest points to. Resolves to the manifest as it is to be there; it is not sent yet. */
async function pushManifest(push: Push, descriptor: Descriptor): Promise<MadeManifest> {
  await push.store.note(blobKey(descriptor.digest))
  const bytes = await push.store.blobs.read(descriptor.digest)
  const parsed = parseManifest(bytes, descriptor.mediaType, { artifacts: true })
  const same = withSubject({ digest: descriptor.digest, mediaType: descriptor.mediaType, bytes }, push.made)
  if (parsed.kind === 'index') {
    for (const each of parsed.manifests) await pushChild(push, each, parsed.manifests)
    const children = parsed.manifests.map((each) => push.made.get(each.digest) ?? each)
    return withReferences(rewritten(same, 'manifests', parsed.manifests, children), push.made)
  }
  // Those that wait for their turn, too: the image may be removed meanwhile.
  await push.store.note(...[parsed.config, ...parsed.layers].map(({ digest }) => blobKey(digest)))
  const planned = await plannedLayers(push, parsed)
  const known = planned && rewritten(same, 'layers', parsed.layers, planned)
  // A registry takes a manifest only with its blobs: where it has that, it has them.
  if (known && (await push.repository.hasManifest(known.digest))) {
    for (const each of planned) tell(push, 'present', 'layer', each, each.size)
    return known
  }
  const layers = new Map<Digest, Descriptor>()
  const blobs = [...parsed.layers.map((each) => ({ each, kind: 'layer' as const })), { each: parsed.config, kind: 'config' as const }]
  const distinct = [...new Map(blobs.map((blob) => [blob.each.digest, blob])).values()]
  await inParallel(distinct, parallelOf(push.options), push.control, async ({ each, kind }) => {
    layers.set(each.digest, await pushBlob(push, each, kind))
  })
  return rewritten(
    same,
    'layers',
    parsed.layers,
    parsed.layers.map((each) => layers.get(each.digest) ?? each),
  )
}

/** Sends a part of an index, and before it the one among the others that it is about: its digest there has to be known. */
async function pushChild(push: Push, child: Descriptor, others: readonly Descriptor[]): Promise<void> {
  if (push.made.has(child.digest)) return
  if (!hasLinks(child)) return await pushOther(push, child)
  await push.store.note(blobKey(child.digest))
  const subject = subjectOf(await push.store.blobs.read(child.digest, largestManifest))
  const about = others.find(({ digest }) => digest === subject)
  if (about) await pushChild(push, about, others)
  const made = await pushManifest(push, child)
  if (!(await push.repository.hasManifest(made.digest))) await push.repository.putManifest(made.digest, made.mediaType, made.bytes)
  tell(push, 'done', 'manifest', { digest: made.digest, size: made.bytes.length }, made.bytes.length)
  push.made.set(child.digest, { mediaType: made.mediaType, digest: made.digest, size: made.bytes.length })
}

/** What an index lists that is of no type known here goes there as it is, if the store has it. */
async function pushOther(push: Push, blob: Descriptor): Promise<void> {
  await push.store.note(blobKey(blob.digest))
  if (!(await push.store.blobs.has(blob.digest))) return
  if (!(await isThere(push, blob, 'layer'))) await send(push, blob, 'layer')
}

/** Whether a layer is to be compressed on its way: a plain tar whose media type has a name for its compressed form. */
function targetOf(push: Push, layer: Descriptor): { readonly compression: 'gzip' | 'zstd'; readonly mediaType: string } | undefined {
  const { compression } = push
  if (compression === 'none') return undefined
  if (layer.mediaType === layerMediaTypeOf('none')) return { compression, mediaType: layerMediaTypeOf(compression) }
  if (layer.mediaType === 'application/vnd.docker.image.rootfs.diff.tar')
    return { compression, mediaType: `${layer.mediaType}.${compression}` }
  return undefined
}

/** What the layers will be in the registry, if an earlier push has found it out for all of them. */
async function plannedLayers(push: Push, manifest: Manifest): Promise<Descriptor[] | undefined> {
  const planned: Descriptor[] = []
  for (const layer of manifest.layers) {
    const target = targetOf(push, layer)
    const known = target && (await push.records.compressed(layer.digest, target.compression))
    if (target && !known) return undefined
    planned.push(target && known ? { mediaType: target.mediaType, ...known } : layer)
  }
  return planned
}

function tell(
  push: Push,
  phase: TransferEvent['phase'],
  kind: TransferEvent['kind'],
  blob: { digest: string; size: number },
  bytes: number,
  total?: number,
): void {
  push.options.onProgress?.({ phase, kind, digest: blob.digest, bytes, total: total ?? blob.size })
}

/** Sees to it that the registry has a blob. Resolves to its descriptor there. */
async function pushBlob(push: Push, blob: Descriptor, kind: 'layer' | 'config'): Promise<Descriptor> {
  throwIfAborted(push.control.signal)
  const target = kind === 'layer' && kindOf(blob.mediaType) === 'layer' ? targetOf(push, blob) : undefined
  if (target === undefined) {
    if (!(await isThere(push, blob, kind))) await send(push, blob, kind)
    return blob
  }
  const known = await push.records.compressed(blob.digest, target.compression)
  const expected = known && { mediaType: target.mediaType, ...known }
  if (expected && (await isThere(push, expected, kind))) return expected
  return await withCompressed(
    push.store,
    blob,
    target.compression,
    (bytes) => tell(push, 'compress', kind, blob, bytes),
    async (made) => {
      throwIfAborted(push.control.signal)
      await push.records.noteCompressed(blob.digest, target.compression, made)
      const descriptor = { mediaType: target.mediaType, digest: made.digest, size: made.size }
      if (made.digest === known?.digest || !(await isThere(push, descriptor, kind))) await send(push, descriptor, kind, made.path)
      return descriptor
    },
  )
}

/** Whether the registry has a blob, in this repository or, taken over from there, in another one. */
async function isThere(push: Push, blob: Descriptor, kind: 'layer' | 'config'): Promise<boolean> {
  if (!(await push.repository.hasBlob(blob.digest))) return false
  tell(push, 'present', kind, blob, blob.size)
  if (kind === 'layer') await push.records.noteRepository(push.repository.host, blob.digest, push.repository.name)
  return true
}

/** @param made the file that a layer was compressed to; without one the blob is sent as the store has it */
async function send(push: Push, blob: Descriptor, kind: 'layer' | 'config', made?: string): Promise<void> {
  const { repository, records, options, store } = push
  if (made === undefined && (await store.blobs.size(blob.digest)) !== blob.size)
    throw new StrakeError('store_invalid', `the blob ${blob.digest} is not in the store as its manifest says`, {
      details: { digest: blob.digest },
    })
  const mountFrom = (await records.repositories(repository.host, blob.digest)).filter((each) => each !== repository.name)
  tell(push, 'upload', kind, blob, 0)
  const how = await upload(
    repository,
    {
      digest: blob.digest,
      size: blob.size,
      open: (start, end) => part(made ?? store.blobs.path(blob.digest), blob.digest, start, end),
      onBytes: (bytes) => tell(push, 'upload', kind, blob, bytes),
    },
    { mountFrom, chunkSize: options.chunkSize },
  ).catch(async (error: unknown) => {
    // A registry refuses what is not what it is called: then it is said why, by reading it once more.
    if (made === undefined && error instanceof StrakeError && error.code === 'registry_protocol') await soundness(store, blob.digest)
    throw error
  })
  if (how === 'uploaded') {
    push.sent.blobs += 1
    push.sent.bytes += blob.size
  }
  tell(push, how === 'mounted' ? 'mounted' : 'done', kind, blob, blob.size)
  if (kind === 'layer') await records.noteRepository(repository.host, blob.digest, repository.name)
}

async function* part(path: string, digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { start, end: end - 1, highWaterMark: 512 * 1024 }) as ByteStream & AsyncIterable<Uint8Array>
  } catch (error) {
    throw failedWith(error, 'ENOENT') ? goneBlob(digest, error) : error
  }
}

async function soundness(store: Store, digest: Digest): Promise<void> {
  for await (const _ of soundBlob(store, digest));
}
