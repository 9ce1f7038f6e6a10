import { currentRuntime } from '../containers/index.ts'
import { type GetOptions, Images, importRootfsFile, loadImages } from '../images/index.ts'
import { Image } from './handles.ts'

async function stored(): Promise<Images> {
  return new Images((await currentRuntime()).store)
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
