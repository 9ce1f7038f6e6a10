import { builtinModules, createRequire } from 'node:module'
import { join } from 'node:path'

/** The names of a session. What a user declares lies over Node's modules by their names, `require`, `signal`, and the library's exports. */
export type Scope = Record<string, unknown>

function define(scope: Scope, name: string, value: unknown): void {
  Object.defineProperty(scope, name, { value, writable: true, enumerable: true, configurable: true })
}

/** Something that is got when it is first looked at, and gives way to a variable of that name. */
function defineLazy(base: Scope, scope: Scope, name: string, get: () => unknown): void {
  Object.defineProperty(base, name, { get, set: (value: unknown) => define(scope, name, value), configurable: true })
}

/** A new scope; `base` is what lies under it. `signal` gives the AbortSignal of the evaluation under way. */
export function makeScope(cwd: string, signal: () => AbortSignal): { scope: Scope; base: Scope } {
  const base: Scope = Object.create(null)
  const scope: Scope = Object.create(base)
  const require = createRequire(join(cwd, 'repl.cjs'))
  base.require = require
  for (const name of builtinModules) {
    if (/^[a-z]\w*$/.test(name) && !(name in globalThis)) defineLazy(base, scope, name, () => require(name))
  }
  base._error = undefined
  defineLazy(base, scope, 'signal', signal)
  return { scope, base }
}
