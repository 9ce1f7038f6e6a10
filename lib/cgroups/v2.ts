import { mkdirSync, rmdirSync } from 'node:fs'
import { StrakeError } from '../errors/error.ts'
import type { Cgroup, CgroupStats, CgroupUsage } from './cgroup.ts'
import { killEach, removeGroups, undying, until } from './drain.ts'
import { errnoOf, pidsIn, read, readKeyed, readNumber, refused, write } from './files.ts'
import type { Controller } from './hierarchy.ts'
import { bandwidth, type Enforced, type Limits, limitOf, namesOf, weightOfShares } from './limits.ts'

/** The controller that each limit needs. */
const needs: Readonly<Record<keyof Limits, Controller>> = {
  memory: 'memory',
  oomGroup: 'memory',
  cpus: 'cpu',
  cpuShares: 'cpu',
  pids: 'pids',
  cpuset: 'cpuset',
  ioWeight: 'io',
}

/** A group of cgroup v2: one directory. See Documentation/admin-guide/cgroup-v2.rst for every file named here. */
export class GroupV2 implements Cgroup {
  readonly frozenDies = true
  readonly id: string
  readonly directory: string
  readonly joinPaths: readonly string[]
  #available: ReadonlySet<Controller>
  #enforced: Enforced = {}

  private constructor(id: string, directory: string, available: ReadonlySet<Controller>) {
    this.id = id
    this.directory = directory
    this.joinPaths = [`${directory}/cgroup.procs`]
    this.#available = available
  }

  /** One mkdir and one or two writes for each limit: some 50 µs. Throws `name_in_use`, `kernel_refused`. */
  static create(parent: string, id: string, limits: Limits, available: ReadonlySet<Controller>): GroupV2 {
    const directory = `${parent}/${id}`
    try {
      mkdirSync(directory)
    } catch (cause) {
      if (errnoOf(cause) === 'EEXIST') throw new StrakeError('name_in_use', `there is a cgroup ${directory} already`, { cause })
      throw refused('mkdir', directory, errnoOf(cause), cause)
    }
    const group = new GroupV2(id, directory, available)
    try {
      group.update(limits)
    } catch (error) {
      // Nothing is in it yet.
      rmdirSync(directory)
      throw error
    }
    return group
  }

  get enforced(): Enforced {
    return this.#enforced
  }

  update(limits: Limits): void {
    const { memory, cpus, cpuShares, pids, cpuset, ioWeight, oomGroup } = this.#possible(limits)
    if (memory !== undefined) {
      this.#write('memory.max', numberOrMax(memory))
      // Not there without swap support (CONFIG_SWAP, swapaccount=0).
      this.#write('memory.swap.max', memory === Infinity ? 'max' : '0', ['ENOENT'])
    }
    if (oomGroup !== undefined) this.#write('memory.oom.group', oomGroup ? '1' : '0')
    if (cpus === Infinity) this.#write('cpu.max', 'max')
    else if (cpus !== undefined) {
      const { quota, period } = bandwidth(cpus)
      this.#write('cpu.max', `${quota} ${period}`)
    }
    if (cpuShares !== undefined) this.#write('cpu.weight', String(weightOfShares(cpuShares)))
    if (pids !== undefined) this.#write('pids.max', numberOrMax(pids))
    if (cpuset !== undefined) this.#write('cpuset.cpus', cpuset)
    if (ioWeight !== undefined) this.#write('io.weight', `default ${ioWeight === Infinity ? 100 : ioWeight}`)
  }

  /** Leaves out the limits whose controller is not there, and notes of each how it is enforced. */
  #possible(limits: Limits): Limits {
    const enforced = { ...this.#enforced }
    const possible: Record<string, unknown> = { ...limits }
    for (const name of namesOf(limits)) {
      // io.weight is there only where a block device's scheduler (bfq) or iocost takes weights.
      const there = this.#available.has(needs[name]) && (name !== 'ioWeight' || read(`${this.directory}/io.weight`) !== undefined)
      enforced[name] = there ? 'cgroup' : 'none'
      if (!there) possible[name] = undefined
    }
    this.#enforced = enforced
    return possible as Limits
  }

  stats(): CgroupStats {
    const cpu = this.#keyed('cpu.stat')
    const memory = this.#number('memory.current')
    const pids = this.#number('pids.current')
    const io = read(`${this.directory}/io.stat`)
    return {
      cpu: cpu && {
        userMicros: cpu.user_usec ?? 0,
        systemMicros: cpu.system_usec ?? 0,
        periods: cpu.nr_periods ?? 0,
        throttledPeriods: cpu.nr_throttled ?? 0,
        throttledMicros: cpu.throttled_usec ?? 0,
      },
      memory:
        memory === undefined
          ? undefined
          : {
              current: memory,
              peak: this.#number('memory.peak'),
              inactiveFile: this.#keyed('memory.stat')?.inactive_file ?? 0,
              limit: limitOf(read(`${this.directory}/memory.max`)),
            },
      pids: pids === undefined ? undefined : { current: pids, limit: limitOf(read(`${this.directory}/pids.max`)) },
      io: io === undefined ? undefined : ioTotals(io),
      oomKills: this.oomKills(),
    }
  }

  usage(): CgroupUsage {
    // cpu.stat counts time in every group, whether the cpu controller is enabled or not.
    const cpu = this.#keyed('cpu.stat')
    return {
      userMicros: cpu?.user_usec,
      systemMicros: cpu?.system_usec,
      peakMemory: this.#number('memory.peak'),
      oomKills: this.oomKills(),
    }
  }

  oomKills(): number {
    return this.#keyed('memory.events')?.oom_kill ?? 0
  }

  pids(): number[] {
    return pidsIn(this.directory)
  }

  async freeze(): Promise<void> {
    this.#write('cgroup.freeze', '1')
    if (await until(() => this.#keyed('cgroup.events')?.frozen !== 0, 5000)) return
    await this.thaw()
    throw new StrakeError('timed_out', `the processes of ${this.id} did not all stop within 5 s`, { details: { pids: this.pids() } })
  }

  thaw(): Promise<void> {
    this.#write('cgroup.freeze', '0')
    return Promise.resolve()
  }

  async kill(): Promise<void> {
    // cgroup.kill came with 5.14.
    if (!write(`${this.directory}/cgroup.kill`, '1', ['ENOENT', 'ENODEV'])) return killEach([this.directory])
    if (!(await until(() => this.#keyed('cgroup.events')?.populated !== 1, 10_000))) throw undying(this.directory)
  }

  remove(): Promise<void> {
    return removeGroups(this.directory, () => this.kill())
  }

  #write(file: string, value: string, tolerate: readonly string[] = []): void {
    write(`${this.directory}/${file}`, value, tolerate)
  }

  #number(file: string): number | undefined {
    return readNumber(`${this.directory}/${file}`)
  }

  #keyed(file: string): Readonly<Record<string, number>> | undefined {
    return readKeyed(`${this.directory}/${file}`)
  }
}

function numberOrMax(value: number): string {
  return value === Infinity ? 'max' : String(value)
}

/** io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, a line a device. */
function ioTotals(text: string): CgroupStats['io'] {
  const total = (key: string): number =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((sum, match) => sum + Number(match[1]), 0)
  return { readBytes: total('rbytes'), writeBytes: total('wbytes'), reads: total('rios'), writes: total('wios') }
}
