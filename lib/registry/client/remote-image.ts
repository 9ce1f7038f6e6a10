import { StrakeError } from '../../errors/index.ts'
import { type ImageConfig, type Manifest, parseConfig, parseManifest, parseReference } from '../../images/index.ts'
import { decompress } from '../../layers/index.ts'
import { type Descriptor, type Digest, hexOf, type Store, toDigest } from '../../store/index.ts'
import { manifestName, rejection } from './check.ts'
import { download } from './download.ts'
import { fetchAll } from './fetch.ts'
import type { PullOptions } from './options.ts'
import { linked } from './parallel.ts'
import { Repository } from './repository.ts'

/**
 * An image in a registry of which no more is fetched than is asked for: first its manifest and config, then single layers. What is fetched is not
 * named in the store, so a hold must be open.
 */
export class RemoteImage {
  readonly config: ImageConfig
  readonly #store: Store
  readonly #repository: Repository
  readonly #layers: ReadonlyMap<Digest, Descriptor>

  private constructor(store: Store, repository: Repository, config: ImageConfig, manifest: Manifest) {
    this.config = config
    this.#store = store
    this.#repository = repository
    this.#layers = new Map(
      config.diffIds.flatMap((diffId, index) => {
        const layer = manifest.layers[index]
        return layer === undefined ? [] : [[diffId, layer]]
      }),
    )
  }

  /** Rejects as `pullImage` does. */
  static async open(store: Store, reference: string, options: PullOptions = {}): Promise<RemoteImage> {
    const name = parseReference(reference)
    const { control, unlink } = linked(options.signal)
    try {
      const repository = new Repository(name.domain, name.repository, { ...options, signal: control.signal })
      const root = await repository.manifest(manifestName(name))
      const manifest = parseManifest(root.bytes, root.descriptor.mediaType)
      if (manifest.kind === 'index')
        throw new StrakeError('image_invalid', `${reference} is an index of several images, and one is wanted`, { details: { reference } })
      await fetchAll({ store, repository, control, options }, root, { only: 'config' })
      return new RemoteImage(store, repository, parseConfig(await store.blobs.read(manifest.config.digest)), manifest)
    } catch (error) {
      throw rejection(error, options.signal)
    } finally {
      unlink()
    }
  }

  /** Brings a layer into the store: as it is there, or uncompressed where `wanted` is its diffID. False when there is none. */
  async fetchLayer(diffId: Digest, wanted: Digest): Promise<boolean> {
    const layer = this.#layers.get(diffId)
    if (layer === undefined) return false
    if (await this.#store.blobs.has(wanted)) return true
    const bytes = download(this.#repository, layer)
    if (wanted === layer.digest) await this.#store.blobs.put(bytes, { digest: wanted, size: layer.size })
    else if (wanted === diffId) await this.#store.blobs.put(decompress(bytes), { digest: toDigest('sha256', hexOf(diffId)) })
    else return false
    return true
  }
}
