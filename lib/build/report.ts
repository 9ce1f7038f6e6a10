import type { LayerNotice } from '../layers/index.ts'
import type { TransferEvent } from '../registry/index.ts'
import { describeStep } from './describe.ts'
import type { Vertex } from './graph.ts'
import type { BuildEvent } from './progress.ts'

/** What a step may say while it is carried out. */
export interface Reporter {
  log(stream: 'stdout' | 'stderr', data: Uint8Array): void
  pull(reference: string, transfer: TransferEvent): void
  notice(notice: LayerNotice): void
}

/** Tells `onProgress` of a step, from its start to its end or failure. Steps of one build may be told of at once. */
export async function reported<T extends { readonly isCached: boolean }>(
  { index, step }: Vertex,
  total: number,
  onProgress: ((event: BuildEvent) => void) | undefined,
  work: (reporter: Reporter) => Promise<T>,
): Promise<T> {
  const name = describeStep(step)
  const shared = { index, total, name }
  const begin = performance.now()
  onProgress?.({ type: 'start', ...shared })
  try {
    const done = await work({
      log: (stream, data) => onProgress?.({ type: 'log', index, name, stream, data }),
      notice: (notice) => onProgress?.({ type: 'notice', index, name, ...notice }),
      pull: (reference, transfer) => onProgress?.({ type: 'pull', index, name, reference, transfer }),
    })
    onProgress?.({ type: 'step', ...shared, cached: done.isCached, durationMs: performance.now() - begin })
    return done
  } catch (error) {
    onProgress?.({ type: 'failed', ...shared, error, durationMs: performance.now() - begin })
    throw error
  }
}
