import { closeFd } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { kernelRefused, type Program } from '../sys/index.ts'
import type { Child, ChildExit } from './agent.ts'
import { atLeast, sampleUsage } from './sample.ts'
import { signalName } from './signals.ts'

const killSignal = 9

/** The exit report of native/protocol.h. */
export function readExit(payload: Buffer | undefined): ChildExit {
  if (!payload || payload.length < 32) return lostExit
  const code = payload.readInt32LE(0)
  const signal = payload.readInt32LE(4)
  return {
    exitCode: code >= 0 ? code : null,
    signal: signal > 0 ? signalName(signal) : null,
    usage: {
      userMicros: Number(payload.readBigUInt64LE(8)),
      systemMicros: Number(payload.readBigUInt64LE(16)),
      peakMemory: Number(payload.readBigUInt64LE(24)) * 1024,
    },
  }
}

/** Of a child whose agent died: the kernel killed it with the agent's pid namespace. */
export const lostExit: ChildExit = {
  exitCode: null,
  signal: 'SIGKILL',
  usage: { userMicros: 0, systemMicros: 0, peakMemory: 0 },
  lost: true,
}

/** Of a child whose request could not even be sent. */
export const neverStarted: ChildExit = { exitCode: 127, signal: null, usage: { userMicros: 0, systemMicros: 0, peakMemory: 0 } }

/** A child as its owner follows it, from the messages of the agent. */
export class ChildState implements Child {
  readonly id: number
  readonly fds: Record<string, number> = {}
  readonly started: Promise<number>
  readonly ended: Promise<ChildExit>
  readonly #program: () => Program
  readonly #sendSignal: (signal: number) => void
  #resolveStarted!: (pid: number) => void
  #rejectStarted!: (error: unknown) => void
  #resolveEnded!: (exit: ChildExit) => void
  #state: 'starting' | 'failed' | 'running' | 'ended' = 'starting'
  #failure: StrakeError | undefined
  #pid = 0
  #sample: ChildExit['usage'] | undefined

  constructor(id: number, program: () => Program, sendSignal: (signal: number) => void) {
    this.id = id
    this.#program = program
    this.#sendSignal = sendSignal
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve
      this.#rejectStarted = reject
    })
    this.started.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
  }

  kill(signal: number): void {
    if (this.#state === 'ended') return
    if (signal === killSignal && this.#state === 'running') this.#sample = sampleUsage(this.#pid)
    this.#sendSignal(signal)
  }

  start(pid: number): void {
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#pid = pid
    this.#resolveStarted(pid)
  }

  fail(index: number, errno: number): void {
    if (this.#state !== 'starting' && this.#state !== 'running') return
    const { prepared = [], ops } = this.#program()
    this.#failure ??= kernelRefused([...prepared, ...ops], index, errno)
    if (this.#state !== 'starting') return
    this.#state = 'failed'
    this.#rejectStarted(this.#failure)
  }

  end(exit: ChildExit): void {
    if (this.#state === 'ended') return
    const before = this.#state
    this.#state = 'ended'
    if (before === 'starting') {
      this.#rejectStarted(
        new StrakeError(exit.lost ? 'zygote_lost' : 'process_failed', 'The process ended before its command was started.', {
          hint: exit.lost
            ? undefined
            : 'It could not tell why: a seccomp profile may forbid what a start needs (sendmsg, execve), or the kernel had no memory.',
          details: { exitCode: exit.exitCode, signal: exit.signal },
        }),
      )
    }
    if (before !== 'running') for (const fd of Object.values(this.fds)) closeFd(fd)
    const known = this.#sample ? { ...exit, usage: atLeast(exit.usage, this.#sample) } : exit
    this.#resolveEnded(this.#failure ? { ...known, failure: this.#failure } : known)
  }
}
