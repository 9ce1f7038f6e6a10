import { flags, type Op } from '../sys/index.ts'
import { type Enforced, type Limits, namesOf } from './limits.ts'

export interface RlimitFallback {
  /** To be carried out before exec. */
  readonly ops: readonly Op[]
  readonly enforced: Enforced
}

/**
 * What resource limits (getrlimit(2)) can do for `limits` where no cgroup can: better than nothing, and `enforced` says so.
 *
 * - `memory` → RLIMIT_DATA, for *each process*: private writable mappings, stacks of threads included, shared memory and tmpfs not. Not
 *   RLIMIT_AS, which counts address space that is reserved and never touched: Node does not start below 768 MB of it (96 MB of RLIMIT_DATA);
 *   Go and Java reserve likewise. A process at its limit sees ENOMEM, and is not killed.
 * - `pids` → RLIMIT_NPROC, counted for each user of a user namespace: of the container alone in one of its own (see docs/limits.md), for the
 *   processes of that uid in all containers together in the one that they share.
 * - `cpus`, `cpuShares`, `cpuset`, `ioWeight`, `oomGroup`: no resource limit is like them.
 *
 * `already` are those that a cgroup enforces: they are left alone.
 */
export function rlimitsFor(limits: Limits, already: Enforced = {}): RlimitFallback {
  const { RLIMIT_DATA, RLIMIT_NPROC } = flags.RLIMIT
  const resources: Partial<Record<keyof Limits, number>> = { memory: RLIMIT_DATA, pids: RLIMIT_NPROC }
  const ops: Op[] = []
  const enforced: { -readonly [Name in keyof Enforced]: Enforced[Name] } = {}
  for (const name of namesOf(limits)) {
    const resource = resources[name]
    const value = limits[name]
    if (already[name] === 'cgroup') enforced[name] = 'cgroup'
    else if (resource === undefined || typeof value !== 'number' || value === Infinity) enforced[name] = 'none'
    else {
      ops.push({ op: 'prlimit', resource, soft: value, hard: value })
      enforced[name] = 'rlimit'
    }
  }
  return { ops, enforced }
}
