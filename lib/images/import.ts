import { StrakeError } from '../errors/index.ts'
import type { Descriptor, Digest, Store } from '../store/index.ts'
import { checkAborted } from './abortable.ts'
import { type Archive, readArchive } from './archive.ts'
import { chooseFromDocker, importDockerImage, parseDockerManifest } from './docker-archive.ts'
import { type ImageData, readAnyImage, readImage } from './image.ts'
import { Images } from './images.ts'
import type { ReadOptions } from './import-options.ts'
import {
  allOfLayout,
  type BlobSource,
  chooseFromLayout,
  importBlobs,
  importWhole,
  LayoutDirectory,
  type NamedImage,
  parseLayoutIndex,
} from './layout.ts'
import type { Platform } from './platform.ts'
import { importRootfsDirectory, importRootfsFile } from './rootfs.ts'
import { kindOfPath, sourceFile } from './source-file.ts'
import { importing } from './transaction.ts'

/** Where an image is to be had from on this machine. Paths are absolute. */
export type ImageSource =
  | { readonly kind: 'layout'; readonly path: string; readonly tag?: string }
  | { readonly kind: 'archive'; readonly format: 'oci' | 'docker'; readonly path: string; readonly tag?: string }
  /** A directory, or a tar of one. */
  | { readonly kind: 'rootfs'; readonly path: string }

export interface ImportOptions extends ReadOptions {
  /** Which of a multi-platform image; default that of this machine. */
  readonly platform?: Platform | undefined
}

/**
 * Brings an image into the store from a file or directory. It gets no name: that is the caller's to give. Rejects with `image_not_found`,
 * `image_invalid`, `layer_invalid`, `digest_mismatch`, `size_mismatch`, `limit_exceeded`, and with `invalid_argument` where a file cannot be read.
 */
export async function importImage(store: Store, source: ImageSource, options: ImportOptions = {}): Promise<ImageData> {
  return await importing(
    store,
    async () => {
      const image = await importFrom(store, source, options)
      checkAborted(options.signal, 'importing')
      return image
    },
    ({ descriptor }) => [descriptor],
  )
}

async function importFrom(store: Store, source: ImageSource, options: ImportOptions): Promise<ImageData> {
  const kind = await kindOfPath(source.path)
  if (source.kind === 'rootfs') return await (kind === 'directory' ? importRootfsDirectory : importRootfsFile)(store, source.path, options)
  if (source.kind === 'layout') {
    const layout = new LayoutDirectory(source.path, options)
    const { descriptor } = chooseFromLayout(await layout.manifests(), source.tag, source.path)
    return await finish(store, (await importBlobs(store, layout, descriptor, options.platform)).descriptor)
  }
  const archive = await openArchive(store, source.path, options)
  if (source.format === 'docker')
    return await finish(
      store,
      await importDockerImage(
        store,
        archive,
        chooseFromDocker(parseDockerManifest(needed(archive, 'manifest.json', source.path)), source.tag, source.path),
      ),
    )
  const { descriptor } = chooseFromLayout(parseLayoutIndex(needed(archive, 'index.json', source.path)), source.tag, source.path)
  return await finish(store, (await importBlobs(store, archive, descriptor, options.platform)).descriptor)
}

/**
 * Brings every image of an OCI layout, an OCI archive or a `docker save` archive into the store, under the names that they have there. What the
 * path holds is found out by looking. Multi-platform images come whole, unless `platform` chooses one. All of them come, or none: also where the signal ends it.
 */
export async function loadImages(store: Store, path: string, options: ImportOptions = {}): Promise<ImageData[]> {
  return await importing(
    store,
    async () => {
      const images = await imagesAt(store, path, options)
      const data = new Map<Digest, ImageData>()
      for (const { descriptor } of images)
        data.set(descriptor.digest, data.get(descriptor.digest) ?? (await readAnyImage(store.blobs, descriptor)))
      checkAborted(options.signal, 'loading')
      for (const { descriptor, tag } of images) await new Images(store).keep(descriptor, tag === undefined ? [] : [tag])
      const refs = await store.refs.list()
      return [...data].map(([digest, image]): ImageData => {
        const tags = refs.flatMap((each) => ([digest, image.digest].includes(each.descriptor.digest) ? (each.name ?? []) : []))
        return { ...image, tags: [...new Set(tags)].filter((each) => !each.includes('@')).sort() }
      })
    },
    (images) => images.map(({ root }) => root),
  )
}

/** Every image that a path holds, its blobs in the store. */
async function imagesAt(store: Store, path: string, options: ImportOptions): Promise<NamedImage[]> {
  if ((await kindOfPath(path)) === 'directory') {
    const layout = new LayoutDirectory(path, options)
    return await importAll(store, layout, await layout.manifests(), options)
  }
  const archive = await openArchive(store, path, options)
  const index = archive.text('index.json')
  if (index && archive.text('oci-layout')) return await importAll(store, archive, parseLayoutIndex(index), options)
  const images: NamedImage[] = []
  for (const image of parseDockerManifest(needed(archive, 'manifest.json', path))) {
    const descriptor = await importDockerImage(store, archive, image)
    for (const tag of image.tags.length > 0 ? image.tags : [undefined]) images.push({ descriptor, tag })
  }
  return images
}

async function importAll(
  store: Store,
  source: BlobSource,
  manifests: readonly Descriptor[],
  { platform }: ImportOptions,
): Promise<NamedImage[]> {
  const images: NamedImage[] = []
  for (const { descriptor, tag } of allOfLayout(manifests))
    images.push({ descriptor: await importWhole(store, source, descriptor, platform), tag })
  return images
}

/** The image as it is now in the store, checked as a whole. */
async function finish(store: Store, descriptor: Descriptor): Promise<ImageData> {
  const image = await readImage(store.blobs, descriptor)
  await new Images(store).keep(descriptor, [])
  return image
}

async function openArchive(store: Store, path: string, options: ImportOptions): Promise<Archive> {
  return await readArchive(store, sourceFile(path, undefined, options.signal), path, options)
}

function needed(archive: Archive, name: string, path: string): Buffer {
  const bytes = archive.text(name)
  if (bytes !== undefined) return bytes
  throw new StrakeError('image_invalid', `${path} is not an image archive of this kind: it has no ${name}`, {
    hint: 'if it is the tar of a root file system: images.import(path), or image(path)',
  })
}
