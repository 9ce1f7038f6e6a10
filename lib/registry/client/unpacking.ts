import type { ImageData } from '../../images/index.ts'
import type { LayerLimits, LayerNotice } from '../../layers/index.ts'
import type { BlobFile, Digest } from '../../store/index.ts'
import type { PullOptions } from './options.ts'

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined
  readonly limits?: Partial<LayerLimits> | undefined
  /** Waited for before a layer's blob is read, which may still be on its way: then its file comes back. */
  readonly ready?: ((layer: { readonly digest: Digest }) => Promise<BlobFile | undefined>) | undefined
  readonly onNotice?: ((notice: LayerNotice) => void) | undefined
  /** Called with each layer that is unpacked, now or before. */
  readonly onLayer?: ((chainId: Digest) => void) | undefined
}

/** Makes sure that an image's layers are unpacked; given by whoever has what that needs. */
export type UnpackImage = (image: ImageData, options: UnpackOptions) => Promise<void>

interface Arrival {
  /** Of the file while it is being written; undefined for a blob that is there. */
  readonly promise: Promise<BlobFile | undefined>
  readonly resolve: (file: BlobFile | undefined) => void
  readonly reject: (error: unknown) => void
  isThere: boolean
  readonly untold: (() => void)[]
}

function arrival(): Arrival {
  let resolve: Arrival['resolve'] = () => {}
  let reject: Arrival['reject'] = () => {}
  const promise = new Promise<BlobFile | undefined>((yes, no) => {
    resolve = yes
    reject = no
  })
  promise.catch(() => {})
  return { promise, resolve, reject, isThere: false, untold: [] }
}

/** The unpacking of an image beside its download: each layer as it arrives, once those below it are unpacked. */
export class Unpacking {
  readonly #image: ImageData
  readonly #options: PullOptions
  readonly #arrivals: ReadonlyMap<Digest, Arrival>
  readonly #control: AbortController
  readonly #work: Promise<void>

  constructor(image: ImageData, unpack: UnpackImage | undefined, control: AbortController, options: PullOptions) {
    this.#image = image
    this.#options = options
    this.#control = control
    this.#arrivals = new Map(image.layers.map(({ digest }) => [digest, arrival()]))
    this.#work = unpack
      ? unpack(image, {
          signal: control.signal,
          limits: options.limits,
          onNotice: options.onNotice,
          ready: async ({ digest }) => {
            const arriving = this.#arrivals.get(digest)
            const file = await arriving?.promise
            this.#tellOnceThere(arriving, () => this.#tell('unpack', (each) => each.digest === digest))
            return file
          },
          onLayer: (chainId) => {
            const layer = image.layers.find((each) => each.chainId === chainId)
            this.#tellOnceThere(layer && this.#arrivals.get(layer.digest), () => this.#tell('unpacked', (each) => each.chainId === chainId))
          },
        })
      : Promise.resolve()
    // A layer that cannot be unpacked ends the downloads, too.
    this.#work.catch((error: unknown) => control.abort(error))
  }

  #tell(phase: 'unpack' | 'unpacked', wanted: (layer: ImageData['layers'][number]) => boolean): void {
    const layer = this.#image.layers.find(wanted)
    if (layer) this.#options.onProgress?.({ phase, kind: 'layer', digest: layer.digest, bytes: layer.size, total: layer.size })
  }

  /** Whoever is told hears of a layer's unpacking after its download, though both go on at once. */
  #tellOnceThere(arriving: Arrival | undefined, tell: () => void): void {
    if (arriving === undefined || arriving.isThere) tell()
    else arriving.untold.push(tell)
  }

  /** A layer's download has begun: what has come of it is in `file`. */
  arriving(digest: Digest, file: BlobFile): void {
    this.#arrivals.get(digest)?.resolve(file)
  }

  arrived(digest: Digest): void {
    const arrived = this.#arrivals.get(digest)
    if (arrived === undefined) return
    arrived.isThere = true
    arrived.resolve(undefined)
    for (const tell of arrived.untold.splice(0)) tell()
  }

  /**
   * The download failed: what waits for a layer waits no more, and what is being unpacked ends. Rejects with whichever failed first, since either ends the
   * other and lets it fail, too.
   */
  async fail(error: unknown): Promise<never> {
    this.#control.abort(error)
    for (const each of this.#arrivals.values()) each.reject(error)
    await this.#work.catch(() => undefined)
    throw this.#control.signal.reason
  }

  async end(): Promise<void> {
    await this.#work
  }
}
