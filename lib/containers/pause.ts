import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import type { RunningContainer } from './launch.ts'

const toAll = 256
const stopSignal = 19
const continueSignal = 18
const longest = 5000

function field(pid: number, name: string): string | undefined {
  try {
    return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Every descendant of the container's PID 1. */
function processes(main: number): number[] {
  const first = Number(field(main, 'PPid') ?? 0)
  const found: number[] = []
  const waiting = first > 1 ? childrenOf(first) : [main]
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    found.push(pid)
    waiting.push(...childrenOf(pid))
  }
  return found
}

function isStill(pid: number): boolean {
  const state = field(pid, 'State')
  return state === undefined || /^[TtZX]/.test(state)
}

/** By the freezer of their cgroup. */
const frozen = new WeakSet<RunningContainer>()

/** Ends a container. What the freezer of cgroup v1 holds dies only once it is thawed: the group sends its signals before it does that. */
export function killContainer(running: RunningContainer): void {
  running.child.kill(9)
  if (!frozen.delete(running)) return
  running.cgroup?.kill().catch(() => thaw(running).catch(() => undefined))
}

/**
 * Stops every process of a container: by the freezer of its cgroup, else by SIGSTOP from its PID 1 to all others. Rejects
 * with `timed_out` when one does not stop within 5 s (it sleeps in the kernel), and lets all go on.
 */
export async function freeze(running: RunningContainer, main: number): Promise<void> {
  if (running.cgroup) {
    frozen.add(running)
    return running.cgroup.freeze()
  }
  const deadline = performance.now() + longest
  for (;;) {
    running.child.kill(stopSignal + toAll)
    await delay(2)
    if (processes(main).every(isStill)) return
    if (performance.now() > deadline) {
      running.child.kill(continueSignal + toAll)
      throw new StrakeError('timed_out', 'A process of the container did not stop within 5 s.')
    }
  }
}

export async function thaw(running: RunningContainer): Promise<void> {
  frozen.delete(running)
  if (running.cgroup) return running.cgroup.thaw()
  running.child.kill(continueSignal + toAll)
}
