import { stat } from 'node:fs/promises'
import { largestManifest } from '../../images/index.ts'
import { algorithmOf, type Descriptor, type Digest, digestOf, failedWith, isDigest, type Store } from '../../store/index.ts'
import { Catalog } from './catalog.ts'
import { type Form, parseForm } from './form.ts'
import { Links } from './links.ts'
import { type Reach, type ReachedManifest, Reaches } from './reach.ts'
import { Refusal } from './refusal.ts'
import { isTag, type Repository } from './repository.ts'

const nothing: Reach = { manifests: new Map(), blobs: new Map() }

/**
 * What a store holds, repository by repository. A blob is part of one when it was pushed or mounted there, or when a manifest of it names it (as with
 * images that were built here); that another repository has it is nothing that a client of this one could learn.
 */
export class Repositories {
  readonly #store: Store
  readonly #catalog: Catalog
  readonly #links: Links
  readonly #reaches: Reaches

  constructor(store: Store) {
    this.#store = store
    this.#catalog = new Catalog(store)
    this.#links = new Links(store)
    this.#reaches = new Reaches(store)
  }

  async names(): Promise<Iterable<string>> {
    return (await this.#catalog.shelves()).keys()
  }

  /** undefined for a repository that has no manifest. */
  async tags(repository: Repository): Promise<Iterable<string> | undefined> {
    return (await this.#catalog.shelf(repository))?.tags.keys()
  }

  async #reach(repository: Repository): Promise<Reach> {
    const shelf = await this.#catalog.shelf(repository)
    return shelf === undefined ? nothing : await this.#reaches.of(shelf)
  }

  /** The manifest of a tag or digest; MANIFEST_UNKNOWN, or DIGEST_INVALID for what has a colon and is no digest. */
  async manifest(repository: Repository, reference: string): Promise<Descriptor> {
    const found = isDigestLike(reference)
      ? (await this.#reach(repository)).manifests.get(digestFrom(reference))?.descriptor
      : (await this.#catalog.shelf(repository))?.tags.get(reference)
    if (found !== undefined && (await this.#sizeOf(found.digest)) !== undefined) return found
    throw new Refusal(404, 'MANIFEST_UNKNOWN', 'the repository has no such manifest', { detail: { reference: reference.slice(0, 200) } })
  }

  /** Bytes of a blob; undefined when the repository does not have it. */
  async blobSize(repository: Repository, digest: Digest): Promise<number | undefined> {
    return (await this.#isPart(repository, digest)) ? await this.#sizeOf(digest) : undefined
  }

  /** As `blobSize`, and garbage collection leaves the blob alone for a while: for whoever means to name it in a manifest. */
  async reserve(repository: Repository, digest: Digest): Promise<number | undefined> {
    return (await this.#isPart(repository, digest)) ? await this.#store.blobs.size(digest) : undefined
  }

  async #isPart(repository: Repository, digest: Digest): Promise<boolean> {
    if (await this.#links.has(repository, digest)) return true
    const { blobs, manifests } = await this.#reach(repository)
    return blobs.has(digest) || manifests.has(digest)
  }

  async #sizeOf(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#store.blobs.path(digest))).size
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /** Makes a blob that is in the store part of a repository. */
  async link(repository: Repository, digest: Digest): Promise<void> {
    await this.#links.add(repository, digest)
  }

  /** Stores a manifest under a tag, or for its digest. All that it names must be there, except for its subject. */
  async push(
    repository: Repository,
    reference: string,
    bytes: Buffer,
    mediaType: string,
  ): Promise<{ digest: Digest; subject: Digest | undefined }> {
    const wanted = isDigestLike(reference) ? digestFrom(reference) : undefined
    if (wanted === undefined && !isTag(reference))
      throw new Refusal(400, 'TAG_INVALID', 'a tag is up to 128 letters, digits, _, . and -, and begins with none of the last two')
    const digest = digestOf(bytes, wanted === undefined ? 'sha256' : algorithmOf(wanted))
    if (wanted !== undefined && wanted !== digest)
      throw new Refusal(400, 'DIGEST_INVALID', `the manifest has digest ${digest}`, { detail: { expected: wanted, actual: digest } })
    const form = parseForm(bytes, mediaType)
    await this.#checkParts(repository, form)
    await this.#store.blobs.put(bytes, { digest })
    const descriptor = { mediaType, digest, size: bytes.length }
    if (wanted === undefined) await this.#catalog.tag(repository, reference, descriptor)
    else await this.#catalog.keep(repository, descriptor)
    return { digest, subject: form.subject?.digest }
  }

  async #checkParts(repository: Repository, form: Form): Promise<void> {
    const missing: Digest[] = []
    for (const part of [...form.blobs, ...form.manifests]) {
      const size = await this.reserve(repository, part.digest)
      if (size !== undefined && size !== part.size)
        throw new Refusal(400, 'MANIFEST_INVALID', `${part.digest} has ${size} bytes, not ${part.size}`, {
          detail: { digest: part.digest },
        })
      if (size === undefined && !form.foreign.has(part.digest)) missing.push(part.digest)
    }
    if (missing.length === 0) return
    throw new Refusal(404, 'MANIFEST_BLOB_UNKNOWN', 'the manifest names what the repository does not have', {
      detail: { digest: missing[0], missing: missing.slice(0, 100) },
    })
  }

  async bytes(descriptor: Descriptor): Promise<Buffer> {
    return await this.#store.blobs.read(descriptor.digest, largestManifest)
  }

  /** Removes a tag, or a manifest with all its tags. What it named stays, for whoever else names it. */
  async remove(repository: Repository, reference: string): Promise<void> {
    if (!isDigestLike(reference)) {
      if (await this.#catalog.untag(repository, reference)) return
      throw new Refusal(404, 'MANIFEST_UNKNOWN', 'the repository has no such tag')
    }
    const { digest } = await this.manifest(repository, reference)
    const parent = (await this.#reach(repository)).manifests.get(digest)?.parent
    if (parent !== undefined) throw inUse(`is part of the index ${parent}`, parent)
    await this.#catalog.remove(repository, digest)
  }

  async removeBlob(repository: Repository, digest: Digest): Promise<void> {
    const user = (await this.#reach(repository)).blobs.get(digest)
    if (user !== undefined) throw inUse(`is used by the manifest ${user}`, user)
    if (!(await this.#links.has(repository, digest))) throw new Refusal(404, 'BLOB_UNKNOWN', 'the repository has no such blob')
    await this.#links.remove(repository, digest)
  }

  /** The manifests whose subject is `subject`, by digest. */
  async referrers(repository: Repository, subject: Digest): Promise<ReachedManifest[]> {
    return [...(await this.#reach(repository)).manifests.values()]
      .filter(({ form }) => form.subject?.digest === subject)
      .sort((one, other) => (one.descriptor.digest < other.descriptor.digest ? -1 : 1))
  }
}

/** What a client gave as a digest. */
export function digestFrom(text: string | null): Digest {
  if (isDigest(text)) return text
  throw new Refusal(400, 'DIGEST_INVALID', 'a digest is sha256: and 64 hex digits, or sha512: and 128, in lower case')
}

/** A tag has no colon, and a digest has one. */
function isDigestLike(reference: string): boolean {
  return reference.includes(':')
}

function inUse(how: string, user: Digest): Refusal {
  return new Refusal(405, 'UNSUPPORTED', `it ${how}: delete that first`, { detail: { user } })
}
