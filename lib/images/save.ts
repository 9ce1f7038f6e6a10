import { checkHooks, invalidOption, optionCheck, StrakeError } from '../errors/index.ts'
import { compressionOf, decompress, type LayerEntry, packLayer } from '../layers/index.ts'
import { type Descriptor, type Digest, hexOf, refNameAnnotation, type Store } from '../store/index.ts'
import { abortable } from './abortable.ts'
import { type ImageData, readImage } from './image.ts'
import { imageNameAnnotation } from './layout.ts'
import { writeLayout } from './layout-writer.ts'
import { indexMediaType } from './media-types.ts'
import { formatPlatform, matchesPlatform, type Platform } from './platform.ts'
import { familiarReference, formatReference, parseReference } from './reference.ts'
import { soundBlob } from './sound.ts'
import { surveyBlobs } from './survey.ts'
import { type Compress, checkTarget, type SaveTarget, writeOut } from './write-out.ts'

export type SaveFormat = 'oci-archive' | 'docker-archive' | 'oci'

export interface SaveOptions {
  /**
   * - `oci-archive` (default): an OCI image layout as a tar, every blob as it is, so that digests stay. It has Docker's `manifest.json`
   *   as well, so that `docker load` of any version takes it.
   * - `oci`: such a layout as a directory. One that is there already gets the image beside those it has.
   * - `docker-archive`: as `docker save` of old writes it. One platform; the id stays, the digest is lost.
   */
  readonly format?: SaveFormat | undefined
  /** The names that it has in the file. Default those that the image has. */
  readonly tags?: readonly string[] | undefined
  /** Of a multi-platform image this one only. Default: all in an `oci-archive`; in a `docker-archive` that of this machine. */
  readonly platform?: Platform | undefined
  /** Compresses the file as a whole. Default `none`: layers may be compressed inside it. */
  readonly compress?: Compress | undefined
  /** Ends it at any point, whatever it waits for; it rejects with `aborted`. A stream is destroyed then. */
  readonly signal?: AbortSignal | undefined
}

const checkNames = optionCheck<SaveOptions>('save', { format: true, tags: true, platform: true, compress: true, signal: true })

/** Refuses what are no options of `save`; values that have a parser are left to it. Throws `invalid_argument`. */
export function checkSaveOptions(options: { readonly signal?: unknown; readonly tags?: unknown }): void {
  checkNames(options)
  checkHooks({ signal: options.signal })
  if (options.tags !== undefined && !Array.isArray(options.tags)) throw invalidOption('tags must be a list of names.')
}

/**
 * Writes an image into a file (whole or not at all) or a stream, so that other programs can load it. The same image gives the same bytes. Rejects with
 * `store_invalid` where it lacks a blob, with `digest_mismatch` where one has changed on the disk.
 */
export async function saveImage(store: Store, image: ImageData, target: SaveTarget, options: SaveOptions = {}): Promise<void> {
  checkSaveOptions(options)
  checkTarget(target)
  const { format = 'oci-archive' } = options
  if (format !== 'docker-archive' && format !== 'oci-archive' && format !== 'oci')
    throw new StrakeError('invalid_argument', `not a format of images: ${JSON.stringify(format)}`, {
      hint: "'oci-archive', 'docker-archive', or 'oci' for a directory",
    })
  const tags = (options.tags ?? image.tags).map(namesOf)
  using hold = store.hold()
  const chosen = options.platform === undefined ? image : await readImage(store.blobs, image.root, { platform: options.platform })
  if (options.platform !== undefined && !matchesPlatform(chosen.platform, options.platform))
    throw new StrakeError(
      'image_not_found',
      `the image is for ${formatPlatform(chosen.platform)}, not for ${formatPlatform(options.platform)}`,
    )
  const root = options.platform === undefined ? image.root : chosen.descriptor
  const { blobs } = await surveyBlobs(store, root)
  await hold.keep(...[...blobs.keys()].map((digest) => `blob:${digest}` as const))
  if (format === 'oci') return await saveLayout(store, root, await blobsToSave(store, root), tags, target, options)
  const entries = format === 'docker-archive' ? dockerEntries(store, chosen, tags, options.signal) : ociEntries(store, root, chosen, tags)
  await writeOut(target, packLayer(entries), options)
}

interface Names {
  /** `app:1`. */
  readonly familiar: string
  /** `docker.io/library/app:1`. */
  readonly whole: string
}

