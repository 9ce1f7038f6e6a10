import { rmdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { StrakeError } from '../errors/error.ts'
import { errnoOf, groupsIn, pidsIn, refused } from './files.ts'

/** Polls `done` at 0, 1, 2, 4, … 50 ms; false when it does not come true within `timeout` ms. */
export async function until(done: () => boolean, timeout: number): Promise<boolean> {
  const end = performance.now() + timeout
  for (let pause = 1; !done(); pause = Math.min(50, pause * 2)) {
    if (performance.now() > end) return false
    await delay(pause)
  }
  return true
}

/** The pids in a group and in the groups inside it. */
export function allPids(directory: string): number[] {
  return [...pidsIn(directory), ...groupsIn(directory).flatMap((name) => allPids(`${directory}/${name}`))]
}

/**
 * Sends SIGKILL to every process in the groups; how many there were. Between the reading of a pid and its signal the number could in theory go
 * to another process; the kernel hands numbers out in turn, so within microseconds it does not.
 */
export function signalAll(directories: readonly string[]): number {
  const pids = new Set(directories.flatMap(allPids))
  pids.delete(process.pid)
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw refused('kill', String(pid), errnoOf(error), error)
    }
  }
  return pids.size
}

/** Kills until nobody is left: what v1 and kernels before 5.14 need. `stubborn` is called when five rounds did not do. */
export async function killEach(directories: readonly string[], stubborn: () => void = () => {}, timeout = 10_000): Promise<void> {
  let round = 0
  const empty = await until(() => {
    if (round++ === 5) stubborn()
    return signalAll(directories) === 0
  }, timeout)
  if (!empty) throw undying(directories[0] ?? '')
}

export function undying(directory: string): StrakeError {
  return new StrakeError('timed_out', `processes in ${directory} are still there after SIGKILL`, {
    hint: 'they are stuck in the kernel (state D in ps), most often on a disk or network file system that does not answer',
    details: { path: directory, pids: allPids(directory) },
  })
}

/**
 * Removes a group and those inside it, deepest first. rmdir(2) on a group answers EBUSY while a process is in it, and for a moment after
 * the last has ended: then `kill` is called once and the removal tried again for up to 2 s. Gone already is as good as removed.
 */
export async function removeGroups(directory: string, kill: () => Promise<void>): Promise<void> {
  let killed = false
  const end = performance.now() + 2000
  for (let pause = 1; ; pause = Math.min(50, pause * 2)) {
    try {
      return await rmdir(directory)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT') return
      if ((errno !== 'EBUSY' && errno !== 'ENOTEMPTY') || performance.now() > end) throw refused('rmdir', directory, errno, error)
    }
    if (!killed) {
      killed = true
      await kill()
    }
    for (const name of groupsIn(directory)) await removeGroups(`${directory}/${name}`, async () => {})
    await delay(pause)
  }
}
