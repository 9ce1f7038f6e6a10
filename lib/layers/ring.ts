import { binding, closeFd, type RingHandle } from '../../native/binding.ts'
import { kernelRefused } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'

/** Smaller ones cost: 16 of 256 KB are a fifth slower. */
const segmentBytes = 2 * 1024 * 1024
const segmentCount = 4

/**
 * Memory that an agent sees as well, which it may only read: content of files goes through it, and no copy of it over the socket. Its segments are
 * filled in turn; when one may be filled anew is for its user to see to.
 */
export class Ring {
  readonly handle: RingHandle
  readonly memory: Buffer
  readonly segmentBytes = segmentBytes
  readonly segmentCount = segmentCount
  readonly #memfd: number

  /** Rejects with `kernel_refused`. */
  static async shared(agent: Agent): Promise<Ring> {
    const ring = new Ring()
    try {
      await agent.run([{ op: 'mapRing', fd: 'ring', length: ring.memory.length }], { ring: ring.#memfd })
      return ring
    } catch (error) {
      ring.release()
      throw error
    } finally {
      closeFd(ring.#memfd)
    }
  }

  /** One that no agent sees. Rejects with `kernel_refused`. */
  static own(): Ring {
    const ring = new Ring()
    closeFd(ring.#memfd)
    return ring
  }

  private constructor() {
    const made = binding().ring(segmentBytes * segmentCount)
    if (typeof made === 'number') throw kernelRefused([], -1, -made)
    this.#memfd = made[0]
    this.handle = made[1]
    this.memory = Buffer.from(made[2])
  }

  /** Where bytes are in the ring; undefined for what is elsewhere. */
  offsetOf(bytes: Uint8Array): number | undefined {
    return bytes.buffer === this.memory.buffer ? bytes.byteOffset : undefined
  }

  /** No more is written or read here. The agent keeps its view of it until it ends. */
  release(): void {
    binding().releaseRing(this.handle, this.memory.buffer as ArrayBuffer)
  }
}
