import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binding, closeFd } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { type IdRange, idRange, type Range } from '../ids/index.ts'
import { encodeOps, flags, kernelRefused, type Op, SlotTable } from '../sys/index.ts'
import type { Agent } from './agent.ts'
import type { Connection } from './connection.ts'
import { launchAgent } from './launch.ts'
import { bindOps, confinedOps, setupOps } from './setup.ts'
import { startAgent } from './start-agent.ts'

const { CLONE, OPEN_TREE, MOUNT_ATTR, AT, O } = flags

/** The agent from which the containers of one store are cloned: see docs/decisions and ARCHITECTURE.md. */
export interface Zygote {
  readonly agent: Connection
  readonly ids: IdRange
  /** The store's directory on the host. */
  readonly root: string
}

/** One for each store that this JavaScript thread uses. */
const zygotes = new Map<string, Promise<Zygote>>()

function rangeFile(root: string): string {
  return join(root, 'ids.json')
}

function recordedRange(root: string): Range | undefined {
  try {
    const { first, count } = JSON.parse(readFileSync(rangeFile(root), 'utf8')) as { first?: unknown; count?: unknown }
    return typeof first === 'number' && typeof count === 'number' ? { first, count } : undefined
  } catch {
    return undefined
  }
}

function recordRange(root: string, range: Range): void {
  const temporary = `${rangeFile(root)}.${process.pid}`
  try {
    writeFileSync(temporary, `${JSON.stringify(range)}\n`, { mode: 0o600 })
    renameSync(temporary, rangeFile(root))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** A mount of the store in which files of host root are uid 0 of the zygote's user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP). */
function idMappedStore(root: string, pid: number): number {
  const ops: Op[] = [
    { op: 'openTree', path: root, flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC, out: 'tree' },
    { op: 'open', path: `/proc/${pid}/ns/user`, flags: O.O_RDONLY, out: 'userns' },
    { op: 'mountSetattr', fd: 'tree', flags: AT.AT_EMPTY_PATH, set: MOUNT_ATTR.MOUNT_ATTR_IDMAP, userns: 'userns' },
    { op: 'sendFd', fd: 'tree', name: 'tree' },
  ]
  const [errno, index, , fds] = binding().run(encodeOps(ops, new SlotTable()), [])
  const fd = fds[0]
  if (errno !== 0 || fd === undefined) throw kernelRefused(ops, index, errno)
  return fd
}

async function makeZygote(root: string): Promise<Zygote> {
  const recorded = recordedRange(root)
  const ids = await idRange({ recorded })
  if (ids.range && ids.range.first !== recorded?.first) recordRange(root, ids.range)
  const agent = await launchAgent({ clone: CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS, ids })
  try {
    if (ids.kind === 'root') {
      const store = idMappedStore(root, agent.pid)
      try {
        await agent.run(setupOps(undefined, { hasOneId: false }), { store })
      } finally {
        closeFd(store)
      }
    } else {
      await agent.run(setupOps(root, { hasOneId: ids.kind === 'single' }))
    }
  } catch (error) {
    await agent.close()
    throw error
  }
  return { agent, ids, root }
}

/**
 * The zygote of a store: made on first use, made anew when it has died. Rejects with `kernel_refused`,
 * `unsupported_platform`, `limit_exceeded`.
 */
export async function zygoteOf(root: string): Promise<Zygote> {
  const known = zygotes.get(root)
  if (known) {
    const zygote = await known.catch(() => undefined)
    if (zygote?.agent.isOpen) return zygote
    if (zygotes.get(root) === known) zygotes.delete(root)
    return zygoteOf(root)
  }
  const made = makeZygote(root)
  zygotes.set(root, made)
  made.catch(() => {
    if (zygotes.get(root) === made) zygotes.delete(root)
  })
  return made
}

/** The zygote of a store if it is up already: what a start can use without waiting. */
export function openZygotes(): readonly string[] {
  return [...zygotes.keys()]
}

/** Ends the zygote of a store, and with it every container of this thread's on it. */
export async function closeZygote(root: string): Promise<void> {
  const known = zygotes.get(root)
  zygotes.delete(root)
  const zygote = await known?.catch(() => undefined)
  await zygote?.agent.close()
}

/** A path of the store as the zygote sees it. Throws `path_escapes` for one outside. */
export function inStore(zygote: Zygote, path: string): string {
  if (path === zygote.root) return '/store'
  if (path.startsWith(`${zygote.root}/`)) return `/store${path.slice(zygote.root.length)}`
  throw new StrakeError('path_escapes', `${path} is not in the store ${zygote.root}.`)
}

/**
 * An agent that sees nothing but one directory, as its `/`: a path of the zygote's mount namespace, or what ops mount on
 * `layout.root`. In mount, network, ipc and uts namespaces of its own, with the capabilities that writing files needs and
 * no others. Rejects with `kernel_refused`.
 */
export async function confined(zygote: Zygote, root: string | readonly Op[]): Promise<Agent> {
  const mounts = typeof root === 'string' ? bindOps(root) : root
  const clone = CLONE.CLONE_NEWNS | CLONE.CLONE_NEWNET | CLONE.CLONE_NEWIPC | CLONE.CLONE_NEWUTS
  const { connection, child } = await startAgent(zygote.agent, { clone, ops: confinedOps(mounts) })
  return new ConfinedAgent(connection, child.ended, () => zygote.agent.hold())
}

/** A confined agent counts as closed once its process has gone, so that what it had mounted is free. */
class ConfinedAgent implements Agent {
  readonly #connection: Connection
  readonly #hold: () => () => void
  readonly ended: Promise<void>

  constructor(connection: Connection, ended: Promise<unknown>, hold: () => () => void) {
    this.#connection = connection
    this.#hold = hold
    this.ended = ended.then(() => undefined)
  }

  get pid(): number {
    return this.#connection.pid
  }

  run: Agent['run'] = (ops, fds) => this.#connection.run(ops, fds)
  start: Agent['start'] = (program, fds, options) => this.#connection.start(program, fds, options)

  async close(): Promise<void> {
    // Its end is told by the zygote, which must be listened to until then.
    const release = this.#hold()
    try {
      await this.#connection.close()
      await this.ended
    } finally {
      release()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
