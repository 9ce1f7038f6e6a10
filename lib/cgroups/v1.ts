import { mkdirSync, rmdirSync } from 'node:fs'
import { StrakeError } from '../errors/error.ts'
import type { Cgroup, CgroupStats, CgroupUsage } from './cgroup.ts'
import { killEach, removeGroups, signalAll, until } from './drain.ts'
import { errnoOf, pidsIn, read, readKeyed, readNumber, refused, write } from './files.ts'
import type { Controller } from './hierarchy.ts'
import { bandwidth, type Enforced, type Limits, limitOf, namesOf } from './limits.ts'
import { inherit, makeDirectory } from './place-v1.ts'

const freezeAttempts = 25
/** Milliseconds of one attempt. */
const freezePatience = 200

/** The controller that each limit needs; v1 has no way to kill a group as a whole. */
const needs: Readonly<Record<keyof Limits, Controller | undefined>> = {
  memory: 'memory',
  cpus: 'cpu',
  cpuShares: 'cpu',
  pids: 'pids',
  cpuset: 'cpuset',
  ioWeight: 'io',
  oomGroup: undefined,
}

/** Files for shares of disk time, by scheduler, with what 100 of v2's means there and the most they take. */
const weightFiles = [
  { name: 'blkio.bfq.weight', least: 1, usual: 100, most: 1000 },
  { name: 'blkio.weight', least: 10, usual: 500, most: 1000 },
] as const

/**
 * A group of cgroup v1: a directory in each hierarchy that something needs, made when it is first needed, because each costs 25–100 µs.
 * See Documentation/admin-guide/cgroup-v1/ (memory.rst, cpusets.rst, freezer-subsystem.rst, …).
 */
export class GroupV1 implements Cgroup {
  readonly frozenDies = false
  readonly id: string
  #parents: ReadonlyMap<Controller, string>
  #directories = new Map<Controller, string>()
  #enforced: Enforced = {}

  private constructor(id: string, parents: ReadonlyMap<Controller, string>) {
    this.id = id
    this.#parents = parents
  }

