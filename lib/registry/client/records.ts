import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Digest, digestOf, hexOf, isDigest, type Store } from '../../store/index.ts'

/** What a layer became when it was compressed. */
export interface CompressedLayer {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

const mostRepositories = 8

/**
 * What pushes and pulls have learnt, in the store's cache: how layers compress, and which repositories of a host have a blob. A record that is lost or
 * wrong costs time and nothing else, since the registry is asked before anything is relied upon.
 */
export class Records {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** What a layer became, by whoever made sure that it was that layer: an index or manifest that the registry has with it is taken for the image. */
  async compressed(diffId: Digest, compression: string): Promise<CompressedLayer | undefined> {
    const { digest, size, isSound } = await this.#read(this.#compressedPath(diffId, compression))
    return isSound === true && isDigest(digest) && typeof size === 'number' && Number.isSafeInteger(size) ? { digest, size } : undefined
  }

  async noteCompressed(diffId: Digest, compression: string, { digest, size }: CompressedLayer): Promise<void> {
    await this.#write(this.#compressedPath(diffId, compression), { digest, size, isSound: true })
  }

  /** Repositories of a host that were seen to have a blob, the latest first. */
  async repositories(host: string, digest: Digest): Promise<string[]> {
    const { repositories } = await this.#read(this.#seenPath(host, digest))
    return Array.isArray(repositories) ? repositories.filter((each): each is string => typeof each === 'string') : []
  }

  async noteRepository(host: string, digest: Digest, repository: string): Promise<void> {
    const known = await this.repositories(host, digest)
    if (known.includes(repository)) return
    await this.#write(this.#seenPath(host, digest), { repositories: [repository, ...known].slice(0, mostRepositories) })
  }

  #compressedPath(diffId: Digest, compression: string): string {
    return this.#store.path('cache', 'compressed', compression, `${hexOf(diffId)}.json`)
  }

  #seenPath(host: string, digest: Digest): string {
    return this.#store.path('cache', 'seen', hexOf(digestOf(host)).slice(0, 16), `${hexOf(digest)}.json`)
  }

  async #read(path: string): Promise<Readonly<Record<string, unknown>>> {
    try {
      const value: unknown = JSON.parse(await readFile(path, 'utf8'))
      return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
    } catch {
      return {}
    }
  }

  async #write(path: string, value: object): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const temporary = this.#store.temporary('tmp', 'record')
    try {
      await writeFile(temporary, JSON.stringify(value), { mode: 0o600 })
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
  }
}
