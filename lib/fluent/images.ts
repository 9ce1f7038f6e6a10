import { currentRuntime, layersOf, type Runtime } from '../containers/index.ts'
import { invalidOption, kindOfValue, optionCheck } from '../errors/index.ts'
import {
  checkReadOptions,
  type GetOptions,
  Images,
  importRootfsFile,
  loadImages,
  namesFrom,
  parsePlatform,
  type ReadOptions,
  type RemoveOptions,
} from '../images/index.ts'
import {
  deleteRemote,
  type PullOptions,
  pullImage,
  type Referrer,
  type ReferrersOptions,
  type RemoteOptions,
  remoteCatalog,
  remoteReferrers,
  remoteTags,
  type UnpackImage,
} from '../registry/index.ts'
import { Image } from './handles.ts'
import { type Shown, shownTransfer } from './progress/index.ts'

/** How an image is pulled. */
export type ImagePullOptions = Shown<PullOptions>

export interface ImageLoadOptions extends ReadOptions {
  /** Of multi-platform images this one only: `linux/arm64`. Default: all that are there. */
  readonly platform?: string | undefined
}

export interface ImageImportOptions extends ReadOptions {
  /** The names that it gets; one that another image has is taken from it. */
  readonly tag?: string | readonly string[] | undefined
  /** What it is for: `linux/arm64`. Default this machine's. */
  readonly platform?: string | undefined
}

const checkLoadNames = optionCheck<ImageLoadOptions>('load', { platform: true, limits: true, signal: true })
const checkImportNames = optionCheck<ImageImportOptions>('import', { tag: true, platform: true, limits: true, signal: true })

function checkPath(what: string, path: unknown): void {
  if (typeof path !== 'string' || path === '')
    throw invalidOption(`${what} takes the path of a file, not ${path === '' ? "''" : kindOfValue(path)}.`)
  if (path.includes('\0')) throw invalidOption(`The path that ${what} takes must not contain NUL.`)
}

async function stored(): Promise<Images> {
  return new Images((await currentRuntime()).store)
}

/** Unpacks a pulled image, so that it starts at once. */
function unpackerOf(runtime: Runtime): UnpackImage {
  return async (image, options) => {
    await layersOf(runtime, image, options.signal, options)
  }
}

/** The images of the store (`$STRAKE_ROOT`). */
export const images = {
  /** By name, digest or id. Rejects with `image_not_found`, `invalid_reference`. */
  async get(name: string, options: GetOptions = {}): Promise<Image> {
    return new Image(await (await stored()).get(name, options))
  },
  /** Every image once, newest first. */
  async list(): Promise<readonly Image[]> {
    return (await (await stored()).list()).map((data) => new Image(data))
  },
  /**
   * Brings an image from a registry into the store, under the name it is asked for by, and unpacks it. What is there already costs one request.
   * Rejects with `registry_unauthorized`, `registry_denied`, `registry_not_found`, `registry_unavailable`, `registry_protocol`, `image_not_found`,
   * `image_invalid`, `layer_invalid`, `digest_mismatch`, `size_mismatch`, `limit_exceeded`, `invalid_reference`, `aborted`.
   *
   * @example await images.pull('127.0.0.1:5000/app:2', { platform: 'linux/arm64', policy: 'missing' })
   */
  async pull(reference: string, options: ImagePullOptions = {}): Promise<Image> {
    return await shownTransfer('pull', reference, options, async (own: PullOptions) => {
      const runtime = await currentRuntime()
      return new Image(await pullImage(runtime.store, reference, own, unpackerOf(runtime)))
    })
  },
  /** The tags that a registry has of a repository. Rejects with `registry_not_found`, …. */
  async tags(repository: string, options: RemoteOptions = {}): Promise<readonly string[]> {
    return await remoteTags(repository, options)
  },
  /** The repositories of a registry, where it tells them. Rejects with `registry_denied`, …. */
  async catalog(host: string, options: RemoteOptions = {}): Promise<readonly string[]> {
    return await remoteCatalog(host, options)
  },
  /** What a registry has that refers to an image: signatures, attestations. */
  async referrers(reference: string, options: ReferrersOptions = {}): Promise<readonly Referrer[]> {
    return await remoteReferrers(reference, options)
  },
  /** Deletes a tag in a registry, or with `repository@sha256:…` a manifest and every tag of it. Rejects with `registry_denied` where it will not. */
  async deleteRemote(reference: string, options: RemoteOptions = {}): Promise<void> {
    await deleteRemote(reference, options)
  },
  /** Takes a name away; the image stays. Rejects with `image_not_found`. */
  async untag(name: string): Promise<void> {
    await (await stored()).untag(name)
  },
  /**
   * Removes an image with all its names; what it took on disk goes with the next `store.prune()`. Rejects with `image_not_found`, and with
   * `image_in_use` while a container runs from it, unless `force` is given.
   */
  async remove(name: string, options: RemoveOptions = {}): Promise<void> {
    const runtime = await currentRuntime()
    runtime.uses.trim()
    await new Images(runtime.store).remove(name, options)
  },
  /**
   * Every image of a docker-archive, an oci-archive, or an OCI layout directory. Rejects with `image_not_found`, `image_invalid`, `layer_invalid`, …,
   * and with `invalid_argument` where there is no file and no directory at the path (a fifo, say), or it cannot be read; with `limit_exceeded`, `aborted`.
   *
   * @example await images.load('upload.tar', { limits: { layerBytes: 2 ** 30 }, signal: AbortSignal.timeout(60_000) })
   */
  async load(path: string, options: ImageLoadOptions = {}): Promise<readonly Image[]> {
    checkPath('load', path)
    checkLoadNames(options)
    checkReadOptions(options)
    const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
    return (await loadImages((await currentRuntime()).store, path, { ...options, platform })).map((data) => new Image(data))
  },
  /**
   * A flat root file system as an image of one layer: a tar, plain or compressed. Rejects with `image_not_found`, `layer_invalid`, `path_escapes`,
   * `limit_exceeded`, `invalid_argument`, `invalid_reference`, `aborted`, ….
   *
   * @example await images.import('rootfs.tar.xz', { tag: 'base:1' })
   */
  async import(path: string, options: ImageImportOptions = {}): Promise<Image> {
    checkPath('import', path)
    checkImportNames(options)
    checkReadOptions(options)
    const { limits, signal } = options
    const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
    const tags = namesFrom(options.tag)
    return new Image(await importRootfsFile((await currentRuntime()).store, path, { limits, signal, platform, tags }))
  },
} as const
