interface Handle {
  readonly name: string
  readonly dispose: () => unknown
}

function method(value: unknown, key: symbol): (() => unknown) | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  const found: unknown = Reflect.get(value, key)
  return typeof found === 'function' ? () => Reflect.apply(found, value, []) : undefined
}

function isDetached(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Reflect.get(value, 'detached') === true
}

/**
 * What a session must dispose of when it ends: everything declared by `using` or `await using`, which at a prompt lives as long as
 * the session; and everything else in its variables that is an AsyncDisposable, unless it is detached.
 */
export class Handles {
  readonly #used: Handle[] = []
  readonly #noticed = new Map<unknown, Handle>()

  /** For a variable that `using` (or, where `async`, `await using`) declared. Throws TypeError where its value cannot be disposed of. */
  use(name: string, value: unknown, async: boolean): void {
    if (value === null || value === undefined) return
    const dispose = (async ? method(value, Symbol.asyncDispose) : undefined) ?? method(value, Symbol.dispose)
    if (!dispose) throw new TypeError(`${name} cannot be disposed of: it has no ${async ? '[Symbol.asyncDispose]' : '[Symbol.dispose]'}`)
    this.#noticed.delete(value)
    this.#used.push({ name, dispose })
  }

  notice(name: string, value: unknown): void {
    const dispose = isDetached(value) ? undefined : method(value, Symbol.asyncDispose)
    if (dispose && !this.#noticed.has(value)) this.#noticed.set(value, { name, dispose })
  }

  /** Disposes of all, the newest first, and tells of each that failed. */
  async dispose(onError: (name: string, error: unknown) => void): Promise<void> {
    const all = [...this.#noticed.values(), ...this.#used].reverse()
    this.#noticed.clear()
    this.#used.length = 0
    for (const { name, dispose } of all) {
      try {
        await dispose()
      } catch (error) {
        onError(name, error)
      }
    }
  }
}
