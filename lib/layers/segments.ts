import type { Ring } from './ring.ts'

/** Uncompressed bytes of a layer, for as long as they stay in the ring. */
export interface Segment {
  readonly bytes: Buffer
  /** Its place is filled anew once `done` is settled. */
  release(done: Promise<unknown>): void
}

/** What fills a ring. */
export interface Filler {
  /** Writes up to `length` bytes at `offset` of the ring. Fewer come at the end of the layer only. */
  fill(offset: number, length: number): Promise<number>
  /** The sha256 of all that was filled in, as hex digits; to be asked for once. */
  digest(): string
  /** Ends what `fill` waits for: it rejects. */
  stop(): void
  /** Once more does no harm. */
  close(): Promise<void>
}

/** The segments of a layer one after the other, with the next one filled ahead. Whoever has taken one releases it before asking for the next. */
export async function* segmentsOf(ring: Ring, filler: Filler): AsyncGenerator<Segment, void, void> {
  const free: Promise<unknown>[] = Array.from({ length: ring.segmentCount }, () => Promise.resolve())
  const fill = async (index: number): Promise<number> => {
    await free[index]
    return await filler.fill(index * ring.segmentBytes, ring.segmentBytes)
  }
  const ahead = (index: number): Promise<number> => {
    const filled = fill(index)
    // Whoever takes the segment learns of a failure.
    filled.catch(() => undefined)
    return filled
  }
  let next = ahead(0)
  try {
    for (let index = 0; ; index = (index + 1) % ring.segmentCount) {
      const length = await next
      if (length === 0) return
      if (length === ring.segmentBytes) next = ahead((index + 1) % ring.segmentCount)
      const start = index * ring.segmentBytes
      yield {
        bytes: ring.memory.subarray(start, start + length),
        release: (done) => {
          free[index] = done
        },
      }
      if (length < ring.segmentBytes) return
    }
  } finally {
    filler.stop()
    await next.catch(() => undefined)
    await filler.close()
  }
}
