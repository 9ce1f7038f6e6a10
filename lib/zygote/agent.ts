import type { StrakeError } from '../errors/index.ts'
import type { Op, Program } from '../sys/index.ts'
import type { SignalName } from './signals.ts'

/** What the ops of a request gave back, in order: the wait status of `waitId`, the bytes of `readDir` and `stat`, … */
export type OpResult = number | Uint8Array

export interface Reply {
  readonly results: readonly OpResult[]
  /** What `sendFd` sent, by name. The receiver owns these file descriptors. */
  readonly fds: Readonly<Record<string, number>>
}

/** How a child of an agent ended. */
export interface ChildExit {
  readonly exitCode: number | null
  readonly signal: SignalName | null
  /** Of the child and every descendant that was waited for. Times in microseconds, memory in bytes. */
  readonly usage: { readonly userMicros: number; readonly systemMicros: number; readonly peakMemory: number }
  /** The agent that watched it died, so how it ended is not known; it has ended all the same. */
  readonly lost?: true
  /** `kernel_refused`: an op failed, be it after the command was started. */
  readonly failure?: StrakeError
}

/** A process that an agent started. */
export interface Child {
  /** Resolves once the command has been exec'ed, to its pid as this process sees it; rejects when an op failed. */
  readonly started: Promise<number>
  /** Resolves when it has ended, never rejects. */
  readonly ended: Promise<ChildExit>
  /** What `sendFd` sent, by name. The receiver owns these file descriptors. */
  readonly fds: Readonly<Record<string, number>>
  /** The number by which ops of the same agent name it (`join`). */
  readonly id: number
  kill(signal: number): void
}

/** A program as it is sent (`encodeProgram`). The bytes are read at once. */
export interface EncodedProgram {
  readonly bytes: Uint8Array
  /** The names of the fds that it is to be given, in their order. */
  readonly given: readonly string[]
  /** What they say: for whoever has to explain a failure. */
  program(): Program
}

/** Fds by the name of the slot that they fill. They stay the caller's. */
export type GivenFds = Readonly<Record<string, number>>

export interface StartOptions {
  /** The child runs `init`: signals go through it to its main child. */
  readonly runsInit?: boolean
  /** The child does not keep the event loop alive: an agent, which is of use only while it is asked. */
  readonly isBackground?: boolean
  /** Called once the message has left, and the fds given along may be closed. */
  readonly onSent?: () => void
  /** Makes the op of this index fail with this errno: for tests of failure paths. */
  readonly fault?: { readonly index: number; readonly errno: number } | undefined
}

/**
 * A process in namespaces of its own that carries out ops on request: the zygote, an agent of `ns()`, a confined writer of
 * files. Requests are carried out one after the other.
 */
export interface Agent extends AsyncDisposable {
  /** The agent's pid as this process sees it. */
  readonly pid: number
  /** Resolves when the agent has gone, whatever the reason. */
  readonly ended: Promise<void>
  /** Carries `ops` out in the agent itself; rejects with `kernel_refused` at the first that fails, `zygote_lost` if the agent is gone. */
  run(ops: readonly Op[], fds?: GivenFds): Promise<Reply>
  /** Clones a child that carries out a program. */
  start(program: Program | EncodedProgram, fds?: GivenFds, options?: StartOptions): Child
  close(): Promise<void>
}
