import { StrakeError } from '../errors/index.ts'
import { hostPlatform, Images } from '../images/index.ts'
import { pushImage, RemoteImage, type RemoteOptions } from '../registry/index.ts'
import type { Digest, Store } from '../store/index.ts'
import { type CachedStep, parseStep } from './cache.ts'
import { fieldsOf } from './records.ts'

/** Where a cache is in a registry: a reference, and how that is reached. */
export type CacheLocation = string | ({ readonly reference: string } & Pick<RemoteOptions, 'auth' | 'tls' | 'insecure'>)

/** A label of the cache's config: the finished steps, JSON by their keys. */
const label = 'io.strake.build.cache'

function parseRecords(text: string | undefined): ReadonlyMap<string, CachedStep> {
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

/**
 * Finished steps of builds elsewhere, as `cacheTo` left them in a registry: an OCI image whose layers are those of the steps. Keys are made from the
 * content that a step depends on, so a record fits wherever the same step is met; its layer is fetched when it is used, and checked by its digest.
 */
export class RemoteCache {
  readonly #image: RemoteImage
  readonly #records: ReadonlyMap<string, CachedStep>

  private constructor(image: RemoteImage, records: ReadonlyMap<string, CachedStep>) {
    this.#image = image
    this.#records = records
  }

  /** Undefined where there is none: a cache that is not there yet, or cannot be reached, is no reason not to build. Rejects with `invalid_reference`, `aborted`. */
  static async open(store: Store, location: CacheLocation, signal: AbortSignal | undefined): Promise<RemoteCache | undefined> {
    const { reference, options } = placeOf(location)
    try {
      const image = await RemoteImage.open(store, reference, { ...options, signal, retries: 1 })
      return new RemoteCache(image, parseRecords(image.config.config.Labels?.[label]))
    } catch (error) {
      if (error instanceof StrakeError && /^(registry_|image_|limit_|digest_|size_)/.test(error.code)) return undefined
      throw error
    }
  }

  has(key: string): boolean {
    return this.#records.has(key)
  }

  /** The record of a step, its layer in the store now. */
  async get(key: string): Promise<CachedStep | undefined> {
    const record = this.#records.get(key)
    if (record?.layer === undefined) return record
    return (await this.#image.fetchLayer(record.layer.diffId, record.layer.digest)) ? record : undefined
  }
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
