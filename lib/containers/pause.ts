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

/** Every process of a container but its PID 1: of one with a cgroup all that are in it, else the descendants of PID 1. */
function processes({ cgroup }: RunningContainer, main: number): number[] {
  const first = Number(field(main, 'PPid') ?? 0)
  if (cgroup) return cgroup.pids().filter((pid) => pid !== first)
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

/**
 * By the freezer of cgroup v2. What that of v1 holds dies only once it is thawed, and nobody would do that for a process that was killed; there,
 * and without a cgroup, it is by signals.
 */
const frozen = new WeakSet<RunningContainer>()

/** Ends a container, frozen or not. */
export function killContainer(running: RunningContainer): void {
  running.child.kill(9)
  if (!frozen.delete(running)) return
  running.cgroup?.kill().catch(() => running.cgroup?.thaw().catch(() => undefined))
}

/**
 * Stops every process of a container: by the freezer of its cgroup, else by SIGSTOP from its PID 1 to all others. Rejects
 * with `timed_out` when one does not stop within 5 s (it sleeps in the kernel), and lets all go on.
 */
export async function freeze(running: RunningContainer, main: number): Promise<void> {
  if (running.cgroup?.frozenDies) {
    frozen.add(running)
    return running.cgroup.freeze()
  }
  const deadline = performance.now() + longest
  for (;;) {
    running.child.kill(stopSignal + toAll)
    await delay(2)
    if (processes(running, main).every(isStill)) return
    if (performance.now() > deadline) {
      running.child.kill(continueSignal + toAll)
      throw new StrakeError('timed_out', 'A process of the container did not stop within 5 s.')
    }
  }
}

export async function thaw(running: RunningContainer): Promise<void> {
  if (frozen.delete(running)) return running.cgroup?.thaw()
  running.child.kill(continueSignal + toAll)
}
