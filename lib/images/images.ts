import { readdir } from 'node:fs/promises'
import { checkFlag, optionCheck, StrakeError } from '../errors/index.ts'
import { type Descriptor, type Digest, digestOf, isDigest, ociLayerMediaType, ownerIn, type Ref, type Store } from '../store/index.ts'
import { checkLayerCount, formatConfig, type ImageConfig } from './config.ts'
import { findManifest, type ImageData, readAnyImage, readImage } from './image.ts'
import { largestManifest } from './manifest.ts'
import { configMediaType, manifestMediaType } from './media-types.ts'
import { formatPlatform, type Platform, parsePlatform } from './platform.ts'
import { familiarReference, parseNewName, parseReference } from './reference.ts'
import { surveyImages } from './survey.ts'

/** An image to be stored, whose layers' blobs are there already. */
export interface NewImage {
  readonly config: ImageConfig
  /** Bottom first; as many as `config.diffIds`. */
  readonly layers: readonly Descriptor[]
  readonly annotations?: Readonly<Record<string, string>>
}

export interface RemoveOptions {
  /** Removes an image that containers run from. Default false. */
  readonly force?: boolean | undefined
}

export interface GetOptions {
  /** Which of a multi-platform image: `linux/arm64`, or its parts. Default that of this machine. */
  readonly platform?: string | Platform | undefined
}

const checkGetOptions = optionCheck<GetOptions>('get', { platform: true })
const checkRemoveOptions = optionCheck<RemoveOptions>('remove', { force: true })

