import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { algorithmOf, type Digest, failedWith, hexOf, type Store } from '../../store/index.ts'
import type { Repository } from './repository.ts'

/**
 * Which blobs were pushed or mounted into a repository: an empty file each, `registry/<repository>/_blobs/<algorithm>/<hex>` in the store. (No part
 * of a repository's name begins with `_`.) The blob itself is in the store once for all of them, and the link does not keep it there.
 */
export class Links {
  readonly #root: string

  constructor(store: Store) {
    this.#root = join(store.root, 'registry')
  }

  async has(repository: Repository, digest: Digest): Promise<boolean> {
    try {
      return (await stat(this.#path(repository, digest))).isFile()
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return false
      throw error
    }
  }

  async add(repository: Repository, digest: Digest): Promise<void> {
    const path = this.#path(repository, digest)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(path, '', { mode: 0o600 })
  }

  async remove(repository: Repository, digest: Digest): Promise<void> {
    await rm(this.#path(repository, digest), { force: true })
  }

  #path(repository: Repository, digest: Digest): string {
    return join(this.#root, repository, '_blobs', algorithmOf(digest), hexOf(digest))
  }
}
