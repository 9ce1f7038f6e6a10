import { StrakeError } from '../errors/index.ts'
import type { Container } from './container.ts'

const key: unique symbol = Symbol.for('strake.containers')
const shared = globalThis as { [key]?: Map<string, Container> }
shared[key] ??= new Map()

/** Those that are not removed, by id. One map for all copies of this module in a thread: the package has one for `import` and one for `require`. */
export const all = shared[key]

export function findContainer(nameOrId: string): Container | undefined {
  for (const container of all.values()) if (container.name === nameOrId || container.id === nameOrId) return container
  const byPrefix = [...all.values()].filter((container) => nameOrId.length >= 4 && container.id.startsWith(nameOrId))
  return byPrefix.length === 1 ? byPrefix[0] : undefined
}

/** The containers that this thread started and has not removed. */
export const containers = {
  /** In the order in which they were started. */
  list(): readonly Container[] {
    return [...all.values()]
  },
  /** By name, id, or the beginning of an id. Throws `container_not_found`. */
  get(nameOrId: string): Container {
    const found = typeof nameOrId === 'string' ? findContainer(nameOrId) : undefined
    if (found) return found
    throw new StrakeError('container_not_found', `There is no container '${String(nameOrId).slice(0, 80)}' in this process.`)
  },
} as const