  /**
   * `parents`: the owner's directory for each controller. `accounting`: in hierarchies that count, too, not only in those that the limits
   * need. Throws `name_in_use`, `kernel_refused`.
   */
  static create(parents: ReadonlyMap<Controller, string>, id: string, limits: Limits, accounting: boolean): GroupV1 {
    const group = new GroupV1(id, parents)
    try {
      group.update(limits)
      if (accounting) for (const controller of ['memory', 'cpuacct', 'pids'] as const) group.#ensure(controller)
      // A group without a directory could neither be joined nor killed.
      if (group.#directories.size === 0) for (const [controller] of parents) if (group.#ensure(controller)) break
    } catch (error) {
      // Nothing is in it yet.
      for (const directory of group.#distinct()) rmdirSync(directory)
      throw error
    }
    return group
  }

  get joinPaths(): readonly string[] {
    return this.#distinct().map((directory) => `${directory}/cgroup.procs`)
  }

  get enforced(): Enforced {
    return this.#enforced
  }

  update(limits: Limits): void {
    const enforced = { ...this.#enforced }
    for (const name of namesOf(limits)) {
      const controller = needs[name]
      const directory = controller && this.#ensure(controller)
      enforced[name] = directory !== undefined && this.#set(directory, name, limits) ? 'cgroup' : 'none'
    }
    this.#enforced = enforced
  }

  #set(directory: string, name: keyof Limits, limits: Limits): boolean {
    const { memory, cpus, cpuShares, pids, cpuset, ioWeight } = limits
    if (name === 'memory' && memory !== undefined) setMemory(directory, memory)
    if (name === 'cpus' && cpus !== undefined) {
      const { quota, period } = cpus === Infinity ? { quota: -1, period: 100_000 } : bandwidth(cpus)
      // Without a quota a period of any length is taken, so the order never matters.
      write(`${directory}/cpu.cfs_quota_us`, '-1')
      if (period !== 100_000 || readNumber(`${directory}/cpu.cfs_period_us`) !== period)
        write(`${directory}/cpu.cfs_period_us`, String(period))
      if (quota !== -1) write(`${directory}/cpu.cfs_quota_us`, String(quota))
    }
    if (name === 'cpuShares' && cpuShares !== undefined) write(`${directory}/cpu.shares`, String(cpuShares === Infinity ? 1024 : cpuShares))
    if (name === 'pids' && pids !== undefined) write(`${directory}/pids.max`, pids === Infinity ? 'max' : String(pids))
    if (name === 'cpuset' && cpuset !== undefined) write(`${directory}/cpuset.cpus`, cpuset)
    if (name !== 'ioWeight' || ioWeight === undefined) return true
    const file = weightFiles.find((candidate) => read(`${directory}/${candidate.name}`) !== undefined)
    if (file === undefined) return false
    const weight = ioWeight === Infinity ? file.usual : Math.round((ioWeight * file.usual) / 100)
    write(`${directory}/${file.name}`, String(Math.min(file.most, Math.max(file.least, weight))))
    return true
  }

  /** This group's directory for a controller, made if it was not there; undefined where this user has no place for it. */
  #ensure(controller: Controller): string | undefined {
    const known = this.#directories.get(controller)
    if (known !== undefined) return known
    const parent = this.#parents.get(controller)
    if (parent === undefined) return undefined
    const directory = `${parent}/${this.id}`
    // cpu and cpuacct are often one hierarchy.
    const shared = this.#distinct().includes(directory)
    if (!shared) makeOnce(controller, parent, directory)
    const from = this.#distinct()[0]
    this.#directories.set(controller, directory)
    if (!shared) {
      inherit(controller, directory, parent)
      if (from !== undefined) moveAll(from, directory)
    }
    return directory
  }

  stats(): CgroupStats {
    const usage = this.usage()
    const cpu = this.#keyed('cpu', 'cpu.stat')
    const memory = this.#number('memory', 'memory.usage_in_bytes')
    const pids = this.#number('pids', 'pids.current')
    const io = this.#directories.get('io')
    return {
      cpu:
        usage.userMicros === undefined && cpu === undefined
          ? undefined
          : {
              userMicros: usage.userMicros ?? 0,
              systemMicros: usage.systemMicros ?? 0,
              periods: cpu?.nr_periods ?? 0,
              throttledPeriods: cpu?.nr_throttled ?? 0,
              throttledMicros: Math.round((cpu?.throttled_time ?? 0) / 1000),
            },
      memory:
        memory === undefined
          ? undefined
          : {
              current: memory,
              peak: usage.peakMemory,
              inactiveFile: this.#keyed('memory', 'memory.stat')?.total_inactive_file ?? 0,
              limit: limitOf(read(`${this.#directories.get('memory')}/memory.limit_in_bytes`)),
            },
      pids: pids === undefined ? undefined : { current: pids, limit: limitOf(read(`${this.#directories.get('pids')}/pids.max`)) },
      io: io === undefined ? undefined : ioTotals(io),
      oomKills: usage.oomKills,
    }
  }

  usage(): CgroupUsage {
    const user = this.#number('cpuacct', 'cpuacct.usage_user')
    const system = this.#number('cpuacct', 'cpuacct.usage_sys')
    return {
      userMicros: user === undefined ? undefined : Math.round(user / 1000),
      systemMicros: system === undefined ? undefined : Math.round(system / 1000),
      peakMemory: this.#number('memory', 'memory.max_usage_in_bytes'),
      oomKills: this.oomKills(),
    }
  }

  oomKills(): number {
    return this.#keyed('memory', 'memory.oom_control')?.oom_kill ?? 0
  }

  pids(): number[] {
    const [directory] = this.#distinct()
    return directory === undefined ? [] : pidsIn(directory)
  }

  async freeze(): Promise<void> {
    const directory = this.#ensure('freezer')
    if (directory === undefined) {
      throw new StrakeError('not_delegated', `${this.id} cannot be frozen: the freezer hierarchy of cgroup v1 is not this user's`, {})
    }
    for (let attempt = 0; attempt < freezeAttempts; attempt += 1) {
      write(`${directory}/freezer.state`, 'FROZEN')
      // Reading the state is what makes the kernel look again: FREEZING becomes FROZEN once all have stopped.
      if (await until(() => read(`${directory}/freezer.state`)?.trim() !== 'FREEZING', freezePatience)) return
      // A process that was forked or came in just then may be passed over for ever; thawed and frozen again it is seen.
      await this.thaw()
    }
    throw new StrakeError('timed_out', `the processes of ${this.id} did not all stop within 5 s`, { details: { pids: this.pids() } })
  }

  thaw(): Promise<void> {
    const directory = this.#directories.get('freezer')
    if (directory !== undefined) write(`${directory}/freezer.state`, 'THAWED', ['ENOENT'])
    return Promise.resolve()
  }

  async kill(): Promise<void> {
    // On v1 a frozen process dies only once it is thawed: the signal waits for it, so nothing of the process runs before.
    signalAll(this.#distinct())
    await this.thaw()
    await killEach(this.#distinct(), () => {
      // Something forks faster than the signals go out: no more forks then. Not before, or a shell ends with "cannot fork" of its own accord.
      const pids = this.#directories.get('pids')
      if (pids !== undefined) write(`${pids}/pids.max`, '0', ['ENOENT', 'ENODEV'])
    })
  }

  async remove(): Promise<void> {
    await Promise.all(this.#distinct().map((directory) => removeGroups(directory, () => this.kill())))
  }

  #distinct(): string[] {
    return [...new Set(this.#directories.values())]
  }

  #number(controller: Controller, file: string): number | undefined {
    const directory = this.#directories.get(controller)
    return directory === undefined ? undefined : readNumber(`${directory}/${file}`)
  }

  #keyed(controller: Controller, file: string): Readonly<Record<string, number>> | undefined {
    const directory = this.#directories.get(controller)
    return directory === undefined ? undefined : readKeyed(`${directory}/${file}`)
  }
}

function makeOnce(controller: Controller, parent: string, directory: string): void {
  for (const again of [true, false]) {
    try {
      mkdirSync(directory)
      return
    } catch (cause) {
      const errno = errnoOf(cause)
      if (errno === 'EEXIST') throw new StrakeError('name_in_use', `there is a cgroup ${directory} already`, { cause })
      if (errno !== 'ENOENT' || !again) throw refused('mkdir', directory, errno, cause)
      makeDirectory(controller, parent)
    }
  }
}

/** Processes that are in the group already come along to a new hierarchy; those that fork meanwhile are met in the next round. */
function moveAll(from: string, to: string): void {
  for (let round = 0; round < 100; round++) {
    const there = new Set(pidsIn(to))
    const missing = pidsIn(from).filter((pid) => !there.has(pid))
    if (missing.length === 0) return
    for (const pid of missing) write(`${to}/cgroup.procs`, String(pid), ['ESRCH'])
  }
}

/** memory.memsw (memory and swap together) may never be below memory.limit, so what grows is written first. */
function setMemory(directory: string, memory: number): void {
  const value = memory === Infinity ? '-1' : String(memory)
  const both = `${directory}/memory.memsw.limit_in_bytes`
  const alone = `${directory}/memory.limit_in_bytes`
  if (memory >= limitOf(read(both))) {
    // Not there without swap accounting.
    write(both, value, ['ENOENT', 'EACCES', 'EOPNOTSUPP'])
    write(alone, value)
  } else {
    write(alone, value)
    write(both, value, ['ENOENT', 'EACCES', 'EOPNOTSUPP'])
  }
}

/** Lines `8:0 Read 4096` and a last one `Total 4096`. */
function ioTotals(directory: string): CgroupStats['io'] {
  const total = (file: string, word: string): number =>
    [...(read(`${directory}/${file}`) ?? '').matchAll(new RegExp(`^\\d+:\\d+ ${word} (\\d+)$`, 'gm'))].reduce(
      (sum, match) => sum + Number(match[1]),
      0,
    )
  return {
    readBytes: total('blkio.throttle.io_service_bytes', 'Read'),
    writeBytes: total('blkio.throttle.io_service_bytes', 'Write'),
    reads: total('blkio.throttle.io_serviced', 'Read'),
    writes: total('blkio.throttle.io_serviced', 'Write'),
  }
}