function namesOf(tag: string): Names {
  const reference = parseReference(tag)
  if (reference.digest !== undefined) throw new StrakeError('invalid_reference', `a tag cannot name a digest: ${JSON.stringify(tag)}`)
  return { familiar: familiarReference(reference), whole: formatReference(reference) }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function smallFile(path: string, content: Buffer): LayerEntry {
  return { path, type: 'file', content }
}

function directory(path: string): LayerEntry {
  return { path, type: 'directory' }
}

/** The entries of `index.json`: one for each name. */
function entriesFor(root: Descriptor, tags: readonly Names[]): readonly Descriptor[] {
  if (tags.length === 0) return [root]
  return tags.map(({ familiar, whole }) => ({ ...root, annotations: { [imageNameAnnotation]: whole, [refNameAnnotation]: familiar } }))
}

/** All that hangs on a descriptor; what an index lists of unknown types only where it is there. */
async function blobsToSave(store: Store, root: Descriptor): Promise<Digest[]> {
  const digests: Digest[] = []
  for (const { digest, role } of (await surveyBlobs(store, root)).blobs.values())
    if (role !== 'other' || (await store.blobs.has(digest))) digests.push(digest)
  return digests
}

async function saveLayout(
  store: Store,
  root: Descriptor,
  blobs: readonly Digest[],
  tags: readonly Names[],
  target: SaveTarget,
  options: SaveOptions,
): Promise<void> {
  if (typeof target !== 'string' || (options.compress !== undefined && options.compress !== 'none'))
    throw new StrakeError('invalid_argument', "format 'oci' is a directory: it is written to a path, and not compressed")
  await writeLayout(store, target, options.signal, async (layout) => {
    for (const digest of blobs) await layout.addBlob(digest, await sizeOf(store, digest), () => soundBlob(store, digest))
    await layout.addManifests(entriesFor(root, tags))
  })
}

async function* ociEntries(store: Store, root: Descriptor, chosen: ImageData, tags: readonly Names[]): AsyncGenerator<LayerEntry> {
  yield smallFile('oci-layout', json({ imageLayoutVersion: '1.0.0' }))
  yield smallFile('index.json', json({ schemaVersion: 2, mediaType: indexMediaType, manifests: entriesFor(root, tags) }))
  yield smallFile(
    'manifest.json',
    json([
      {
        Config: blobPath(chosen.id),
        RepoTags: tags.length > 0 ? tags.map(({ whole }) => whole) : null,
        Layers: chosen.layers.map(({ digest }) => blobPath(digest)),
      },
    ]),
  )
  yield directory('blobs')
  const algorithms = new Set<string>()
  for (const digest of (await blobsToSave(store, root)).sort()) {
    const [algorithm = ''] = digest.split(':')
    if (!algorithms.has(algorithm)) yield directory(`blobs/${algorithm}`)
    algorithms.add(algorithm)
    yield await blobEntry(store, blobPath(digest), digest)
  }
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`
}

async function blobEntry(store: Store, path: string, digest: Digest): Promise<LayerEntry> {
  const size = await sizeOf(store, digest)
  return { path, type: 'file', size, content: soundBlob(store, digest) }
}

async function sizeOf(store: Store, digest: Digest): Promise<number> {
  const size = await store.blobs.size(digest)
  if (size !== undefined) return size
  throw new StrakeError('store_invalid', `the blob ${digest} of the image is not in the store`, {
    hint: 'store.verify() names all that is missing; of a multi-platform image { platform } saves one that is whole',
    details: { digest },
  })
}

async function* dockerEntries(
  store: Store,
  image: ImageData,
  tags: readonly Names[],
  signal: AbortSignal | undefined,
): AsyncGenerator<LayerEntry> {
  const config = `${hexOf(image.id)}.json`
  const layers = image.layers.map(({ digest }) => `${hexOf(digest)}.tar`)
  yield smallFile(
    'manifest.json',
    json([{ Config: config, RepoTags: tags.length > 0 ? tags.map(({ whole }) => whole) : null, Layers: layers }]),
  )
  yield smallFile(config, await store.blobs.read(image.id))
  for (const [index, layer] of image.layers.entries()) {
    const path = layers[index] ?? ''
    if (layers.indexOf(path) !== index) continue
    // Docker before version 23 does not know zstd.
    yield (await isZstd(store, layer.digest))
      ? await plainEntry(store, path, layer.digest, signal)
      : await blobEntry(store, path, layer.digest)
  }
}

/** Whatever its media type says. */
async function isZstd(store: Store, digest: Digest): Promise<boolean> {
  await sizeOf(store, digest)
  for await (const piece of await store.blobs.stream(digest)) return compressionOf(piece as Uint8Array) === 'zstd'
  return false
}

/** A tar wants to know sizes beforehand: the layer is decompressed twice, and never held. */
async function plainEntry(store: Store, path: string, digest: Digest, signal: AbortSignal | undefined): Promise<LayerEntry> {
  await sizeOf(store, digest)
  let size = 0
  for await (const piece of abortable(decompress(soundBlob(store, digest)), signal, 'saving')) size += piece.length
  return { path, type: 'file', size, content: decompress(soundBlob(store, digest)) }
}
