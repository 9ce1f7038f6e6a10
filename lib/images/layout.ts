import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import type { LayerLimits } from '../layers/index.ts'
import {
  algorithmOf,
  type ByteStream,
  type Descriptor,
  type Digest,
  failedWith,
  hexOf,
  refNameAnnotation,
  type Store,
} from '../store/index.ts'
import { deepestIndex, findManifest } from './image.ts'
import type { ReadOptions } from './import-options.ts'
import { hasLinks, type Links, linksOf } from './links.ts'
import { largestManifest, type Manifest, parseManifest } from './manifest.ts'
import { indexMediaType, kindOf } from './media-types.ts'
import type { Platform } from './platform.ts'
import { familiarReference, parseReference } from './reference.ts'
import { sourceFile, unreadable } from './source-file.ts'
import { walkedLayer } from './walked.ts'

/** Somewhere that blobs can be read from: a layout directory, an archive, later a registry. Nobody has checked them. */
export interface BlobSource {
  /** Whether it is there. */
  has(descriptor: Descriptor): Promise<boolean>
  /** Rejects with `image_invalid` when it is not there. */
  stream(descriptor: Descriptor): Promise<ByteStream>
  /** Throws what has turned out to be wrong with a layer that was read already: `path_escapes`, `layer_invalid`, `limit_exceeded`. */
  checkLayer?(layer: Descriptor): void
  /** What a layer that is read from here may ask for. */
  readonly limits?: Partial<LayerLimits> | undefined
}

export interface NamedImage {
  readonly descriptor: Descriptor
  /** As people write it; undefined where the name is no reference (in a layout it may be a mere `latest`). */
  readonly tag: string | undefined
}

/** containerd's and Docker's annotation for the whole reference, where OCI's holds only the tag. */
export const imageNameAnnotation = 'io.containerd.image.name'
const mostManifests = 1000

/** Reads `index.json` of an OCI image layout (image-spec, image-layout.md). */
export function parseLayoutIndex(bytes: Uint8Array): Descriptor[] {
  const index = parseManifest(bytes, indexMediaType)
  if (index.kind !== 'index') throw new StrakeError('image_invalid', 'index.json is not an index')
  return [...index.manifests]
}

/** The image of a layout that is called `tag`; without one, the only image there is. `image_not_found` says which there are. */
export function chooseFromLayout(manifests: readonly Descriptor[], tag: string | undefined, where: string): NamedImage {
  const distinct = new Map(manifests.map((each) => [each.digest, each]))
  const found =
    tag === undefined
      ? distinct.size === 1
        ? manifests[0]
        : undefined
      : manifests.find((each) => namesOf(each).some((name) => name === tag || name.endsWith(`:${tag}`) || name.endsWith(`/${tag}`)))
  if (found) return { descriptor: bare(found), tag: tagOf(found) }
  const tags = manifests.flatMap(namesOf)
  throw new StrakeError(
    'image_not_found',
    tag === undefined ? `${where} holds ${distinct.size} images` : `${where} holds no image ${JSON.stringify(tag)}`,
    {
      hint: tags.length > 0 ? `say which: ${tags.slice(0, 10).join(', ')}` : undefined,
      details: { tags },
    },
  )
}

/** Every image of a layout, with the names it has there. */
export function allOfLayout(manifests: readonly Descriptor[]): NamedImage[] {
  return manifests.map((each) => ({ descriptor: bare(each), tag: tagOf(each) }))
}

function namesOf(descriptor: Descriptor): string[] {
  return [descriptor.annotations?.[refNameAnnotation], descriptor.annotations?.[imageNameAnnotation]].filter((each) => each !== undefined)
}

function tagOf(descriptor: Descriptor): string | undefined {
  const whole = descriptor.annotations?.[imageNameAnnotation] ?? descriptor.annotations?.[refNameAnnotation]
  if (whole === undefined || !/[:/]/.test(whole)) return undefined
  try {
    return familiarReference(parseReference(whole))
  } catch (error) {
    if (error instanceof StrakeError) return undefined
    throw error
  }
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

export interface LayoutIndex {
  readonly manifests: readonly Descriptor[]
  readonly written: Readonly<Record<string, unknown>> & { readonly manifests: readonly unknown[] }
}

/** An OCI image layout that is a directory. */
export class LayoutDirectory implements BlobSource {
  readonly path: string
  readonly limits: Partial<LayerLimits> | undefined
  readonly #signal: AbortSignal | undefined

  constructor(path: string, { limits, signal }: ReadOptions = {}) {
    this.path = path
    this.limits = limits
    this.#signal = signal
  }

  async manifests(): Promise<Descriptor[]> {
    return [...(await this.index()).manifests]
  }

  /** What `index.json` lists, and all that is written there: fields that are not known here, and in the same order the entries with theirs. */
  async index(): Promise<LayoutIndex> {
    const bytes = await this.#indexBytes()
    return { manifests: parseLayoutIndex(bytes), written: JSON.parse(new TextDecoder().decode(bytes)) as LayoutIndex['written'] }
  }

  async #indexBytes(): Promise<Buffer> {
    const index = join(this.path, 'index.json')
    const pieces: Buffer[] = []
    let size = 0
    try {
      for await (const piece of this.#read(index)) {
        size += piece.length
        if (size > largestManifest)
          throw new StrakeError('limit_exceeded', `${index} has more than ${largestManifest} bytes`, {
            details: { limit: 'manifestBytes', maximum: largestManifest },
          })
        pieces.push(piece)
      }
    } catch (error) {
      if (!(error instanceof StrakeError) || error.code !== 'image_not_found') throw error
      throw new StrakeError('image_not_found', `${this.path} is not an OCI image layout: it has no index.json`, {
        cause: error,
        hint: "a directory that is a root file system is for image('dir/')",
      })
    }
    return Buffer.concat(pieces)
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    return (await this.size(descriptor)) !== undefined
  }

  /** Bytes that a blob has; undefined where there is no such file. */
  async size({ digest }: Descriptor): Promise<number | undefined> {
    const path = this.#blobPath(digest)
    try {
      const found = await stat(path)
      return found.isFile() ? found.size : undefined
    } catch (error) {
      if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw unreadable(path, error)
    }
  }

  async stream(descriptor: Descriptor): Promise<ByteStream> {
    const { digest } = descriptor
    if (await this.has(descriptor)) return this.#read(this.#blobPath(digest))
    throw new StrakeError('image_invalid', `the layout ${this.path} lacks the blob ${digest}`, { details: { digest } })
  }

  /** Others have written the directory: a file in it may be anything. */
  #read(path: string): AsyncGenerator<Buffer> {
    return sourceFile(
      path,
      (kind) =>
        new StrakeError(
          'image_invalid',
          `the layout ${this.path} has ${kind} where a file should be: ${path.slice(this.path.length + 1)}`,
          {
            hint: 'get the layout anew, from somebody you trust',
          },
        ),
      this.#signal,
    )
  }

  #blobPath(digest: Digest): string {
    return join(this.path, 'blobs', algorithmOf(digest), hexOf(digest))
  }
}