/** The images of a store: manifests and configs among its blobs, names in its index. */
export class Images {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Stores an image, under `tags` if there are any. Without one it is kept all the same, until it is removed. The same image
   * stored twice is one image. Layers of an image in Docker's format get OCI's names for what they are: readers take one family of names in a manifest.
   */
  async put(image: NewImage, options: { readonly tags?: readonly string[] } = {}): Promise<ImageData> {
    checkLayerCount(image.config, image.layers.length)
    const names = (options.tags ?? []).map(newNameOf)
    const config = formatConfig(image.config)
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestMediaType,
        config: { mediaType: configMediaType, digest: digestOf(config), size: config.length },
        layers: image.layers.map(({ mediaType, digest, size }) => ({ mediaType: ociLayerMediaType(mediaType), digest, size })),
        annotations: image.annotations,
      }),
    )
    await this.#store.blobs.put(config)
    const { digest, size } = await this.#store.blobs.put(manifest)
    await this.keep({ mediaType: manifestMediaType, digest, size }, names)
    return await this.#read({ mediaType: manifestMediaType, digest, size })
  }

  /** Names a manifest or index whose blobs are all there. */
  async keep(descriptor: Descriptor, tags: readonly string[]): Promise<void> {
    if (tags.length === 0) await this.#store.refs.set(undefined, descriptor)
    for (const tag of tags) await this.#store.refs.set(newNameOf(tag), descriptor)
  }

  /** An image by name, digest, or id (that of its config, or the first 8 digits or more of either). Rejects with `image_not_found`. */
  async get(name: string, options: GetOptions = {}): Promise<ImageData> {
    checkGetOptions(options)
    const found = await this.find(name, options)
    if (found) return found
    throw new StrakeError('image_not_found', `there is no image ${JSON.stringify(name)} in the store`, {
      hint: 'images.list() tells what there is; build it, load it or pull it',
      details: { reference: name },
    })
  }

  /** As `get`, but undefined when there is no such image. */
  async find(name: string, options: GetOptions = {}): Promise<ImageData | undefined> {
    const platform = platformOf(options.platform)
    // A number would be read as digits of an id.
    if (typeof name !== 'string') parseReference(name)
    const digits = /^(?:sha256:|sha512:)?([0-9a-f]{8,128})$/.exec(name)?.[1]
    if (digits !== undefined) {
      const byDigest = await this.#findByDigest(digits, isDigest(name))
      if (byDigest || isDigest(name)) return byDigest
    }
    const refs = await this.#store.refs.list()
    const ref = namedBy(name, refs)
    return ref && (await this.#read(ref.descriptor, refs, platform))
  }

  async #findByDigest(digits: string, isWhole: boolean): Promise<ImageData | undefined> {
    const refs = await this.#store.refs.list()
    const matches = (digest: Digest): boolean => (isWhole ? digest.slice(7) === digits : digest.slice(7).startsWith(digits))
    for (const { descriptor } of refs) if (matches(descriptor.digest)) return await this.#read(descriptor, refs)
    for (const image of await this.list()) if (matches(image.id) || matches(image.digest)) return image
    return undefined
  }

  /** Every image, each once, newest first. One that this machine has no part of, or that cannot be read, is left out. */
  async list(): Promise<ImageData[]> {
    const refs = await this.#store.refs.list()
    const found = new Map<Digest, ImageData>()
    for (const { descriptor } of refs) {
      if (found.has(descriptor.digest)) continue
      try {
        found.set(descriptor.digest, await this.#read(descriptor, refs))
      } catch (error) {
        if (!(error instanceof StrakeError)) throw error
      }
    }
    return [...new Map([...found.values()].map((image) => [image.digest, image])).values()].sort((one, other) =>
      (other.created ?? '').localeCompare(one.created ?? ''),
    )
  }

  async #read(descriptor: Descriptor, refs?: readonly Ref[], platform?: Platform): Promise<ImageData> {
    const { descriptor: chosen } = await findManifest((each) => this.#store.blobs.read(each.digest, largestManifest), descriptor, platform)
    const tags = (refs ?? (await this.#store.refs.list()))
      .filter((each) => [descriptor.digest, chosen.digest].includes(each.descriptor.digest))
      // What was pulled by its digest is kept by that, which is no tag.
      .flatMap((each) => (each.name === undefined || each.name.includes('@') ? [] : each.name))
    return await readImage(this.#store.blobs, descriptor, { tags: [...new Set(tags)].sort(), platform })
  }

  /** Gives an image one more name, taken from whatever image had it. A multi-platform image gets it as a whole. */
  async tag(image: Pick<ImageData, 'root'>, tag: string): Promise<void> {
    await this.#store.refs.set(newNameOf(tag), image.root)
  }

  /** Takes a name away; the image stays. Rejects with `image_not_found`. */
  async untag(tag: string): Promise<void> {
    const name = nameOf(tag)
    if ((await this.#store.freeing(() => this.#store.refs.unset(name))) === undefined)
      throw new StrakeError('image_not_found', `no image is named ${JSON.stringify(name)}`, { details: { reference: tag } })
  }

  /**
   * Removes an image with all its names. Its blobs and snapshots go when nothing else uses them, with the next `prune`. Rejects with
   * `image_not_found`, and with `image_in_use` while containers run from it; forced, it goes all the same, and they run on.
   */
  async remove(name: string, options: RemoveOptions = {}): Promise<ImageData> {
    checkRemoveOptions(options)
    checkFlag('force', options.force)
    const image = await this.#anyOf(name)
    const gone = (await surveyImages(this.#store)).filter(
      ({ descriptor, manifests }) => descriptor.digest === image.root.digest || (manifests.length === 1 && manifests[0] === image.digest),
    )
    const users = options.force ? [] : await this.#usersOf(gone.flatMap(({ manifests }) => manifests))
    if (users.length > 0)
      throw new StrakeError('image_in_use', `${JSON.stringify(name)} is in use by containers of process ${users.join(', ')}`, {
        hint: 'remove the containers first; with { force: true } the image goes and they run on',
        details: { reference: name, digest: image.digest, processes: users },
      })
    for (const { descriptor } of gone) await this.#store.freeing(() => this.#store.refs.remove(descriptor.digest))
    return image
  }

  /** What is for other machines only can be removed, too. */
  async #anyOf(name: string): Promise<ImageData> {
    try {
      return await this.get(name)
    } catch (error) {
      const ref =
        error instanceof StrakeError && error.code === 'image_not_found' ? namedBy(name, await this.#store.refs.list()) : undefined
      if (ref === undefined) throw error
      return await readAnyImage(this.#store.blobs, ref.descriptor)
    }
  }

  /** Pids of the living processes that have containers of these. */
  async #usersOf(manifests: readonly Digest[]): Promise<number[]> {
    const held = this.#store.holds.held()
    const owners = new Set(manifests.flatMap((digest) => [...(held.get(`image:${digest}`) ?? [])]))
    if (owners.size === 0) return []
    // A process holds an image a while longer than its last container.
    const busy = new Set((await readdir(this.#store.path('containers'))).map(ownerIn))
    return [...owners].filter((owner) => busy.has(owner)).map((owner) => Number(owner.split('-')[0]))
  }
}

function platformOf(given: GetOptions['platform']): Platform | undefined {
  if (given === undefined) return undefined
  return parsePlatform(typeof given === 'object' && given !== null ? formatPlatform(given) : given)
}

/** The entry of the store's index that a reference stands for. */
function namedBy(name: string, refs: readonly Ref[]): Ref | undefined {
  const reference = parseReference(name)
  const { digest } = reference
  if (digest === undefined) return refs.find((each) => each.name === familiarReference(reference))
  return (
    refs.find((each) => each.name === familiarReference({ ...reference, tag: undefined })) ??
    refs.find((each) => each.descriptor.digest === digest && inRepository(each, reference))
  )
}

/** The name of a reference in the store's index. `invalid_reference` for one with a digest: a name is not tied to a content. */
function nameOf(tag: string): string {
  const reference = parseReference(tag)
  if (reference.digest !== undefined) throw new StrakeError('invalid_reference', `a tag cannot name a digest: ${JSON.stringify(tag)}`)
  return familiarReference(reference)
}

/** The same for one that is to be given. */
function newNameOf(tag: string): string {
  parseNewName(tag)
  return nameOf(tag)
}

function inRepository(ref: Ref, wanted: { readonly domain: string; readonly repository: string }): boolean {
  if (ref.name === undefined) return false
  try {
    const { domain, repository } = parseReference(ref.name)
    return domain === wanted.domain && repository === wanted.repository
  } catch (error) {
    if (error instanceof StrakeError) return false
    throw error
  }
}
