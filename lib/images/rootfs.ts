import { decompressArchive, directoryEntries, layerMediaType, sourceDateEpoch, storeLayer } from '../layers/index.ts'
import { type ByteStream, type Digest, type Store, toDigest } from '../store/index.ts'
import { abortable } from './abortable.ts'
import type { ExecutionConfig } from './config.ts'
import type { ImageData } from './image.ts'
import { Images } from './images.ts'
import type { ReadOptions } from './import-options.ts'
import { hostPlatform, type Platform } from './platform.ts'
import { sourceFile } from './source-file.ts'
import { importing } from './transaction.ts'
import { walkedTar } from './walked.ts'

export interface RootfsOptions extends ReadOptions {
  readonly tags?: readonly string[] | undefined
  /** Default that of this machine. */
  readonly platform?: Platform | undefined
  readonly config?: ExecutionConfig | undefined
  /** Of a directory: paths from it that are left out. */
  readonly exclude?: readonly string[] | undefined
}

/**
 * Makes an image of one layer from a tar of a root file system, plain or compressed by gzip, zstd, xz or bzip2. Rejects as `walkTar` and `checkEntry` do,
 * and the store is then as before. The same tar gives the same image.
 */
export async function importRootfsTar(store: Store, stream: ByteStream, options: RootfsOptions = {}): Promise<ImageData> {
  return await importing(
    store,
    async () => {
      const { limits, signal } = options
      const tar = abortable(decompressArchive(stream, limits), signal, 'importing')
      const { digest, size } = await store.blobs.put(walkedTar(tar, limits))
      return await putRootfs(store, { digest, size }, options)
    },
    ({ descriptor }) => [descriptor],
  )
}

export async function importRootfsFile(store: Store, path: string, options: RootfsOptions = {}): Promise<ImageData> {
  return await importRootfsTar(store, sourceFile(path, undefined, options.signal), options)
}

/** Makes an image of one layer from a directory of this machine that holds a root file system. Times later than SOURCE_DATE_EPOCH become that. */
export async function importRootfsDirectory(store: Store, path: string, options: RootfsOptions = {}): Promise<ImageData> {
  const { descriptor } = await storeLayer(store, directoryEntries(path, { exclude: options.exclude }), { clampTime: sourceDateEpoch() })
  return await putRootfs(store, descriptor, options)
}

async function putRootfs(
  store: Store,
  layer: { readonly digest: Digest; readonly size: number },
  options: RootfsOptions,
): Promise<ImageData> {
  return await new Images(store).put(
    {
      config: {
        platform: options.platform ?? hostPlatform,
        config: options.config ?? {},
        diffIds: [toDigest('sha256', layer.digest.slice(7))],
        history: [{ created_by: 'strake import', comment: 'imported root file system' }],
      },
      layers: [{ mediaType: layerMediaType, digest: layer.digest, size: layer.size }],
    },
    { tags: options.tags ?? [] },
  )
}