/** Brings an image's manifest, config and layers into the store, each checked against its digest and size. Resolves to its manifest. */
export async function importBlobs(
  store: Store,
  source: BlobSource,
  root: Descriptor,
  platform?: Platform,
): Promise<{ descriptor: Descriptor; manifest: Manifest }> {
  const found = await findManifest((descriptor) => importManifest(store, source, descriptor), root, platform)
  await importBlob(store, source, found.manifest.config)
  for (const layer of found.manifest.layers) await importLayer(store, source, layer)
  return found
}

/**
 * As `importBlobs`, but with everything that an index points to: the other platforms, attestations, and what it lists of unknown types as far as it is
 * there. Where the source has not all of it (an index of which one platform was pulled, say) the image for `platform` comes alone. Resolves to what a name
 * may be given to.
 */
export async function importWhole(store: Store, source: BlobSource, root: Descriptor, platform?: Platform): Promise<Descriptor> {
  if (platform !== undefined || kindOf(root.mediaType) !== 'index' || !(await isWhole(store, source, root)))
    return (await importBlobs(store, source, root, platform)).descriptor
  for await (const { descriptor, links } of manifestsFrom(store, source, root)) {
    const parsed = parseManifest(await store.blobs.read(descriptor.digest, largestManifest), descriptor.mediaType, { artifacts: true })
    if (parsed.kind === 'index') {
      for (const each of links.manifests) if (!hasLinks(each) && (await source.has(each))) await importBlob(store, source, each)
      continue
    }
    if (links.config) await importBlob(store, source, links.config)
    for (const each of links.layers) await importLayer(store, source, each)
  }
  return root
}

async function isWhole(store: Store, source: BlobSource, root: Descriptor): Promise<boolean> {
  for await (const { links } of manifestsFrom(store, source, root)) {
    for (const each of [...links.manifests.filter(hasLinks), ...(links.config ? [links.config] : []), ...links.layers])
      if (!(await source.has(each))) return false
  }
  return true
}

/** The manifests and indexes that hang on one, brought into the store as they come. */
async function* manifestsFrom(
  store: Store,
  source: BlobSource,
  root: Descriptor,
): AsyncGenerator<{ descriptor: Descriptor; links: Links }> {
  const waiting = [{ descriptor: root, depth: 0 }]
  const seen = new Set<Digest>()
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { descriptor, depth } = next
    if (seen.has(descriptor.digest)) continue
    seen.add(descriptor.digest)
    if (depth > deepestIndex || seen.size > mostManifests)
      throw new StrakeError('limit_exceeded', 'an index holds too many manifests, or indexes too deep', {
        details: { limit: 'indexDepth', maximum: deepestIndex },
      })
    const links = linksOf(await importManifest(store, source, descriptor))
    if (links === undefined) throw new StrakeError('image_invalid', `the manifest ${descriptor.digest} is not JSON`)
    yield { descriptor, links }
    for (const each of links.manifests) if (hasLinks(each)) waiting.push({ descriptor: each, depth: depth + 1 })
  }
}

async function importManifest(store: Store, source: BlobSource, descriptor: Descriptor): Promise<Buffer> {
  if (descriptor.size > largestManifest)
    throw new StrakeError('limit_exceeded', `a manifest has more than ${largestManifest} bytes`, {
      details: { limit: 'manifestBytes', maximum: largestManifest },
    })
  await importBlob(store, source, descriptor)
  return await store.blobs.read(descriptor.digest, largestManifest)
}

async function importBlob(store: Store, source: BlobSource, { mediaType, digest, size }: Descriptor): Promise<void> {
  if ((await store.blobs.size(digest)) === size) return
  await store.blobs.put(await source.stream({ mediaType, digest, size }), { digest, size })
}

async function importLayer(store: Store, source: BlobSource, layer: Descriptor): Promise<void> {
  const { mediaType, digest, size } = layer
  if (kindOf(mediaType) !== 'layer') return await importBlob(store, source, layer)
  source.checkLayer?.(layer)
  if ((await store.blobs.size(digest)) === size) return
  await store.blobs.put(walkedLayer(await source.stream({ mediaType, digest, size }), source.limits), { digest, size })
}
