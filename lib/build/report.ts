import { StrakeError } from '../errors/index.ts'
import type { LayerNotice } from '../layers/index.ts'
import type { TransferEvent } from '../registry/index.ts'
import type { BuildContext } from './context.ts'
import { describeStep } from './describe.ts'
import { checkAborted } from './failure.ts'
import type { Vertex } from './graph.ts'
import type { BuildEvent } from './progress.ts'
import type { Slots } from './slots.ts'

/** What a step may say while it is carried out. */
export interface Reporter {
  /** It is worked on from now on, unless that has been said already. */
  begin(): void
  /** Begins when there is a slot, and has it until the end of the step is told or it is left. The time that is waited for it is not the step's. */
  enter(context: Pick<BuildContext, 'slots' | 'options'>): Promise<void>
  /** Gives the slot back, if there is one. */
  leave(): void
  readonly log: (stream: 'stdout' | 'stderr', data: Uint8Array) => void
  readonly pull: (reference: string, transfer: TransferEvent) => void
  readonly notice: (notice: LayerNotice) => void
}

class StepReport implements Reporter {
  readonly #tell: (event: BuildEvent) => void
  readonly #own: { readonly index: number; readonly name: string }
  readonly #total: number
  /** As of `performance.now()`. */
  #begun: number | undefined
  /** Whose slot it has. */
  #slots: Slots | undefined

  constructor({ index, step }: Vertex, total: number, tell: (event: BuildEvent) => void) {
    this.#own = { index, name: describeStep(step) }
    this.#total = total
    this.#tell = tell
  }

  begin(): number {
    if (this.#begun !== undefined) return this.#begun
    this.#begun = performance.now()
    this.#tell({ type: 'start', ...this.#own, total: this.#total })
    return this.#begun
  }

  async enter({ slots, options }: Pick<BuildContext, 'slots' | 'options'>): Promise<void> {
    const asked = performance.now()
    await slots.take()
    this.#slots = slots
    checkAborted(options.signal)
    if (this.#begun !== undefined) this.#begun += performance.now() - asked
    this.begin()
  }

  leave(): void {
    this.#slots?.give()
    this.#slots = undefined
  }

  readonly log: Reporter['log'] = (stream, data) => {
    this.begin()
    this.#tell({ type: 'log', ...this.#own, stream, data })
  }

  readonly pull: Reporter['pull'] = (reference, transfer) => {
    this.begin()
    this.#tell({ type: 'pull', ...this.#own, reference, transfer })
  }

  readonly notice: Reporter['notice'] = (notice) => {
    this.begin()
    this.#tell({ type: 'notice', ...this.#own, ...notice })
  }

  end(cached: boolean): void {
    const begun = this.begin()
    this.#tell({ type: 'step', ...this.#own, total: this.#total, cached, durationMs: performance.now() - begun })
  }

  /** One that was only waiting when the build came to its end is told nothing of. */
  fail(error: unknown): void {
    if (this.#begun === undefined && error instanceof StrakeError && error.code === 'aborted') return
    const begun = this.begin()
    this.#tell({ type: 'failed', ...this.#own, total: this.#total, error, durationMs: performance.now() - begun })
  }
}

/** Tells `onProgress` of a step, from when it is worked on to its end or failure. Steps of one build may be told of at once. */
export async function reported<T extends { readonly isCached: boolean }>(
  vertex: Vertex,
  total: number,
  onProgress: ((event: BuildEvent) => void) | undefined,
  work: (reporter: Reporter) => Promise<T>,
): Promise<T> {
  const report = new StepReport(vertex, total, (event) => onProgress?.(event))
  try {
    const done = await work(report)
    report.end(done.isCached)
    return done
  } catch (error) {
    report.fail(error)
    throw error
  } finally {
    report.leave()
  }
}
