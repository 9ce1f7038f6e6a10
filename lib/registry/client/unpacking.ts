import type { ImageData } from '../../images/index.ts'
import type { LayerLimits } from '../../layers/index.ts'
import type { Digest } from '../../store/index.ts'
import type { PullOptions } from './options.ts'

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined
  readonly limits?: Partial<LayerLimits> | undefined
  /** Waited for before a layer's blob is read. */
  readonly ready?: ((layer: { readonly digest: Digest }) => Promise<void>) | undefined
  /** Called with each layer that is unpacked, now or before. */
  readonly onLayer?: ((chainId: Digest) => void) | undefined
}

/** Makes sure that an image's layers are unpacked; given by whoever has what that needs. */
export type UnpackImage = (image: ImageData, options: UnpackOptions) => Promise<void>

interface Arrival {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

function arrival(): Arrival {
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

/** The unpacking of an image beside its download: each layer as soon as it has arrived and those below it are unpacked. */
export class Unpacking {
  readonly #arrivals: ReadonlyMap<Digest, Arrival>
  readonly #work: Promise<void>

  constructor(image: ImageData, unpack: UnpackImage | undefined, control: AbortController, options: PullOptions) {
    this.#arrivals = new Map(image.layers.map(({ digest }) => [digest, arrival()]))
    const event = (chainId: Digest, phase: 'unpack' | 'unpacked'): void => {
      const layer = image.layers.find((each) => each.chainId === chainId)
      if (layer) options.onProgress?.({ phase, kind: 'layer', digest: layer.digest, bytes: layer.size, total: layer.size })
    }
    this.#work = unpack
      ? unpack(image, {
          signal: control.signal,
          limits: options.limits,
          ready: async ({ digest }) => {
            await this.#arrivals.get(digest)?.promise
            const layer = image.layers.find((each) => each.digest === digest)
            if (layer) event(layer.chainId, 'unpack')
          },
          onLayer: (chainId) => event(chainId, 'unpacked'),
        })
      : Promise.resolve()
    // A layer that cannot be unpacked ends the downloads, too.
    this.#work.catch((error: unknown) => control.abort(error))
  }

  arrived(digest: Digest): void {
    this.#arrivals.get(digest)?.resolve()
  }

  /** The download failed: what waits for a layer waits no more. If unpacking failed first, that is what is thrown. */
  async fail(error: unknown): Promise<void> {
    for (const each of this.#arrivals.values()) each.reject(error)
    await this.#work
  }

  async end(): Promise<void> {
    await this.#work
  }
}
