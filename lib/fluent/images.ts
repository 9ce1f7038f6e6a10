import { currentRuntime, type Runtime } from '../containers/index.ts'
import { ensureSnapshots, type GetOptions, Images, importRootfsFile, loadImages } from '../images/index.ts'
import { type PullOptions, pullImage, type UnpackImage } from '../registry/index.ts'
import { Image } from './handles.ts'

async function stored(): Promise<Images> {
  return new Images((await currentRuntime()).store)
}

/** Unpacks a pulled image, so that it starts at once. */
function unpackerOf(runtime: Runtime): UnpackImage {
  return async (image, options) => {
    if (runtime.hasUnpacked(image.layers)) return
    const { ids } = await runtime.zygote()
    await ensureSnapshots(runtime.store, image, (path) => runtime.agentFor(path), { ...options, ownership: ids.kind !== 'single' })
    runtime.noteUnpacked(image.layers)
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
  async pull(reference: string, options: PullOptions = {}): Promise<Image> {
    const runtime = await currentRuntime()
    return new Image(await pullImage(runtime.store, reference, options, unpackerOf(runtime)))
  },
  /** Takes a name away; the image stays. Rejects with `image_not_found`. */
  async untag(name: string): Promise<void> {
    await (await stored()).untag(name)
  },
  /** Removes an image with all its names. Rejects with `image_not_found`. */
  async remove(name: string): Promise<void> {
    await (await stored()).remove(name)
  },
  /** Every image of a docker-archive, an oci-archive, or an OCI layout directory. Rejects with `image_invalid`, `layer_invalid`, …. */
  async load(path: string): Promise<readonly Image[]> {
    return (await loadImages((await currentRuntime()).store, path)).map((data) => new Image(data))
  },
  /** A flat root file system as an image of one layer: a tar, plain or compressed. */
  async import(path: string): Promise<Image> {
    return new Image(await importRootfsFile((await currentRuntime()).store, path))
  },
} as const
