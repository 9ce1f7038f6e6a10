import { StrakeError } from '../../errors/index.ts'
import {
  checkLayerCount,
  familiarReference,
  findManifest,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  type ImageData,
  Images,
  kindOf,
  type Manifest,
  matchesPlatform,
  type Platform,
  parseConfig,
  parseManifest,
  parseNewName,
  parsePlatform,
  type Reference,
  readAnyImage,
  readImage,
  surveyBlobs,
} from '../../images/index.ts'
import type { Descriptor, Digest, Store } from '../../store/index.ts'
import { manifestName, oneOf, parallelOf, platformAnnotation, rejection, sourceAnnotation, storeName } from './check.ts'
import { fetchAll } from './fetch.ts'
import { mirrorsOf, type Source } from './mirrors.ts'
import { checkRemoteOptions } from './option-names.ts'
import type { PullOptions, PullPolicy } from './options.ts'
import { linked } from './parallel.ts'
import { type FetchedManifest, Repository } from './repository.ts'
import { type UnpackImage, Unpacking } from './unpacking.ts'

/** Which images of a multi-platform one are wanted; undefined for that of this machine. */
type Wanted = Platform | 'all' | undefined

interface Request {
  readonly store: Store
  readonly reference: Reference
  readonly wanted: Wanted
  readonly options: PullOptions
  readonly unpack: UnpackImage | undefined
}

/**
 * Brings an image from a registry into the store, under the name that it was asked for by, and unpacks it. Rejects with `invalid_reference`,
 * `invalid_argument`, `registry_…`, `image_not_found` (none for the platform, or none in the store with `policy: 'never'`), `image_invalid`,
 * `digest_mismatch`, `size_mismatch`, `layer_invalid`, `limit_exceeded`, `store_full`, `aborted`: then no name of the store has changed. Layers that had
 * arrived whole are found there by the next try, until they are pruned.
 *
 * @param unpack unpacks layers as they arrive; without it the image stays packed until it is run
 */
export async function pullImage(store: Store, reference: string, options: PullOptions = {}, unpack?: UnpackImage): Promise<ImageData> {
  checkRemoteOptions('pull', options)
  const request: Request = { store, reference: parseNewName(reference), wanted: wantedOf(options.platform), options, unpack }
  const policy = oneOf('policy', options.policy, ['always', 'missing', 'never'], 'always')
  parallelOf(options)
  using _ = store.hold()
  try {
    const local = await findLocal(request)
    const isFixed = request.reference.digest !== undefined && local?.isSettled === true
    if (local && (isFixed || (policy !== 'always' && isEnough(local, request, policy)))) return await unpacked(request, local.image)
    if (policy === 'never')
      throw new StrakeError('image_not_found', `there is no image ${familiarReference(request.reference)} in the store`, {
        hint: "policy 'missing' or 'always' asks the registry for it",
        details: { reference },
      })
    return await fromSources(request, local)
  } catch (error) {
    throw rejection(error, options.signal)
  }
}

function wantedOf(platform: string | undefined): Wanted {
  if (platform === undefined || platform === 'all') return platform
  if (typeof platform !== 'string') throw new StrakeError('invalid_argument', 'platform is a string, for example linux/arm64')
  return parsePlatform(platform)
}

interface Local {
  readonly descriptor: Descriptor
  readonly image: ImageData
  /** Whether the registry's index would give the same for what is wanted. Where it is another question than it was answered to, only the index can tell. */
  readonly isSettled: boolean
}

/** What the store has under that name, if it is whole and for the platform that is wanted. */
async function findLocal({ store, reference, wanted }: Request): Promise<Local | undefined> {
  const descriptor = await store.refs.get(storeName(reference))
  if (descriptor === undefined || (wanted === 'all' && kindOf(descriptor.mediaType) !== 'index')) return undefined
  try {
    const platform = wanted === 'all' ? undefined : wanted
    const read = wanted === 'all' ? readAnyImage : readImage
    const image = await read(store.blobs, descriptor, { platform, tags: await tagsOf(store, descriptor) })
    if (
      !matchesPlatform(image.platform, platform ?? hostPlatform) &&
      (platform !== undefined || descriptor.annotations?.[sourceAnnotation])
    )
      return undefined
    const parts = wanted === 'all' ? await allOf(store, descriptor) : image.layers
    for (const { digest, size } of parts ?? []) if ((await store.blobs.size(digest)) !== size) return undefined
    if (parts === undefined) return undefined
    return { descriptor, image, isSettled: isSettled(descriptor, wanted) }
  } catch (error) {
    if (error instanceof StrakeError) return undefined
    throw error
  }
}

/** What an index has of images, which is what is missed when it is not there; undefined where that cannot be told. */
async function allOf(store: Store, descriptor: Descriptor): Promise<{ readonly digest: Digest; readonly size: number }[] | undefined> {
  const { blobs, unreadable } = await surveyBlobs(store, descriptor)
  return unreadable.size > 0 ? undefined : [...blobs.values()].filter(({ role }) => role !== 'other')
}

function isSettled({ annotations }: Descriptor, wanted: Wanted): boolean {
  return annotations?.[sourceAnnotation] === undefined || annotations[platformAnnotation] === questionOf(wanted)
}

/** What an index is asked for. */
function questionOf(wanted: Wanted): string {
  return wanted === 'all' ? wanted : formatPlatform(wanted ?? hostPlatform)
}

/** Whether what is there will do without the registry: not where a variant is asked for that the index may have, and this is another one. */
function isEnough({ image, isSettled }: Local, { wanted }: Request, policy: PullPolicy): boolean {
  if (policy === 'never' || isSettled) return true
  return wanted === undefined || wanted === 'all' || wanted.variant === undefined || wanted.variant === image.platform.variant
}

