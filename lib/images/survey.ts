import { readFile, stat } from 'node:fs/promises'
import { StrakeError } from '../errors/index.ts'
import { chainIds } from '../layers/index.ts'
import { algorithmOf, type Descriptor, type Digest, digestOf, failedWith, type Store } from '../store/index.ts'
import { parseConfig } from './config.ts'
import { hasLinks, linksOf } from './links.ts'
import { largestManifest } from './manifest.ts'
import { kindOf } from './media-types.ts'

/** A blob that an image consists of, as the descriptor that names it says. */
export interface ImageBlob {
  readonly digest: Digest
  /** Bytes, as announced. */
  readonly size: number
  /** `other`: what an index lists that is of no type known here. It is kept where it is there, and not missed where it is not. */
  readonly role: 'index' | 'manifest' | 'config' | 'layer' | 'other'
}

/** An entry of the store's index with all that hangs on it: every platform of an index. */
export interface SurveyedImage {
  readonly descriptor: Descriptor
  /** As people write them; none for an image that is kept without a name. */
  readonly tags: readonly string[]
  readonly blobs: ReadonlyMap<Digest, ImageBlob>
  /** Of its images for the platforms. */
  readonly manifests: readonly Digest[]
  /** ChainIDs of all of them, which name their snapshots. */
  readonly chains: ReadonlySet<Digest>
  /** Of one in Docker's format: the manifests, or the index with them, by which other programs see it in the layout as an OCI image. */
  readonly ociForms: ReadonlySet<Digest>
  /** Manifests and configs that are not there or are damaged: what they point to is not known. */
  readonly unreadable: ReadonlySet<Digest>
}

const deepest = 8
/** Of a manifest or config. */
const mostBytes = 2 * largestManifest

/** Follows every name of the store down to its blobs. Layers are not looked at. */
export async function surveyImages(store: Store): Promise<SurveyedImage[]> {
  const images = new Map<Digest, { descriptor: Descriptor; ociForm: Descriptor | undefined; tags: string[] }>()
  for (const { name, descriptor, ociForm } of await store.refs.list()) {
    const image = images.get(descriptor.digest) ?? { descriptor, ociForm, tags: [] }
    images.set(descriptor.digest, image)
    if (name !== undefined) image.tags.push(name)
  }
  const reader = new SmallBlobs(store)
  const surveyed: SurveyedImage[] = []
  for (const { descriptor, ociForm, tags } of images.values()) {
    const found = await follow(reader, descriptor)
    const form = ociForm ? await follow(reader, ociForm) : { blobs: new Map<Digest, ImageBlob>() }
    const ociForms = new Set([...form.blobs.keys()].filter((digest) => !found.blobs.has(digest)))
    surveyed.push({ ...found, descriptor, ociForms, tags: tags.sort() })
  }
  return surveyed
}

/** What hangs on a descriptor. */
export async function surveyBlobs(store: Store, descriptor: Descriptor): Promise<Omit<SurveyedImage, 'tags' | 'ociForms'>> {
  return { ...(await follow(new SmallBlobs(store), descriptor)), descriptor }
}

async function follow(reader: SmallBlobs, root: Descriptor): Promise<Omit<SurveyedImage, 'tags' | 'ociForms' | 'descriptor'>> {
  const blobs = new Map<Digest, ImageBlob>()
  const chains = new Set<Digest>()
  const unreadable = new Set<Digest>()
  const manifests: Digest[] = []
  const waiting = [{ descriptor: root, depth: 0 }]
  const isNew = (digest: Digest): boolean => (blobs.get(digest)?.role ?? 'other') === 'other'
  const add = ({ digest, size }: Descriptor, role: ImageBlob['role']): void => {
    if (isNew(digest)) blobs.set(digest, { digest, size, role })
  }
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { descriptor, depth } = next
    if (!isNew(descriptor.digest) || depth > deepest) continue
    if (!hasLinks(descriptor) && depth > 0) {
      add(descriptor, 'other')
      continue
    }
    const links = await reader.links(descriptor.digest)
    add(descriptor, links && links.manifests.length > 0 ? 'index' : 'manifest')
    if (links === undefined) {
      unreadable.add(descriptor.digest)
      continue
    }
    for (const each of links.manifests) waiting.push({ descriptor: each, depth: depth + 1 })
    for (const each of links.layers) add(each, 'layer')
    if (links.config === undefined) continue
    add(links.config, 'config')
    manifests.push(descriptor.digest)
    if (kindOf(links.config.mediaType) !== 'config') continue
    const diffIds = await reader.diffIds(links.config.digest)
    if (diffIds === undefined) unreadable.add(links.config.digest)
    for (const each of chainIds(diffIds ?? [])) chains.add(each)
  }
  return { blobs, chains, manifests, unreadable }
}

/** Manifests and configs, each read once; undefined for one that is missing, damaged or too large. */
class SmallBlobs {
  readonly #store: Store
  readonly #links = new Map<Digest, ReturnType<typeof linksOf>>()
  readonly #diffIds = new Map<Digest, readonly Digest[] | undefined>()

  constructor(store: Store) {
    this.#store = store
  }

  async links(digest: Digest): Promise<ReturnType<typeof linksOf>> {
    if (!this.#links.has(digest)) {
      const bytes = await this.#read(digest)
      this.#links.set(digest, bytes && linksOf(bytes))
    }
    return this.#links.get(digest)
  }

  async diffIds(digest: Digest): Promise<readonly Digest[] | undefined> {
    if (!this.#diffIds.has(digest)) {
      const bytes = await this.#read(digest)
      this.#diffIds.set(digest, bytes && diffIdsIn(bytes))
    }
    return this.#diffIds.get(digest)
  }

  async #read(digest: Digest): Promise<Buffer | undefined> {
    try {
      const path = this.#store.blobs.path(digest)
      if ((await stat(path)).size > mostBytes) return undefined
      const bytes = await readFile(path)
      return digestOf(bytes, algorithmOf(digest)) === digest ? bytes : undefined
    } catch (error) {
      if (failedWith(error, 'ENOENT', 'EISDIR')) return undefined
      throw error
    }
  }
}

/** None for what is no image's config. */
function diffIdsIn(bytes: Buffer): readonly Digest[] {
  try {
    return parseConfig(bytes).diffIds
  } catch (error) {
    if (error instanceof StrakeError) return []
    throw error
  }
}
