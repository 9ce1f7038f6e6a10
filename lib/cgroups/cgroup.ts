import type { Enforced, Limits } from './limits.ts'

/** What a group used so far: the few numbers that a result carries, read in three short reads. */
export interface CgroupUsage {
  /** CPU time in user and kernel mode, microseconds; undefined where the group has no CPU accounting (cgroup v1 made without it). */
  readonly userMicros: number | undefined
  readonly systemMicros: number | undefined
  /** The most memory held at one time, bytes; undefined on v2 kernels before 5.19 and where the memory controller is not ours. */
  readonly peakMemory: number | undefined
  /** Processes of the group killed for want of memory. */
  readonly oomKills: number
}

/** Everything a group can tell; a part is undefined where its controller is not there. Bytes and microseconds throughout. */
export interface CgroupStats {
  readonly cpu:
    | {
        readonly userMicros: number
        readonly systemMicros: number
        /** Periods in which the group could run, those in which it hit its `cpus` limit, and for how long it waited then. */
        readonly periods: number
        readonly throttledPeriods: number
        readonly throttledMicros: number
      }
    | undefined
  readonly memory:
    | {
        readonly current: number
        readonly peak: number | undefined
        /** Page cache that the kernel gives back first: `docker stats` shows `current` less this. */
        readonly inactiveFile: number
        /** Infinity: none. */
        readonly limit: number
      }
    | undefined
  readonly pids: { readonly current: number; readonly limit: number } | undefined
  readonly io: { readonly readBytes: number; readonly writeBytes: number; readonly reads: number; readonly writes: number } | undefined
  readonly oomKills: number
}

/**
 * A group of processes that share limits: one directory (cgroup v2), or one in each hierarchy that is needed (v1).
 * Follows cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
 */
export interface Cgroup {
  readonly id: string
  /** How each of the limits asked for is enforced. */
  readonly enforced: Enforced
  /**
   * The `cgroup.procs` files of the group. A write of "0" moves the writer in; the right to do it is that of whoever *opened* the file, so
   * the caller opens them and a container's first process writes. A cgroup namespace is to be unshared after that, else it shows the path.
   */
  readonly joinPaths: readonly string[]
  stats(): CgroupStats
  usage(): CgroupUsage
  /** Processes of the group killed for want of memory, by its own limit or the machine's. */
  oomKills(): number
  /** The pids in the group, as this process sees them. */
  pids(): number[]
  /** Changes the limits that are named, leaves the others; Infinity takes one away. Throws `kernel_refused`, `invalid_argument`. */
  update(limits: Limits): void
  /** Whether what is frozen dies of SIGKILL at once: with the freezer of v1 it does only when it is thawed. */
  readonly frozenDies: boolean
  /** Resolves once every process of the group has stopped; rejects with `timed_out` (and thaws) where one does not within 5 s. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Kills (SIGKILL) everything in the group, frozen or not; resolves once it is empty. Rejects with `timed_out` after 10 s. */
  kill(): Promise<void>
  /** Removes the group, groups made inside it, and kills what is still in there. Resolves at once when it is gone already. */
  remove(): Promise<void>
}
