import { availableParallelism } from 'node:os'

/** At least two: one step's command often waits for the disk or the network. */
export const usualParallel = Math.max(2, availableParallelism())

/** Lets so many pieces of work run at once; the others wait in their order. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Resolves when there is a slot, which is the caller's until it is given back. */
  async take(): Promise<void> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  give(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#free += 1
  }

  /** Of work that has a slot: another may have it while `wait` goes on. It is back, before those that have not begun, when that is over. */
  async lend<T>(wait: () => Promise<T>): Promise<T> {
    this.give()
    try {
      return await wait()
    } finally {
      if (this.#free > 0) this.#free -= 1
      else await new Promise<void>((resolve) => this.#waiting.unshift(resolve))
    }
  }
}
