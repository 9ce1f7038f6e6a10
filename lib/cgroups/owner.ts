import { readFileSync, readlinkSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { errnoOf } from './files.ts'

/** The directory below a group where every Strake of this machine and user makes its own. */
export const ourName = 'strake'

/** State and start time (clock ticks since boot) of a process: fields 3 and 22 of /proc/PID/stat; undefined where it cannot be read. */
function statOf(pid: number): { state: string; startTime: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses, which may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

/** This process; in a worker thread, which may be terminated while the process lives, that thread (proc(5) knows it by its id as well). */
export function ownId(): number {
  if (isMainThread) return process.pid
  try {
    return Number.parseInt(readFileSync('/proc/thread-self/stat', 'latin1'), 10)
  } catch {
    return process.pid
  }
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
}

/**
 * The name of the directory that holds an owner's groups: pid namespace, pid and start time, so that one that is dead is never taken
 * for a later process of the same number, nor one of another container that sees the same cgroups for a dead one of ours.
 */
export function ownerName(pid: number): string {
  return `${pidNamespace()}-${pid}-${statOf(pid)?.startTime ?? 0}`
}

/** Whether the owner that a directory is named after is gone. Not for names of another pid namespace: those cannot be told from here. */
export function isDead(name: string): boolean {
  const [namespace, digits, startTime] = name.split('-')
  const pid = Number(digits)
  if (namespace !== pidNamespace() || !Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return true
  }
  // With hidepid another user's process cannot be looked at: taken for alive. One that is dead and not reaped yet will do nothing more.
  const now = statOf(pid)
  return now !== undefined && (now.startTime !== startTime || now.state === 'Z' || now.state === 'X')
}
