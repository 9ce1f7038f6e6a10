import { createHash } from 'node:crypto'
import { StrakeError } from '../errors/index.ts'
import { hostPlatform, Images } from '../images/index.ts'
import { decompress, type LayerNotice, noteContent, walkTar } from '../layers/index.ts'
import { pushImage, RemoteImage, type RemoteOptions } from '../registry/index.ts'
import { type ByteStream, type Digest, hexOf, type Store } from '../store/index.ts'
import { type CachedStep, parseStep } from './cache.ts'
import { fieldsOf } from './records.ts'
import type { StageLayer } from './stage.ts'

/** Where a cache is in a registry: a reference, and how that is reached. */
export type CacheLocation = string | ({ readonly reference: string } & Pick<RemoteOptions, 'auth' | 'tls' | 'insecure'>)

/** A label of the cache's config: the finished steps, JSON by their keys. */
const label = 'io.strake.build.cache'

function parseRecords(text: string | undefined): Map<string, CachedStep> {
  try {
    const entries = Object.entries(fieldsOf(JSON.parse(text ?? '{}')))
    return new Map(
      entries.flatMap(([key, value]): [string, CachedStep][] => {
        const record = /^[0-9a-f]{64}$/.test(key) ? parseStep(value) : undefined
        return record ? [[key, record]] : []
      }),
    )
  } catch (error) {
    if (error instanceof SyntaxError) return new Map()
    throw error
  }
}

function placeOf(location: CacheLocation): { reference: string; options: Pick<RemoteOptions, 'auth' | 'tls' | 'insecure'> } {
  if (typeof location === 'string') return { reference: location, options: {} }
  const { reference, ...options } = location
  return { reference, options }
}

/** What is wrong with a cache, or with the way to it, and no reason not to build: everything but an abort and what is amiss here (a full disk). */
function isPassedOver(error: unknown): error is StrakeError {
  return error instanceof StrakeError && /^(registry_|image_|limit_|digest_|size_|layer_)/.test(error.code)
}

async function* hashed(stream: ByteStream, hash: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    hash.update(piece)
    yield piece
  }
}

/**
 * Finished steps of builds elsewhere, as `cacheTo` left them in a registry: an OCI image whose layers are those of the steps. Keys are made from the
 * content that a step depends on, so a record fits wherever the same step is met; its layer is fetched when it is used, and must be what the record says.
 */
export class RemoteCache {
  readonly #reference: string
  readonly #store: Store
  readonly #image: RemoteImage
  readonly #records: Map<string, CachedStep>

  private constructor(reference: string, store: Store, image: RemoteImage) {
    this.#reference = reference
    this.#store = store
    this.#image = image
    this.#records = parseRecords(image.config.config.Labels?.[label])
  }

  /** Undefined where there is none: a cache that is not there yet, or cannot be reached, is no reason not to build. Rejects with `invalid_reference`, `aborted`. */
  static async open(store: Store, location: CacheLocation, signal: AbortSignal | undefined): Promise<RemoteCache | undefined> {
    const { reference, options } = placeOf(location)
    try {
      const image = await RemoteImage.open(store, reference, { ...options, signal, retries: 1 })
      return new RemoteCache(reference, store, image)
    } catch (error) {
      if (isPassedOver(error)) return undefined
      throw error
    }
  }

  has(key: string): boolean {
    return this.#records.has(key)
  }

  /** The record of a step, its layer in the store now. What turns out to be damaged or gone is told and passed over from then on. */
  async get(key: string, onNotice?: (notice: LayerNotice) => void): Promise<CachedStep | undefined> {
    const record = this.#records.get(key)
    if (record?.layer === undefined) return record
    const { layer } = record
    try {
      await this.#fetch(layer)
      return record
    } catch (error) {
      if (!isPassedOver(error)) throw error
      onNotice?.({ path: this.#reference, message: `the layer ${layer.digest} of this cache cannot be used: ${error.message}` })
    }
    for (const [each, { layer: other }] of this.#records) if (other?.digest === layer.digest) this.#records.delete(each)
    return undefined
  }

  /** Brings a layer here, and looks all of it through: once it is part of an image, whatever is wrong with it would be in the way for good. */
  async #fetch({ digest, diffId, size, mediaType }: StageLayer): Promise<void> {
    const { blobs } = this.#store
    const isThere = await this.#image.fetchLayer(diffId, digest)
    if (!isThere || (await blobs.size(digest)) !== size || !isLayerType(mediaType))
      throw new StrakeError('layer_invalid', 'it is not what the cache says of it', { details: { digest } })
    const hash = createHash('sha256')
    for await (const _ of walkTar(hashed(decompress(await blobs.stream(digest)), hash)));
    const actual = hash.digest('hex')
    if (actual === hexOf(diffId)) return await noteContent(this.#store, { digest, diffId })
    throw new StrakeError('digest_mismatch', `its content has the digest sha256:${actual}, not ${diffId}`, {
      details: { expected: diffId, actual: `sha256:${actual}` },
    })
  }
}

function isLayerType(mediaType: string): boolean {
  return /^application\/vnd\.(oci\.image\.layer|docker\.image\.rootfs)\./.test(mediaType)
}

/** Leaves finished steps in a registry, for `cacheFrom`. What it has of their layers is not sent again. Rejects as `pushImage` does. */
export async function exportCache(
  store: Store,
  location: CacheLocation,
  records: ReadonlyMap<string, CachedStep>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { reference, options } = placeOf(location)
  const layers = new Map([...records.values()].flatMap(({ layer }) => (layer ? [[layer.diffId, layer] as const] : [])))
  const sorted = [...records].sort(([one], [other]) => (one < other ? -1 : 1))
  const images = new Images(store)
  const cache = await images.put({
    config: {
      platform: hostPlatform,
      config: { Labels: { [label]: JSON.stringify(Object.fromEntries(sorted)) } },
      diffIds: [...layers.keys()] satisfies Digest[],
      history: [...layers.keys()].map(() => ({ created_by: 'strake build cache' })),
    },
    layers: [...layers.values()].map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  })
  try {
    await pushImage(store, cache, reference, { ...options, signal })
  } finally {
    if (cache.tags.length === 0) await store.refs.remove(cache.digest)
  }
}
