import { createHash } from 'node:crypto'
import { isDigest, type Store } from '../store/index.ts'
import { fieldsOf, readRecord, writeRecord } from './records.ts'
import type { StageLayer } from './stage.ts'

/** What a step of an earlier build made. */
export interface CachedStep {
  /** Undefined for a step that turned out to change nothing. */
  readonly layer?: StageLayer | undefined
  /** When it was made, RFC 3339: an image that is all cached gets the digest that it had. */
  readonly created: string
}

/** Changed whenever steps come to mean something else, so that old records are not used. */
const version = 3

/** The key of a step: all that its outcome depends on, as JSON with a fixed order of its fields. */
export function cacheKey(parts: Readonly<Record<string, unknown>>): string {
  return createHash('sha256')
    .update(JSON.stringify([version, parts]))
    .digest('hex')
}

/** Records of finished steps in the store's `cache/build/`, named by the key. */
export class BuildCache {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** The record of `key`, if its layer is still in the store; its snapshot can be unpacked again. */
  async get(key: string): Promise<CachedStep | undefined> {
    const record = readRecord(this.#path(key), parseStep)
    const { layer } = record ?? {}
    return layer && (await this.#store.blobs.size(layer.digest)) !== layer.size ? undefined : record
  }

  async set(key: string, record: CachedStep): Promise<void> {
    writeRecord(this.#store, this.#path(key), record)
  }

  #path(key: string): string {
    return this.#store.path('cache', 'build', key)
  }
}

export function parseStep(value: unknown): CachedStep | undefined {
  const { created, layer } = fieldsOf(value)
  if (typeof created !== 'string' || Number.isNaN(Date.parse(created))) return undefined
  if (layer === undefined) return { created }
  const { mediaType, digest, diffId, size } = fieldsOf(layer)
  if (typeof mediaType !== 'string' || !isDigest(digest) || !isDigest(diffId) || typeof size !== 'number') return undefined
  return { created, layer: { digest, diffId, size, mediaType } }
}
