import { StrakeError } from '../errors/error.ts'

/** What a group of processes may use. A limit left out is not set; Infinity takes a limit away (`update`). */
export interface Limits {
  /** Bytes of memory, page cache included; swap is forbidden with it. The kernel rounds down to whole pages. */
  readonly memory?: number | undefined
  /** CPUs' worth of time: 0.5 is half of one. At least 0.001. */
  readonly cpus?: number | undefined
  /** Share of CPU time where there is a contest for it, 2–262144 as Docker counts; the kernel's default is 1024. */
  readonly cpuShares?: number | undefined
  /** Processes and threads. */
  readonly pids?: number | undefined
  /** The CPUs that may be used, as the kernel lists them: `0-2,5`. */
  readonly cpuset?: string | undefined
  /** Share of disk time where there is a contest for it, 1–10000; the kernel's default is 100. */
  readonly ioWeight?: number | undefined
  /** When memory runs out the kernel kills all of the group rather than one process of it. Only cgroup v2 can. Default: false. */
  readonly oomGroup?: boolean | undefined
}

/** By what a limit is enforced: exactly and for the group as a whole, approximately and for each process (see `rlimitsFor`), not at all. */
export type Enforcement = 'cgroup' | 'rlimit' | 'none'
export type Enforced = { readonly [Name in keyof Limits]?: Enforcement }

export const limitNames = [
  'memory',
  'cpus',
  'cpuShares',
  'pids',
  'cpuset',
  'ioWeight',
  'oomGroup',
] as const satisfies readonly (keyof Limits)[]

/** The limits that were asked for. */
export function namesOf(limits: Limits): (keyof Limits)[] {
  return limitNames.filter((name) => limits[name] !== undefined && limits[name] !== false)
}

/** Throws `invalid_argument` for a limit that no kernel could take; the message names it and the range. */
export function checkLimits(limits: Limits): void {
  inRange('memory', limits.memory, 4096, Number.MAX_SAFE_INTEGER, 'bytes')
  inRange('cpus', limits.cpus, 0.001, 100_000, 'CPUs')
  inRange('cpuShares', limits.cpuShares, 2, 262_144, '')
  inRange('pids', limits.pids, 1, 4_194_304, 'processes')
  inRange('ioWeight', limits.ioWeight, 1, 10_000, '')
  for (const name of ['memory', 'cpuShares', 'pids', 'ioWeight'] as const) {
    const value = limits[name]
    if (value !== undefined && value !== Infinity && !Number.isInteger(value)) refuse(name, value, 'a whole number')
  }
  if (limits.cpuset !== undefined && !/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(limits.cpuset)) {
    refuse('cpuset', limits.cpuset, 'a list of CPUs like "0-2,5"')
  }
}

function inRange(name: keyof Limits, value: number | undefined, least: number, most: number, unit: string): void {
  if (value === undefined || value === Infinity || (typeof value === 'number' && value >= least && value <= most)) return
  refuse(name, value, `between ${least} and ${most}${unit && ` ${unit}`}`)
}

function refuse(name: string, value: unknown, wanted: string): never {
  const shown = typeof value === 'number' ? String(value) : JSON.stringify(value)
  throw new StrakeError('invalid_argument', `the limit ${name} is ${shown}; it must be ${wanted}`, {
    details: { name, value },
  })
}

/** Quota and period (µs) of the CPU bandwidth controller. It refuses quotas below 1 ms, so a small share gets a longer period. */
export function bandwidth(cpus: number): { quota: number; period: number } {
  const period = cpus < 0.01 ? 1_000_000 : 100_000
  return { quota: Math.max(1000, Math.round(cpus * period)), period }
}

/**
 * `cpu.weight` (1–10000, default 100) for `cpu.shares` (2–262144, default 1024). A quadratic in the logarithm that meets both ends *and* both
 * defaults, as runc and crun have it since 2025; the linear one before made 39 of the default.
 */
export function weightOfShares(shares: number): number {
  if (shares === Infinity) return 100
  const log = Math.log2(shares)
  const exponent = (log * log + 125 * log) / 612 - 7 / 34
  return Math.min(10_000, Math.max(1, Math.ceil(10 ** exponent)))
}

/** The number in a control file where "max" (v2) or the largest page-aligned number (v1) stands for no limit. */
export function limitOf(text: string | undefined): number {
  const value = text === undefined || text.startsWith('max') ? Infinity : Number.parseInt(text, 10)
  return value >= 2 ** 62 || value < 0 ? Infinity : value
}
