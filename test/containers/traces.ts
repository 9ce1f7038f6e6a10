import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import type { ErrorCode, StrakeError } from '../../lib/errors/index.ts'
import { openFds } from '../support/fds.ts'
import { mounts } from '../support/machine.ts'

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Living processes below `root`, itself left out; zombies that their parent has not reaped yet count as well. */
export function descendants(root = process.pid): number[] {
  const children = new Map<number, number[]>()
  for (const pid of pids()) {
    const stat = read(`/proc/${pid}/stat`)
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found: number[] = []
  for (const queue = [root]; queue.length > 0; ) {
    const below = children.get(queue.shift() ?? -1) ?? []
    found.push(...below)
    queue.push(...below)
  }
  return found
}

/** Processes, wherever they hang, whose command line holds `marker`. */
export function processesWith(marker: string): number[] {
  return pids().filter((pid) => pid !== process.pid && read(`/proc/${pid}/cmdline`).includes(marker))
}

/** Names of the directories of containers in the store. */
export async function containerDirectories(): Promise<string[]> {
  const { store } = await currentRuntime()
  return readdirSync(store.path('containers'))
}

/** Waits until `measure` gives what is wanted; then, or after `patience` milliseconds, its last answer. */
export async function settled<Value>(
  measure: () => Value | Promise<Value>,
  isRight: (value: Value) => boolean,
  patience = 3000,
): Promise<Value> {
  const end = Date.now() + patience
  for (;;) {
    const value = await measure()
    if (isRight(value) || Date.now() > end) return value
    await sleep(10)
  }
}

export interface Traces {
  readonly processes: number
  readonly fds: number
  readonly mounts: readonly string[]
  readonly directories: readonly string[]
  /** Of this process, as paths. */
  readonly cgroups: readonly string[]
}

function directoriesIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [`${path}/${entry.name}`] : []))
  } catch {
    return []
  }
}

/** The directories of all who make control groups, in whichever hierarchy: `…/strake/<namespace>-<pid>-<start>`. */
export function cgroupOwners(directory = '/sys/fs/cgroup'): string[] {
  return directoriesIn(directory).flatMap((path) => (path.endsWith('/strake') ? directoriesIn(path) : cgroupOwners(path)))
}

/** The control groups that this process has made for its containers: `…/strake/<namespace>-<pid>-<start>/<group>`. */
export function ownCgroups(): string[] {
  return cgroupOwners()
    .filter((owner) => owner.split('/').at(-1)?.split('-')[1] === String(process.pid))
    .flatMap(directoriesIn)
}

async function traces(): Promise<Traces> {
  return {
    processes: descendants().length,
    fds: openFds(),
    mounts: mounts(),
    directories: await containerDirectories(),
    cgroups: ownCgroups(),
  }
}

/** What this process owns once it is quiet: the same twice, 100 ms apart. */
export async function quietTraces(): Promise<Traces> {
  let before = await traces()
  for (let round = 0; round < 30; round += 1) {
    await sleep(100)
    const now = await traces()
    if (JSON.stringify(now) === JSON.stringify(before)) break
    before = now
  }
  return before
}

/** `now` without what is fewer than before: a spare process, or a file descriptor, that has gone meanwhile is nothing that was left. */
function leftOf(now: Traces, before: Traces): Traces {
  return { ...now, processes: Math.max(now.processes, before.processes), fds: Math.max(now.fds, before.fds) }
}

/** Nothing is left of what ran since `before`: no process, file descriptor, mount, directory or control group. */
export async function assertNothingLeft(before: Traces, what = ''): Promise<void> {
  const now = await settled(
    async () => leftOf(await traces(), before),
    (each) => JSON.stringify(each) === JSON.stringify(before),
  )
  assert.equal(now, before, what)
}

/** The StrakeError that `work` rejects with; its code is compared. */
export async function rejection(
  work: PromiseLike<unknown> | (() => PromiseLike<unknown>),
  code?: ErrorCode | readonly ErrorCode[],
): Promise<StrakeError> {
  let error: unknown
  try {
    const value = await (typeof work === 'function' ? work() : work)
    error = new Error(`it did not fail: ${JSON.stringify(value)?.slice(0, 300)}`)
  } catch (reason) {
    error = reason
  }
  const { code: found } = error as StrakeError
  if (typeof found !== 'string' || (code !== undefined && !([code].flat() as string[]).includes(found))) throw error
  return error as StrakeError
}
