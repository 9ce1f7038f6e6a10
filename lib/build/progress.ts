import type { TransferEvent } from '../registry/index.ts'

/**
 * What a build tells while it runs. `index` counts the steps from 1, those of builds that this one starts or takes files from included; independent ones are
 * under way at once, so their events alternate.
 */
export type BuildEvent =
  /** The step is worked on from now on. One that waits, for what it needs or for its turn, has not started, and that is no part of `durationMs`. */
  | { readonly type: 'start'; readonly index: number; readonly total: number; readonly name: string }
  | {
      readonly type: 'step'
      readonly index: number
      readonly total: number
      readonly name: string
      /** Its outcome was there already. */
      readonly cached: boolean
      readonly durationMs: number
    }
  /** The build ends with this error, unless another step failed before. */
  | {
      readonly type: 'failed'
      readonly index: number
      readonly total: number
      readonly name: string
      readonly error: unknown
      readonly durationMs: number
    }
  /** An image that the step needs is pulled: how far each of its blobs is. */
  | { readonly type: 'pull'; readonly index: number; readonly name: string; readonly reference: string; readonly transfer: TransferEvent }
  /**
   * Something that a layer has is not in the unpacked files (a device node, an xattr that is not for a container to set), or a cache of `cacheFrom`, whose
   * reference is the path then, is damaged and was passed over.
   */
  | { readonly type: 'notice'; readonly index: number; readonly name: string; readonly path: string; readonly message: string }
  | { readonly type: 'log'; readonly index: number; readonly name: string; readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }

/** The last bytes of a step's output, both streams as they came. */
export class LogTail {
  readonly #limit: number
  #pieces: Uint8Array[] = []
  #length = 0

  /** @param limit bytes that are kept, at least; twice as many at most are held */
  constructor(limit = 64 * 1024) {
    this.#limit = limit
  }

  add(data: Uint8Array): void {
    this.#pieces.push(Uint8Array.from(data))
    this.#length += data.length
    if (this.#length > 2 * this.#limit) {
      const tail = this.#bytes()
      this.#pieces = [tail]
      this.#length = tail.length
    }
  }

  toString(): string {
    return this.#bytes().toString()
  }

  #bytes(): Buffer {
    return Buffer.concat(this.#pieces).subarray(-this.#limit)
  }
}
