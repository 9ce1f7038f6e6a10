import { StrakeError } from '../errors/index.ts'
import { chainIds } from '../layers/index.ts'
import type { Blobs, Descriptor, Digest } from '../store/index.ts'
import { checkLayerCount, type ExecutionConfig, type HistoryEntry, parseConfig } from './config.ts'
import { hasLinks } from './links.ts'
import { type Index, largestManifest, type Manifest, parseManifest } from './manifest.ts'
import { formatPlatform, hostPlatform, nearestPlatform, type Platform } from './platform.ts'

export interface ImageLayer {
  /** Of the blob, compressed or not. */
  readonly digest: Digest
  /** Of the uncompressed tar. */
  readonly diffId: Digest
  /** Names the layer on top of those below it, and so its snapshot. */
  readonly chainId: Digest
  /** Bytes of the blob. */
  readonly size: number
  readonly mediaType: string
}

/** An image's values. Plain data. */
export interface ImageData {
  /** Of the manifest. */
  readonly digest: Digest
  /** Of the config. */
  readonly id: Digest
  /** As people write them: `app:2`. */
  readonly tags: readonly string[]
  readonly config: ExecutionConfig
  readonly platform: Platform
  /** RFC 3339; undefined where the image does not say. */
  readonly created: string | undefined
  /** Bottom first. */
  readonly layers: readonly ImageLayer[]
  readonly history: readonly HistoryEntry[]
  /** Bytes of all its blobs. */
  readonly size: number
  readonly annotations: Readonly<Record<string, string>>
  readonly descriptor: Descriptor
  /** What a further name is given to: the index of a multi-platform image that it was found by, unless a platform was asked for; else the manifest. */
  readonly root: Descriptor
}

export interface ReadOptions {
  /** Which of an index's images; default that of this machine. */
  readonly platform?: Platform | undefined
  readonly tags?: readonly string[] | undefined
}

export const deepestIndex = 4

/** Reads an image from blobs. `image_invalid` when it is not a well-formed one, `image_not_found` when an index has none for the platform. */
export async function readImage(blobs: Blobs, descriptor: Descriptor, options: ReadOptions = {}): Promise<ImageData> {
  const { descriptor: chosen, manifest } = await findManifest(
    (each) => blobs.read(each.digest, largestManifest),
    descriptor,
    options.platform,
  )
  const config = parseConfig(await blobs.read(manifest.config.digest))
  checkLayerCount(config, manifest.layers.length)
  const chain = chainIds(config.diffIds)
  const layers = manifest.layers.map((layer, index): ImageLayer => {
    const diffId = config.diffIds[index]
    const chainId = chain[index]
    if (diffId === undefined || chainId === undefined) throw new StrakeError('image_invalid', 'a layer has no diffID')
    return { digest: layer.digest, diffId, chainId, size: layer.size, mediaType: layer.mediaType }
  })
  return {
    digest: chosen.digest,
    id: manifest.config.digest,
    tags: options.tags ?? [],
    config: config.config,
    platform: config.platform,
    created: config.created,
    layers,
    history: config.history,
    size: chosen.size + manifest.config.size + layers.reduce((sum, layer) => sum + layer.size, 0),
    annotations: manifest.annotations,
    descriptor: bare(chosen),
    root: bare(options.platform === undefined ? descriptor : chosen),
  }
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/** Follows indexes down to the manifest for a platform. `read` gives a checked blob. */
export async function findManifest(
  read: (descriptor: Descriptor) => Promise<Uint8Array>,
  descriptor: Descriptor,
  platform: Platform | undefined,
): Promise<{ descriptor: Descriptor; manifest: Manifest }> {
  let current = descriptor
  for (let depth = 0; depth <= deepestIndex; depth += 1) {
    const parsed = parseManifest(await read(current), current.mediaType)
    if (parsed.kind === 'manifest') return { descriptor: current, manifest: parsed }
    current = choose(parsed, platform ?? hostPlatform)
  }
  throw new StrakeError('limit_exceeded', `an index holds indexes more than ${deepestIndex} deep`, {
    details: { limit: 'indexDepth', maximum: deepestIndex },
  })
}

function choose(index: Index, wanted: Platform): Descriptor {
  // What is of an unknown type is passed over (image-spec, image-index.md, "manifests").
  const manifests = index.manifests.filter(hasLinks)
  const known = manifests.filter((each) => each.platform !== undefined && each.platform.os !== 'unknown')
  const found = nearestPlatform(known, wanted)
  if (found) return found
  const [only, ...more] = manifests
  if (only && more.length === 0 && namesNone(only)) return only
  const offered = known.flatMap((each) => (each.platform ? [formatPlatform(each.platform)] : []))
  throw new StrakeError('image_not_found', `no image for ${formatPlatform(wanted)}, only for ${offered.join(', ') || 'none'}`, {
    hint: offered[0] && `to have one of another platform say which: { platform: '${offered[0]}' }`,
    details: { wanted, offered },
  })
}

/** What such an entry is for only its config says. */
function namesNone({ platform }: Descriptor): boolean {
  return platform === undefined || (platform.os === '' && platform.architecture === '')
}

/**
 * The image for this machine; of an index that has none, the first that can be read. Rejects as `readImage` does, where an index has no image at all with
 * `image_not_found`.
 */
export async function readAnyImage(blobs: Blobs, root: Descriptor, options: Pick<ReadOptions, 'tags'> = {}): Promise<ImageData> {
  try {
    return await readImage(blobs, root, options)
  } catch (error) {
    if (!(error instanceof StrakeError) || error.code !== 'image_not_found') throw error
    const first = await firstImage(blobs, root, options, 0)
    if (first === undefined) throw error
    return { ...first, root: bare(root) }
  }
}

async function firstImage(blobs: Blobs, root: Descriptor, options: ReadOptions, depth: number): Promise<ImageData | undefined> {
  const parsed = parseManifest(await blobs.read(root.digest, largestManifest), root.mediaType)
  if (parsed.kind === 'manifest') return await readImage(blobs, root, options)
  if (depth > deepestIndex) return undefined
  for (const each of parsed.manifests) {
    if (!hasLinks(each) || each.platform?.os === 'unknown') continue
    try {
      const found = await firstImage(blobs, each, options, depth + 1)
      if (found) return found
    } catch (error) {
      // An artifact beside the images, or an image that is not there.
      if (!(error instanceof StrakeError)) throw error
    }
  }
  return undefined
}
