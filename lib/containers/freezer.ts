import type { RunningContainer } from './launch.ts'
import { freeze, thaw } from './pause.ts'

/**
 * Who wants a container to stand still: its owner, from `pause()` to `unpause()`, and each snapshot for as long as it copies. It goes on when
 * nobody does. Changes are made one after the other.
 */
export class Freezer {
  readonly #running: RunningContainer
  readonly #main: number
  #isPaused = false
  #holds = 0
  #isFrozen = false
  #hasEnded = false
  #change: Promise<void> = Promise.resolve()
  readonly #waiting: (() => void)[] = []

  constructor(running: RunningContainer, main: number) {
    this.#running = running
    this.#main = main
  }

  /** Whether its owner has paused it. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** Rejects with `timed_out` when a process does not stop; the container then goes on. */
  async pause(): Promise<void> {
    if (this.#isPaused) return this.#change
    this.#isPaused = true
    try {
      await this.#settle()
    } catch (error) {
      this.#isPaused = false
      throw error
    }
  }

  async unpause(): Promise<void> {
    this.#isPaused = false
    await this.#settle()
  }

  /** Runs `work` while nothing in the container runs. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#holds += 1
    try {
      await this.#settle()
      return await work()
    } finally {
      this.#holds -= 1
      await this.#settle()
      if (this.#holds === 0) this.#release()
    }
  }

  /** Resolves when no snapshot is under way. */
  untilFree(): Promise<void> {
    if (this.#holds === 0 || this.#hasEnded) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** The container has ended: there is nothing to stop. */
  end(): void {
    this.#hasEnded = true
    this.#release()
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #settle(): Promise<void> {
    const change = this.#change.catch(() => undefined).then(() => this.#apply())
    this.#change = change
    return change
  }

  async #apply(): Promise<void> {
    const wanted = this.#isPaused || this.#holds > 0
    if (this.#hasEnded || wanted === this.#isFrozen) return
    if (wanted) await freeze(this.#running, this.#main)
    else await thaw(this.#running)
    this.#isFrozen = wanted
  }
}
