import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/**
 * Names of files that belong to a process: `<pid>-<start time>-<boot>`. The start time (proc_pid_stat(5), field 22) tells
 * a process from a later one with the same pid, the boot id from one before a reboot. A worker thread has its own, by its thread id, which
 * proc(5) knows as well: it can be terminated while the process lives.
 */
export type Owner = string

let self: { readonly pid: number; readonly owner: Owner } | undefined
let count = 0

let boot: string | undefined

/** The first digits of the id of this boot of the machine, `none` where it has none to tell (random(4)). */
export function bootId(): string {
  boot ??= readBootId()
  return boot
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
  } catch {
    return 'none'
  }
}

function statOf(pid: number | 'self' | 'thread-self'): { readonly id: string; readonly startTime: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return startTime === undefined ? undefined : { id: stat.slice(0, stat.indexOf(' ')), startTime }
  } catch {
    return undefined
  }
}

/** The owner that this process is, or this worker thread of it. */
export function currentOwner(): Owner {
  if (self?.pid !== process.pid) {
    const { id, startTime } = statOf(isMainThread ? 'self' : 'thread-self') ?? { id: process.pid, startTime: '0' }
    self = { pid: process.pid, owner: `${id}-${startTime}-${bootId()}` }
  }
  return self.owner
}

/** A file name that no other process, thread or call makes: the owner, then a counter and random digits. */
export function ownedName(): string {
  count += 1
  return `${currentOwner()}-${count}-${Math.random().toString(36).slice(2, 10)}`
}

/** The owner in a name that `ownedName` made (a suffix or prefix may have been added with a dot). */
export function ownerIn(name: string): Owner | undefined {
  return /(?:^|\.)([0-9]+-[0-9]+-[0-9a-z]+)-[0-9]+-[0-9a-z]*(?:\.|$)/.exec(name)?.[1]
}

/** Whether the process, or the thread, is still there. */
export function isAlive(owner: Owner): boolean {
  const [pid, start, born] = owner.split('-')
  if (born !== bootId()) return false
  if (born === 'none') return signalReaches(Number(pid))
  return statOf(Number(pid))?.startTime === start
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
