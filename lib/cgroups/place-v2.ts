import { mkdirSync, rmdirSync } from 'node:fs'
import { errnoOf, pidsIn, read, writable, write, writeRaw } from './files.ts'
import type { Controller, Hierarchy } from './hierarchy.ts'
import { ourName } from './owner.ts'

/** A directory in which groups may be made, with the controllers that they can have; or why there is none. */
export type PlaceV2 = { readonly parent: string; readonly available: ReadonlySet<Controller> } | { readonly problem: string }

const wanted = ['memory', 'cpu', 'pids', 'cpuset', 'io'] as const

export function controllersOf(directory: string): string[] {
  return (read(`${directory}/cgroup.controllers`) ?? '').split(/\s+/).filter(Boolean)
}

/**
 * Finds where this process may make groups: the nearest group above (or at) its own that it may write, and that has no processes of its
 * own, because a group cannot both hold processes and hand controllers down (only the root of the hierarchy can). Below it `strake/` is made.
 *
 * - root: the slice that the service or session is in; without systemd the root of the hierarchy.
 * - a user of systemd: everything below user@UID.service belongs to the user, so `app.slice` or the like; a login session (ssh) is outside
 *   of that, and a process cannot be moved from there.
 * - a container with a writable cgroup mount, or a user given just one directory: that has processes, and all of them are moved into a
 *   leaf beside ours first.
 */
export function placeV2(hierarchy: Hierarchy): PlaceV2 {
  const { own, mountPoint } = hierarchy
  if (own === undefined) return { problem: `the group of this process is not to be seen under ${mountPoint}` }
  let refusal = ''
  for (let directory = own; directory.startsWith(mountPoint); directory = directory.slice(0, directory.lastIndexOf('/'))) {
    const why = usable(directory, hierarchy)
    if (why === undefined) return prepare(directory, hierarchy)
    refusal ||= `${directory}: ${why}`
  }
  // Second choice: the group that the process is in, emptied.
  if (isOurs(own, hierarchy) && mayWrite(own)) return emptied(own, hierarchy)
  return { problem: `there is no cgroup that this user may make groups in (${refusal})` }
}

function usable(directory: string, { mountPoint }: Hierarchy): string | undefined {
  if (!mayWrite(directory)) return 'not writable'
  if (!wanted.some((name) => controllersOf(directory).includes(name)) && !mayEnableAbove(directory, mountPoint)) return 'no controllers'
  if (!isRoot(directory) && occupied(directory)) return 'has processes of its own'
  return undefined
}

/** cgroup.procs of the common ancestor must be writable to move a process below it. */
function mayWrite(directory: string): boolean {
  return ['', '/cgroup.procs', '/cgroup.subtree_control'].every((file) => writable(directory + file))
}

function mayEnableAbove(directory: string, mountPoint: string): boolean {
  return directory !== mountPoint && mayWrite(mountPoint)
}

/** Only the root of the whole hierarchy lacks cgroup.events; the root of a cgroup namespace has it. */
function isRoot(directory: string): boolean {
  return read(`${directory}/cgroup.events`) === undefined
}

/** Any process, also one of another pid namespace. A threaded group (EOPNOTSUPP) is of no use either. */
function occupied(directory: string): boolean {
  return read(`${directory}/cgroup.procs`)?.trim() !== ''
}

/** May the processes of this group be moved aside? Where it was given to this user, or is all that this container sees. */
function isOurs(directory: string, { mountPoint }: Hierarchy): boolean {
  return !isRoot(directory) && (process.getuid?.() !== 0 || directory === mountPoint)
}

function emptied(directory: string, hierarchy: Hierarchy): PlaceV2 {
  const leaf = `${directory}/${ourName}-aside`
  try {
    mkdirSync(leaf, { recursive: true })
    // A process may fork between the reading and the move.
    for (let round = 0; round < 20 && occupied(directory); round++) {
      for (const pid of pidsIn(directory)) write(`${leaf}/cgroup.procs`, String(pid), ['ESRCH'])
    }
    if (!occupied(directory)) return prepare(directory, hierarchy)
    return { problem: `${directory} has processes that cannot be moved out of it` }
  } catch (error) {
    try {
      if (!occupied(leaf)) rmdirSync(leaf)
    } catch {
      // Nothing was moved, so it is empty; and if it cannot be removed it does no harm.
    }
    return { problem: `${directory} could not be emptied: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Makes `strake/` in `directory` and hands every controller down that far. */
function prepare(directory: string, { mountPoint }: Hierarchy): PlaceV2 {
  const parent = `${directory}/${ourName}`
  try {
    // Root may have to begin at the top: systemd enables only what its units asked for.
    for (const above of ancestors(directory, mountPoint)) if (writable(`${above}/cgroup.subtree_control`)) enable(above)
    mkdirSync(parent, { recursive: true })
    return { parent, available: enable(parent) }
  } catch (error) {
    return { problem: `${parent} could not be made: ${errnoOf(error) || String(error)}` }
  }
}

function ancestors(directory: string, mountPoint: string): string[] {
  const found: string[] = []
  for (let at = directory; at.startsWith(mountPoint); at = at.slice(0, at.lastIndexOf('/'))) found.unshift(at)
  return found
}

/** Hands down what this group has; one by one where the kernel refuses them together. The result is what its children have. */
export function enable(directory: string): ReadonlySet<Controller> {
  const has = controllersOf(directory)
  const path = `${directory}/cgroup.subtree_control`
  const enabled = new Set((read(path) ?? '').split(/\s+/).filter(Boolean))
  const missing = wanted.filter((name) => has.includes(name) && !enabled.has(name))
  if (missing.length > 0) {
    try {
      writeRaw(path, missing.map((name) => `+${name}`).join(' '))
    } catch {
      for (const name of missing) {
        try {
          writeRaw(path, `+${name}`)
        } catch {
          // Stays missing, and so do the limits that need it: `enforced` and the doctor tell.
        }
      }
    }
  }
  const now = (read(path) ?? '').split(/\s+/)
  return new Set(wanted.filter((name) => now.includes(name)))
}