async function tagsOf(store: Store, { digest }: Descriptor): Promise<string[]> {
  return (await store.refs.list()).flatMap((each) =>
    each.descriptor.digest === digest && each.name && !each.name.includes('@') ? [each.name] : [],
  )
}

/** Asks the mirrors, and then the registry itself: what one does not have or does wrong, the next may. */
async function fromSources(request: Request, local: Local | undefined): Promise<ImageData> {
  const { reference, options } = request
  const sources: Source[] = [...mirrorsOf(options.mirrors), { host: reference.domain, prefix: '', isMirror: false }]
  for (const source of sources) {
    try {
      return await fromSource(request, source, local)
    } catch (error) {
      if (!source.isMirror || options.signal?.aborted || !(error instanceof StrakeError)) throw error
      if (['invalid_argument', 'store_invalid', 'store_busy', 'store_full', 'kernel_refused'].includes(error.code)) throw error
    }
  }
  throw new StrakeError('registry_unavailable', 'there is no registry to ask')
}

async function fromSource(request: Request, source: Source, local: Local | undefined): Promise<ImageData> {
  const { reference, options } = request
  const { control, unlink } = linked(options.signal)
  try {
    const own = { ...options, signal: control.signal, ...(source.isMirror ? { auth: undefined, tls: undefined } : {}) }
    const repository = new Repository(source.host, reference.repository, own, 'pull', source.prefix)
    if (local && (await isCurrent(repository, reference, local))) return await unpacked(request, local.image)
    return await fetchImage(request, repository, control)
  } finally {
    unlink()
  }
}

/** Whether the name stands for the same as in the store: by one HEAD. */
async function isCurrent(repository: Repository, reference: Reference, { descriptor, isSettled }: Local): Promise<boolean> {
  if (!isSettled) return false
  const head = await repository.headManifest(manifestName(reference))
  return head !== undefined && (head.digest === descriptor.digest || head.digest === descriptor.annotations?.[sourceAnnotation])
}

async function unpacked({ unpack, wanted, options }: Request, image: ImageData): Promise<ImageData> {
  if (unpack && isForHere(image, wanted))
    await unpack(image, { signal: options.signal, limits: options.limits, onNotice: options.onNotice })
  return image
}

/** An image for another machine is of no use unpacked, and is pulled to be looked at or passed on. */
function isForHere(image: Pick<ImageConfig, 'platform'>, wanted: Wanted): boolean {
  return wanted === undefined || matchesPlatform(image.platform, hostPlatform)
}

async function fetchImage(request: Request, repository: Repository, control: AbortController): Promise<ImageData> {
  const { store, reference, wanted } = request
  const root = await repository.manifest(manifestName(reference))
  if (wanted === 'all') {
    // An artifact is no image: that is said before it is fetched.
    parseManifest(root.bytes, root.descriptor.mediaType)
    await fetchAll({ store, repository, control, options: request.options }, root)
    const image = await unpacked(request, await readAnyImage(store.blobs, root.descriptor))
    await store.refs.set(storeName(reference), root.descriptor)
    return { ...image, tags: await tagsOf(store, root.descriptor) }
  }
  const fetched = new Map<Digest, FetchedManifest>([[root.descriptor.digest, root]])
  const { descriptor, manifest } = await findManifest(
    async (each) => {
      const found = fetched.get(each.digest) ?? (await repository.manifest(each.digest, each))
      fetched.set(each.digest, found)
      return found.bytes
    },
    root.descriptor,
    wanted,
  )
  const bytes = fetched.get(descriptor.digest)?.bytes ?? Buffer.alloc(0)
  return await fetchOne(request, repository, control, { descriptor, manifest, bytes, root: root.descriptor })
}

interface Chosen {
  readonly descriptor: Descriptor
  readonly manifest: Manifest
  readonly bytes: Buffer
  /** What the name stands for in the registry: the manifest itself, or the index it is in. */
  readonly root: Descriptor
}

async function fetchOne(request: Request, repository: Repository, control: AbortController, chosen: Chosen): Promise<ImageData> {
  const { store, reference, wanted, options, unpack } = request
  const { descriptor, manifest, bytes, root } = chosen
  const context = { store, repository, control, options }
  await fetchAll(context, { descriptor, bytes }, { only: 'config' })
  const config = parseConfig(await store.blobs.read(manifest.config.digest))
  checkLayerCount(config, manifest.layers.length)
  if (wanted !== undefined && wanted !== 'all' && !matchesPlatform(config.platform, wanted))
    throw new StrakeError('image_not_found', `the image is for ${formatPlatform(config.platform)}, not for ${formatPlatform(wanted)}`, {
      details: { wanted, offered: [formatPlatform(config.platform)] },
    })
  const plain: Descriptor = { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size }
  const image = await readImage(store.blobs, plain)
  const unpacking = new Unpacking(image, isForHere(config, wanted) ? unpack : undefined, control, options)
  try {
    await fetchAll(
      context,
      { descriptor, bytes },
      {
        only: 'layers',
        onArriving: (digest, file) => unpacking.arriving(digest, file),
        onLayer: (digest) => unpacking.arrived(digest),
      },
    )
  } catch (error) {
    await unpacking.fail(error)
  }
  await unpacking.end()
  const source = { [sourceAnnotation]: root.digest, [platformAnnotation]: questionOf(wanted) }
  const annotations = root.digest === plain.digest ? {} : { annotations: source }
  await store.refs.set(storeName(reference), { ...plain, ...annotations })
  return { ...image, tags: (await new Images(store).find(plain.digest))?.tags ?? [] }
}
