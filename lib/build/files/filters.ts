import { posix } from 'node:path'
import type { PathFilter } from './entry.ts'

/** Listed paths, what is below them, and the directories on the way. */
export class ListedPaths implements PathFilter {
  readonly #paths: ReadonlySet<string>
  readonly #above = new Set<string>()

  /** @param paths without links on their way; `.` is all */
  constructor(paths: readonly string[]) {
    this.#paths = new Set(paths)
    for (const path of paths)
      for (let above = posix.dirname(path); !this.#above.has(above); above = posix.dirname(above)) this.#above.add(above)
  }

  ignores(path: string): boolean {
    if (this.#paths.has('.')) return false
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) if (this.#paths.has(path.slice(0, end))) return false
    return true
  }

  mayHold(directory: string): boolean {
    return this.#above.has(directory)
  }
}

/** What either ignores. */
export class BothFilters implements PathFilter {
  readonly #filters: readonly PathFilter[]

  constructor(...filters: readonly PathFilter[]) {
    this.#filters = filters
  }

  ignores(path: string): boolean {
    return this.#filters.some((filter) => filter.ignores(path))
  }

  mayHold(directory: string): boolean {
    return this.#filters.every((filter) => !filter.ignores(directory) || filter.mayHold(directory))
  }
}
