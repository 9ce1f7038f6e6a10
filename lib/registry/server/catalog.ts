import { stat } from 'node:fs/promises'
import type { Descriptor, Digest, Ref, Store } from '../../store/index.ts'
import { nameOfDigest, nameOfTag, placeOf, type Repository } from './repository.ts'

/** A repository, as the store's index has it. */
export interface Shelf {
  readonly tags: ReadonlyMap<string, Descriptor>
  /** Every manifest with an entry of its own, tagged or not. */
  readonly manifests: ReadonlyMap<Digest, Descriptor>
}

interface OpenShelf {
  readonly tags: Map<string, Descriptor>
  readonly manifests: Map<Digest, Descriptor>
}

/**
 * The repositories of a store: its index, read as names of a registry. A manifest is kept by its tags (`app:1`) or, when it has none in its
 * repository, by an entry named `app@sha256:…`. Every process that changes the index changes what is seen here.
 */
export class Catalog {
  readonly #store: Store
  readonly #file: string
  #version: string | undefined
  #shelves: ReadonlyMap<Repository, Shelf> = new Map()

  constructor(store: Store) {
    this.#store = store
    this.#file = store.path('content', 'index.json')
  }

  /** The same map for as long as nothing was changed, so that what was worked out from it can be kept beside it. */
  async shelves(): Promise<ReadonlyMap<Repository, Shelf>> {
    // The file is replaced as a whole, never written in place: another one has another inode, or at least another time.
    const { ino, mtimeNs, ctimeNs, size } = await stat(this.#file, { bigint: true })
    const version = `${ino} ${mtimeNs} ${ctimeNs} ${size}`
    if (version !== this.#version) {
      this.#shelves = shelvesOf(await this.#store.refs.list())
      this.#version = version
    }
    return this.#shelves
  }

  async shelf(repository: Repository): Promise<Shelf | undefined> {
    return (await this.shelves()).get(repository)
  }

  /** Puts a manifest under a tag. The one that had the tag stays in the repository. */
  async tag(repository: Repository, tag: string, descriptor: Descriptor): Promise<void> {
    const name = nameOfTag(repository, tag)
    await this.#store.refs.edit((refs) => {
      const before = refs.find((ref) => ref.name === name)?.descriptor
      const isReplaced = (ref: Ref): boolean =>
        ref.name === name ||
        (ref.descriptor.digest === descriptor.digest &&
          (ref.name === undefined || ref.name === nameOfDigest(repository, descriptor.digest)))
      return withUntagged([...refs.filter((ref) => !isReplaced(ref)), { name, descriptor }], repository, before)
    })
  }

  /** Keeps a manifest without a tag. */
  async keep(repository: Repository, descriptor: Descriptor): Promise<void> {
    await this.#store.refs.edit((refs) => withUntagged(refs, repository, descriptor))
  }

  /** Whether there was such a tag. Its manifest stays. On a full disk, too. */
  async untag(repository: Repository, tag: string): Promise<boolean> {
    let before: Descriptor | undefined
    const name = nameOfTag(repository, tag)
    await this.#free((refs) => {
      before = refs.find((ref) => ref.name === name)?.descriptor
      return before === undefined
        ? refs
        : withUntagged(
            refs.filter((ref) => ref.name !== name),
            repository,
            before,
          )
    })
    return before !== undefined
  }

  /** Removes a manifest, with every tag that it has in this repository. On a full disk, too. */
  async remove(repository: Repository, digest: Digest): Promise<void> {
    await this.#free((refs) => {
      const kept = refs.filter((ref) => ref.descriptor.digest !== digest || !isIn(ref, repository))
      return kept.length === refs.length ? refs : kept
    })
  }

  async #free(edit: (refs: readonly Ref[]) => readonly Ref[]): Promise<void> {
    await this.#store.freeing(() => this.#store.refs.edit(edit))
  }
}

function isIn(ref: Ref, repository: Repository): boolean {
  return ref.name !== undefined && placeOf(ref.name)?.repository === repository
}

/** `refs`, in which `descriptor` has an entry in the repository, whatever its name. */
function withUntagged(refs: readonly Ref[], repository: Repository, descriptor: Descriptor | undefined): readonly Ref[] {
  if (descriptor === undefined) return refs
  const { digest, mediaType, size } = descriptor
  if (refs.some((ref) => ref.descriptor.digest === digest && isIn(ref, repository))) return refs
  return [...refs, { name: nameOfDigest(repository, digest), descriptor: { mediaType, digest, size } }]
}

function shelvesOf(refs: readonly Ref[]): ReadonlyMap<Repository, Shelf> {
  const shelves = new Map<Repository, OpenShelf>()
  for (const { name, descriptor } of refs) {
    const place = name === undefined ? undefined : placeOf(name)
    if (place === undefined) continue
    const shelf = shelves.get(place.repository) ?? { tags: new Map(), manifests: new Map() }
    shelves.set(place.repository, shelf)
    if (place.tag !== undefined) shelf.tags.set(place.tag, descriptor)
    shelf.manifests.set(descriptor.digest, descriptor)
  }
  return shelves
}
