import type { Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'

const batchBytes = 1024 * 1024
const batchOps = 4096
/** A batch is carried out while the next ones are gathered; more would only hold memory. */
const inFlight = 4

/**
 * Sends ops to an agent in batches, in order. A failure shows at a later `push`, or at `drain`; what was sent after the failed
 * batch is carried out or not, so the target is to be thrown away then.
 */
export class OpWriter {
  readonly #agent: Agent
  #ops: Op[] = []
  #bytes = 0
  #running: Promise<unknown>[] = []
  #failure: { readonly error: unknown } | undefined

  constructor(agent: Agent) {
    this.#agent = agent
  }

  /** Adds an op without waiting for room; for as many as fit the ring. */
  add(op: Op): void {
    this.#ops.push(op)
    this.#bytes += 64
  }

  async push(...ops: readonly Op[]): Promise<void> {
    for (const op of ops) {
      this.#ops.push(op)
      this.#bytes += op.op === 'write' ? op.data.length + 64 : 64
    }
    if (this.#bytes >= batchBytes || this.#ops.length >= batchOps) await this.#send()
  }

  async #send(): Promise<void> {
    this.#throwFailure()
    if (this.#ops.length > 0) {
      const running = this.#agent.run(this.#ops).catch((error: unknown) => {
        this.#failure ??= { error }
      })
      this.#running.push(running)
      this.#ops = []
      this.#bytes = 0
    }
    if (this.#running.length >= inFlight) await this.#running.shift()
    this.#throwFailure()
  }

  /** Sends what was pushed. The promise that comes back resolves when it has been carried out, or has failed; it never rejects. */
  async flush(): Promise<{ readonly carriedOut: Promise<unknown> }> {
    await this.#send()
    return { carriedOut: Promise.all(this.#running) }
  }

  /** Resolves when everything pushed has been carried out. */
  async drain(): Promise<void> {
    await this.#send()
    await this.settle()
    this.#throwFailure()
  }

  /** Resolves when nothing is under way any more; never rejects. */
  async settle(): Promise<void> {
    await Promise.all(this.#running)
    this.#running = []
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
