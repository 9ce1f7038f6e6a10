import { rmdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { StrakeError } from '../errors/error.ts'
import { advice } from './advice.ts'
import type { Cgroup } from './cgroup.ts'
import { errnoOf, groupsIn, read, refused } from './files.ts'
import { type Controller, layoutOf } from './hierarchy.ts'
import { checkLimits, type Limits } from './limits.ts'
import { ownerName, ownId } from './owner.ts'
import { makeDirectory, placeV1 } from './place-v1.ts'
import { controllersOf, enable, placeV2 } from './place-v2.ts'
import { sweep } from './sweep.ts'
import { GroupV1 } from './v1.ts'
import { GroupV2 } from './v2.ts'

/** The groups of one owner: they are made in a directory named after it, and swept away by whoever opens cgroups after it died. */
export interface Cgroups {
  /** Which kind of cgroups this process can make groups of; 'none': it cannot, and `problem` says why. */
  readonly kind: 'v2' | 'v1' | 'none'
  /** The controllers that a group can have. */
  readonly controllers: ReadonlySet<Controller>
  /** What limits cannot be had, and why; undefined where all is well. */
  readonly problem: string | undefined
  /** The command that mends `problem`. */
  readonly fix: string | undefined
  /**
   * Makes a group. Synchronous: it is on the way of every start (50–150 µs), and system calls on cgroupfs never wait for a disk.
   * `accounting: false` leaves out, on v1, the hierarchies that no limit needs. A limit whose controller is missing is no error:
   * see `enforced`, and `rlimitsFor`. Throws `not_delegated`, `invalid_argument`, `name_in_use`, `kernel_refused`.
   */
  create(id: string, limits?: Limits, options?: { readonly accounting?: boolean }): Cgroup
  /** Removes the groups of owners that are gone, and whatever still runs in them. Never rejects. */
  sweep(): Promise<void>
  /** Removes the owner's directory, and the one that owners have in common, if no group is left in them. `create` makes them anew. */
  close(): void
}

export interface CgroupsOptions {
  /** The pid of the process, or the id of the thread, with which the groups end. Default: this process; in a worker that thread. */
  readonly owner?: number
}

/**
 * Finds where this process may make groups, and sweeps away those whose owner died (SIGKILL). Never rejects for want of rights.
 *
 * @example
 * const cgroups = await openCgroups()
 * const group = cgroups.create('web', { memory: 256 * 2 ** 20, pids: 100 })
 */
export async function openCgroups({ owner = ownId() }: CgroupsOptions = {}): Promise<Cgroups> {
  if (process.platform !== 'linux') return none('cgroups are a facility of Linux', undefined)
  const layout = layoutOf(read('/proc/self/mountinfo') ?? '', read('/proc/self/cgroup') ?? '', controllersOf)
  if (layout.kind === 'none') return none('no cgroup file system is mounted', advice('unmounted', []))
  const name = ownerName(owner)

  if (layout.kind === 'v2') {
    const place = placeV2(layout.hierarchy)
    if ('problem' in place) return none(place.problem, advice('v2', []))
    const clean = (): Promise<void> => sweep([place.parent])
    await clean()
    const directory = `${place.parent}/${name}`
    const ready = (): void => {
      makeDirectory('memory', directory)
      enable(place.parent)
      enable(directory)
    }
    const found = place.available
    return opened('v2', found, ['memory', 'cpu', 'pids', 'cpuset', 'io'], [directory], clean, (id, limits) => {
      try {
        return GroupV2.create(directory, id, limits, found)
      } catch (error) {
        // The first group of this owner, or `close` (of another thread) took the directory away.
        if (!(error instanceof StrakeError && error.details?.op === 'mkdir' && error.details.errno === 'ENOENT')) throw error
        ready()
        return GroupV2.create(directory, id, limits, found)
      }
    })
  }

  const place = placeV1(layout.hierarchies)
  if (place.problem !== undefined) return none(place.problem, advice('v1', [...layout.hierarchies.keys()]))
  const clean = (): Promise<void> => sweep([...new Set(place.parents.values())])
  await clean()
  const parents = new Map([...place.parents].map(([controller, parent]) => [controller, `${parent}/${name}`] as const))
  const found = new Set(parents.keys())
  return opened(
    'v1',
    found,
    ['memory', 'cpu', 'cpuacct', 'pids', 'cpuset', 'freezer'],
    [...parents.values()],
    clean,
    (id, limits, accounting) => GroupV1.create(parents, id, limits, accounting),
  )
}

function opened(
  kind: 'v1' | 'v2',
  found: ReadonlySet<Controller>,
  wanted: readonly Controller[],
  directories: readonly string[],
  clean: () => Promise<void>,
  make: (id: string, limits: Limits, accounting: boolean) => Cgroup,
): Cgroups {
  const missing = wanted.filter((controller) => !found.has(controller))
  const close = (): void => {
    process.off('exit', atExit)
    for (const directory of new Set(directories)) {
      removeIfEmpty(directory)
      removeIfEmpty(dirname(directory))
    }
  }
  const atExit = (): void => {
    try {
      close()
    } catch {
      // Whoever opens cgroups next sweeps it away.
    }
  }
  process.on('exit', atExit)
  return {
    kind,
    controllers: found,
    problem: missing.length === 0 ? undefined : `these cgroup controllers are not to be had: ${missing.join(', ')}`,
    fix: missing.length === 0 ? undefined : advice(kind, missing),
    create(id, limits = {}, { accounting = true } = {}) {
      // A dot could make it the name of a control file.
      if (!/^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/.test(id)) {
        throw new StrakeError('invalid_argument', `${JSON.stringify(id)} cannot be the name of a cgroup: letters, digits, _ and - only`)
      }
      checkLimits(limits)
      return make(id, limits, accounting)
    },
    sweep: clean,
    close,
  }
}

function removeIfEmpty(directory: string): void {
  if (groupsIn(directory).length > 0) return
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EACCES'].includes(errnoOf(error))) throw refused('rmdir', directory, errnoOf(error), error)
  }
}

function none(problem: string, fix: string | undefined): Cgroups {
  return {
    kind: 'none',
    controllers: new Set(),
    problem,
    fix,
    create(id) {
      throw new StrakeError('not_delegated', `the cgroup ${id} cannot be made: ${problem}`, { hint: fix })
    },
    sweep: () => Promise.resolve(),
    close() {},
  }
}
