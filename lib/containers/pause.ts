import { readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import type { RunningContainer } from './launch.ts'
import { childrenOf, isProcessStill } from './still.ts'

const toAll = 256
const stopSignal = 19
const continueSignal = 18
const longest = 5000
/** Milliseconds from one look to the next, at first and at most. */
const pauses = { first: 2, longest: 50 }

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

function pidNamespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

/** Commands that came later (`exec`): they are in the container's pid namespace, and children of the zygote. */
function laterCommands(zygote: number, first: number): number[] {
  const namespace = pidNamespace(first)
  if (namespace === undefined) return []
  return childrenOf(zygote).filter((pid) => pid !== first && pidNamespace(pid) === namespace)
}

/** Every process of a container but its PID 1: of one with a cgroup all that are in it, else the descendants of PID 1 and of later commands. */
function processes({ cgroup, zygote }: RunningContainer, main: number): number[] {
  const first = parentOf(main)
  if (cgroup) return cgroup.pids().filter((pid) => pid !== first)
  const found: number[] = []
  const waiting = first > 1 ? [...childrenOf(first), ...laterCommands(zygote.agent.pid, first)] : [main]
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    found.push(pid)
    waiting.push(...childrenOf(pid))
  }
  return found
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
 * Stops every process of a container: by the freezer of its cgroup, else by SIGSTOP from its PID 1 to all others, which no fork(2) that is under
 * way escapes (kill(2), pid -1). Rejects with `timed_out` when one does not stop within 5 s (it sleeps in the kernel), and lets all go on.
 */
export async function freeze(running: RunningContainer, main: number): Promise<void> {
  if (running.cgroup?.frozenDies) {
    frozen.add(running)
    return running.cgroup.freeze()
  }
  const deadline = performance.now() + longest
  for (let pause = pauses.first; ; pause = Math.min(pauses.longest, pause * 2)) {
    running.child.kill(stopSignal + toAll)
    await delay(pause)
    const moving = processes(running, main).filter((pid) => !isProcessStill(pid))
    if (moving.length === 0) return
    if (performance.now() > deadline) {
      running.child.kill(continueSignal + toAll)
      throw new StrakeError('timed_out', 'A process of the container did not stop within 5 s.', {
        hint: 'It sleeps in the kernel (state D in ps), most often on a disk or network file system that does not answer.',
        details: { pids: moving },
      })
    }
  }
}

export async function thaw(running: RunningContainer): Promise<void> {
  if (frozen.delete(running)) return running.cgroup?.thaw()
  running.child.kill(continueSignal + toAll)
}
