import type { HistoryEntry } from '../images/index.ts'

/** A history that grows: immutable, and yet not copied for each entry, which would take time and memory by the square of the steps. */
export class Past {
  /** Shared with those that grew out of this one; only its first `#length` entries count here. */
  readonly #all: HistoryEntry[]
  readonly #length: number

  private constructor(all: HistoryEntry[], length: number) {
    this.#all = all
    this.#length = length
  }

  static none(): Past {
    return new Past([], 0)
  }

  with(entry: HistoryEntry): Past {
    // Another one has grown out of this already: a branch needs entries of its own.
    const all = this.#all.length === this.#length ? this.#all : this.#all.slice(0, this.#length)
    all.push(entry)
    return new Past(all, all.length)
  }

  entries(): HistoryEntry[] {
    return this.#all.slice(0, this.#length)
  }
}
