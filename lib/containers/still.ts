import { readdirSync, readFileSync } from 'node:fs'

/** What proc(5) tells of a thread. */
export interface ThreadFacts {
  /** The letter of its state, as in ps(1). */
  readonly state: string
  /** Whether a SIGSTOP waits for it. */
  readonly hasStopPending: boolean
  /** The number of the system call that it waits in, and the function of the kernel; undefined where that is not told. */
  readonly systemCall: number | undefined
  readonly sleepsIn: string | undefined
}

/** SIGSTOP is number 19: the third bit of the fifth digit from the right. */
const stopBit = /[4567c-f][0-9a-f]{4}$/

/** fork, vfork, clone and clone3, as this machine numbers them; 32-bit programs have other numbers. */
const cloneCalls: ReadonlySet<number> = new Set(process.arch === 'arm64' ? [220, 435] : [56, 57, 58, 435])

/** Where a parent waits until its vfork(2) child has called execve(2) or ended: by the names of Linux 5.10 on, and before. */
const vforkWait = /^(kernel_clone|_do_fork|wait_for_vfork_done)\b/

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

function isCloning({ systemCall, sleepsIn }: ThreadFacts): boolean {
  return (systemCall !== undefined && cloneCalls.has(systemCall)) || vforkWait.test(sleepsIn ?? '')
}

/**
 * Whether a process runs nothing until it is continued: each of its threads has stopped or ended, or sleeps (D) in vfork(2) or its like with
 * a stop that waits for it. The latter cannot stop before its child goes on, which is stopped itself; and it does no more either: no instruction
 * comes before the stop, and with a signal waiting clone(2) makes no process (ERESTARTNOINTR). The freezers of cgroups count it the same way.
 */
export function isStill(threads: readonly ThreadFacts[]): boolean {
  const isStopped = threads.some(({ state }) => /[Tt]/.test(state))
  return threads.every(
    (thread) => /[TtZX]/.test(thread.state) || (thread.state === 'D' && (isStopped || thread.hasStopPending) && isCloning(thread)),
  )
}

function threadFacts(path: string): ThreadFacts[] {
  const status = read(`${path}/status`)
  const state = status && /^State:\s*(\S)/m.exec(status)?.[1]
  // It has ended.
  if (!state) return []
  if (state !== 'D') return [{ state, hasStopPending: false, systemCall: undefined, sleepsIn: undefined }]
  const call = /^\d+/.exec(read(`${path}/syscall`) ?? '')?.[0]
  return [
    {
      state,
      hasStopPending: [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*(\S+)/gm)].some(([, signals]) => stopBit.test(signals ?? '')),
      systemCall: call === undefined ? undefined : Number(call),
      sleepsIn: read(`${path}/wchan`),
    },
  ]
}

/** The threads of a process as paths; none of one that has ended. */
function tasks(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`)
  } catch {
    return []
  }
}

export function isProcessStill(pid: number): boolean {
  return isStill(tasks(pid).flatMap(threadFacts))
}

/** A child hangs on the thread that made it (proc(5), /proc/pid/task/tid/children). */
export function childrenOf(pid: number): number[] {
  return tasks(pid).flatMap((path) => (read(`${path}/children`) ?? '').split(' ').filter(Boolean).map(Number))
}
