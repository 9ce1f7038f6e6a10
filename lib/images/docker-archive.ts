import { StrakeError } from '../errors/index.ts'
import { compressionOf } from '../layers/index.ts'
import type { BlobInfo, Descriptor, Store } from '../store/index.ts'
import type { Archive } from './archive.ts'
import { Checked } from './check.ts'
import { checkLayerCount, parseConfig } from './config.ts'
import { configMediaType, layerMediaTypeOf, manifestMediaType } from './media-types.ts'
import { familiarReference, parseReference } from './reference.ts'

/** An image of a `docker save` archive: its `manifest.json` has one entry for each. */
export interface DockerImage {
  readonly config: string
  readonly tags: readonly string[]
  readonly layers: readonly string[]
}

export function parseDockerManifest(bytes: Uint8Array): DockerImage[] {
  return Checked.parse(bytes, 'manifest.json')
    .list()
    .map((each) => ({
      config: each.field('Config').string(),
      tags: (each.field('RepoTags').optional((tags) => tags.strings()) ?? []).map((tag) => familiarReference(parseReference(tag))),
      layers: each.field('Layers').strings(),
    }))
}

export function chooseFromDocker(images: readonly DockerImage[], tag: string | undefined, where: string): DockerImage {
  const found =
    tag === undefined
      ? images.length === 1
        ? images[0]
        : undefined
      : images.find((each) => each.tags.some((name) => name === tag || name.endsWith(`:${tag}`) || name.endsWith(`/${tag}`)))
  if (found) return found
  const tags = images.flatMap((each) => each.tags)
  throw new StrakeError(
    'image_not_found',
    tag === undefined ? `${where} holds ${images.length} images` : `${where} holds no image ${JSON.stringify(tag)}`,
    {
      hint: tags.length > 0 ? `say which: ${tags.slice(0, 10).join(', ')}` : undefined,
      details: { tags },
    },
  )
}

/** Makes an OCI manifest for an image of a `docker save` archive. Its config stays byte for byte, and so does the image's id. */
export async function importDockerImage(store: Store, archive: Archive, image: DockerImage): Promise<Descriptor> {
  const bytes = archive.text(image.config) ?? (await blobBytes(store, archive, image.config))
  const config = parseConfig(bytes)
  checkLayerCount(config, image.layers.length)
  const layers: Descriptor[] = []
  for (const [index, path] of image.layers.entries()) {
    const blob = archive.blob(path)
    if (blob === undefined) throw new StrakeError('image_invalid', `the archive lacks the layer ${JSON.stringify(path)}`)
    layers.push(await layerDescriptor(store, blob, config.diffIds[index]))
    archive.checkLayer(blob)
  }
  const { digest, size } = await store.blobs.put(bytes)
  const manifest = await store.blobs.put(
    Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: manifestMediaType, config: { mediaType: configMediaType, digest, size }, layers }),
    ),
  )
  return { mediaType: manifestMediaType, ...manifest }
}

async function blobBytes(store: Store, archive: Archive, path: string): Promise<Buffer> {
  const blob = archive.blob(path)
  if (blob === undefined) throw new StrakeError('image_invalid', `the archive lacks the config ${JSON.stringify(path)}`)
  return await store.blobs.read(blob.digest)
}

/** The archive does not say how a layer is compressed; an uncompressed one is its own diffID. */
async function layerDescriptor(store: Store, blob: BlobInfo, diffId: string | undefined): Promise<Descriptor> {
  const compression = compressionOf(await firstBytes(store, blob))
  if (compression === 'none' && blob.digest !== diffId) {
    throw new StrakeError('digest_mismatch', `a layer of the archive has diffID ${blob.digest}, not ${diffId}`, {
      details: { expected: diffId, actual: blob.digest },
    })
  }
  return { mediaType: layerMediaTypeOf(compression), digest: blob.digest, size: blob.size }
}

async function firstBytes(store: Store, blob: BlobInfo): Promise<Uint8Array> {
  for await (const piece of await store.blobs.stream(blob.digest)) return piece as Uint8Array
  return new Uint8Array()
}
