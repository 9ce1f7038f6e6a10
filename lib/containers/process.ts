import { openSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { binding, closeFd } from '../../native/binding.ts'
import { onAbort, StrakeError } from '../errors/index.ts'
import { after, Input, Output, parseLimit, parseTimeout, type WindowSize } from '../process/index.ts'
import { type Child, type ChildExit, type SignalName, signalNumber } from '../zygote/index.ts'
import { checkOptions } from './check.ts'
import type { CommandOptions } from './options.ts'
import { explainStart, fewFiles, lost, type Whereabouts, withCode } from './start-error.ts'
import { encodeResize } from './terminal.ts'

/** What a process used. Times in milliseconds, memory in bytes. */
export interface Usage {
  readonly userMs: number
  readonly systemMs: number
  /** Of the whole container where it has a cgroup; else of its largest process. */
  readonly peakMemory: number
}

/** How a process ended, and what it said. `stdout` and `stderr` are empty when they were read as streams. */
export interface ProcessResult<Text extends string | Buffer = string> {
  /** null when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: SignalName | null
  readonly stdout: Text
  readonly stderr: Text
  readonly timedOut: boolean
  /** The kernel killed it, or something in its container, for want of memory. */
  readonly oomKilled: boolean
  readonly durationMs: number
  readonly usage: Usage
}

/** A command under way, as whoever starts it hands it over. */
export interface Launched {
  readonly child: Child
  /** Ends it for good, with everything that must not outlive it. */
  destroy(): void
  /** Called once it has ended: gives back what the start took, and tells what it used. */
  settle(exit: ChildExit, failed: boolean): Settled | Promise<Settled>
  /** Asked when it could not start. */
  where(): Whereabouts
  /** A failure of the start, by who knows more of its circumstances. */
  explain?(error: unknown): Promise<unknown>
}

export interface Settled {
  readonly oomKilled: boolean
  readonly usage: Usage
}

/** File descriptors for the command's side; they are closed once the message has left. */
export interface Stdio {
  readonly fds: Readonly<Record<string, number>>
  readonly onSent: () => void
}

export type Launch = (stdio: Stdio, signal: AbortSignal | undefined) => Launched | Promise<Launched>

const standardOutput = 100 * 1024 * 1024
const tailLength = 2000

let nothing = -1
function devNull(): number {
  if (nothing < 0) nothing = openSync('/dev/null', 'r+')
  return nothing
}

export function usageOf(exit: ChildExit): Usage {
  return { userMs: exit.usage.userMicros / 1000, systemMs: exit.usage.systemMicros / 1000, peakMemory: exit.usage.peakMemory }
}

function tail(bytes: Buffer): string {
  return bytes.subarray(-tailLength).toString('utf8')
}

/**
 * A command in a container. `await` it for its result, whatever its exit code; or use its streams. It starts at once.
 * Rejects with `command_not_found`, `user_not_found`, `aborted`, `kernel_refused`, and with `{ check: true }` with
 * `process_failed` or `timed_out`.
 */
export class Process<Text extends string | Buffer = string> implements PromiseLike<ProcessResult<Text>>, AsyncDisposable {
  /** The program and its arguments, as they are run. */
  readonly argv: readonly string[]
  readonly #options: CommandOptions
  readonly #out: Output
  readonly #err: Output
  readonly #input: Input
  readonly #result: Promise<ProcessResult<Text>>
  readonly #started: Promise<number>
  #launched: Launched | undefined
  #pid: number | undefined
  #failure: StrakeError | undefined
  #timedOut = false
  #isLaunching = true
  #hasEnded = false
  #pendingSignals: number[] = []
  #terminal: number | undefined

  constructor(argv: readonly string[], options: CommandOptions, launch: Launch) {
    this.argv = argv
    this.#options = options
    const limit = options.maxOutput === undefined ? standardOutput : parseLimit(options.maxOutput, 'maxOutput')
    const overflow = (): void => {
      this.#failWith(
        new StrakeError('limit_exceeded', `The output is larger than ${limit} bytes.`, {
          hint: 'Read stdout and stderr as streams, or raise maxOutput.',
          details: { limit },
        }),
      )
    }
    this.#out = new Output(limit, overflow)
    this.#err = new Output(limit, overflow)
    this.#input = new Input()
    let resolveStarted: (pid: number) => void = () => undefined
    let rejectStarted: (error: unknown) => void = () => undefined
    this.#started = new Promise((resolve, reject) => {
      resolveStarted = resolve
      rejectStarted = reject
    })
    this.#started.catch(() => undefined)
    this.#result = this.#run(launch, resolveStarted, rejectStarted).catch((error: unknown) => {
      rejectStarted(error)
      throw error
    })
    this.#result.catch(() => undefined)
  }

  /** Resolves to the pid, as this process sees it, once the command has been exec'ed. Rejects as the process does. */
  get started(): Promise<number> {
    return this.#started
  }

  /** The pid as this process sees it; undefined until it has started. */
  get pid(): number | undefined {
    return this.#pid
  }

  /** What it reads. A reader that has gone is no error. */
  get stdin(): Writable {
    if (!this.#input.isWanted && !this.#isLaunching && this.#options.stdin !== 'pipe' && !this.#options.tty) {
      throw new StrakeError('invalid_argument', 'The process was started without a standard input.', {
        hint: "Start it with { stdin: 'pipe' }.",
      })
    }
    return this.#input.stream
  }

  /** From its first use on, the result does not hold what flows here. */
  get stdout(): Readable {
    return this.#out.stream
  }

  /** From its first use on, the result does not hold what flows here. With a terminal nothing does. */
  get stderr(): Readable {
    return this.#err.stream
  }

  /** For the container's own log: gets every chunk, which is then not collected. */
  tap(onChunk: (stream: 'stdout' | 'stderr', chunk: Buffer) => void): void {
    this.#out.tap((chunk) => onChunk('stdout', chunk))
    this.#err.tap((chunk) => onChunk('stderr', chunk))
  }

  /** Sends a signal; before the command runs, as soon as it does. No error once it has ended. Throws `invalid_argument`. */
  kill(signal: SignalName | number = 'SIGTERM'): void {
    const number = signalNumber(signal)
    if (this.#hasEnded) return
    if (this.#launched) this.#launched.child.kill(number)
    else this.#pendingSignals.push(number)
  }

  /** Changes the terminal's size. Does nothing without one. */
  resize(size: WindowSize): void {
    if (this.#terminal === undefined || this.#hasEnded) return
    binding().run(encodeResize(size), [this.#terminal])
  }

  // biome-ignore lint/suspicious/noThenProperty: it is awaited for its result, as execa's and zx's processes are
  then<Fulfilled = ProcessResult<Text>, Rejected = never>(
    onFulfilled?: ((result: ProcessResult<Text>) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#result.then(onFulfilled, onRejected)
  }

  catch<Rejected = never>(
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<ProcessResult<Text> | Rejected> {
    return this.#result.catch(onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<ProcessResult<Text>> {
    return this.#result.finally(onFinally)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#launched?.destroy()
    if (!this.#launched && !this.#hasEnded) this.#failWith(new StrakeError('aborted', 'The process was disposed of before it ran.'))
    await this.#result.catch(() => undefined)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const state = this.#hasEnded ? 'ended' : this.#pid === undefined ? 'starting' : `pid ${this.#pid}`
    return `Process { ${this.argv.join(' ')} (${state}) }`
  }

  /** The first reason to end it wins. */
  #failWith(error: StrakeError): void {
    this.#failure ??= error
    this.#launched?.destroy()
  }

  #abort = (): void => {
    const { signal } = this.#options
    this.#failWith(new StrakeError('aborted', 'The process was aborted.', { cause: signal?.reason }))
  }

  #makeStdio(): Stdio & { attach(): void } {
    const native = binding()
    const { tty, stdin } = this.#options
    if (tty) return { fds: {}, onSent: () => undefined, attach: () => undefined }
    const wantsInput = stdin !== undefined || this.#input.isWanted
    // First, since it throws where it cannot be opened.
    const [inRead, inWrite] = wantsInput ? native.pipe(1) : [devNull(), -1]
    const [outRead, outWrite] = native.pipe(0)
    const [errRead, errWrite] = native.pipe(0)
    if (outRead < 0 || errRead < 0 || inRead < 0) {
      for (const fd of [outRead, outWrite, errRead, errWrite, ...(wantsInput ? [inRead, inWrite] : [])]) if (fd > 2) closeFd(fd)
      throw fewFiles('EMFILE')
    }
    let isOpen = true
    return {
      fds: { stdin: inRead, stdout: outWrite, stderr: errWrite },
      onSent: () => {
        if (!isOpen) return
        isOpen = false
        closeFd(outWrite)
        closeFd(errWrite)
        if (wantsInput) closeFd(inRead)
      },
      attach: () => {
        this.#out.attach(outRead)
        this.#err.attach(errRead)
        if (wantsInput) this.#input.attach(inWrite)
      },
    }
  }

  #attachTerminal(child: Child): void {
    const terminal = child.fds.terminal
    if (terminal === undefined) return
    // Kept to the end: when the last of its masters closes, the command is hung up on (SIGHUP). Reading and writing are watched apart.
    this.#terminal = terminal
    this.#out.attach(binding().dup(terminal))
    this.#input.attach(binding().dup(terminal), { isTerminal: true })
    this.#err.finish()
  }

  async #run(launch: Launch, onStarted: (pid: number) => void, onNotStarted: (error: unknown) => void): Promise<ProcessResult<Text>> {
    const { signal, timeout, stdin, tty, cwd } = this.#options
    const begin = performance.now()
    checkOptions(this.#options)
    const limit = parseTimeout(timeout)
    if (signal?.aborted) this.#abort()
    if (this.#failure) throw this.#failure
    const forget = onAbort(signal, this.#abort)
    let cancelTimeout = (): void => undefined
    try {
      // One turn later, so that who asked for the process can ask for its stdin.
      await undefined
      if (stdin !== undefined && stdin !== 'pipe') {
        this.#input.feed(stdin, (cause) => {
          this.#failWith(new StrakeError('input_failed', 'The source of its stdin failed, and the process was ended.', { cause }))
        })
      }
      const stdio = this.#makeStdio()
      let launched: Launched
      try {
        stdio.attach()
        launched = await launch(stdio, signal)
      } catch (error) {
        stdio.onSent()
        throw this.#failure ?? error
      }
      this.#launched = launched
      this.#isLaunching = false
      const { child } = launched
      if (this.#failure) launched.destroy()
      for (const each of this.#pendingSignals) child.kill(each)
      if (limit !== undefined) {
        cancelTimeout = after(limit, () => {
          this.#timedOut = true
          launched.destroy()
        })
      }
      let startError: unknown
      child.started.then(
        (pid) => {
          this.#pid = pid
          if (tty) this.#attachTerminal(child)
          this.#out.started()
          this.#err.started()
          onStarted(pid)
        },
        (error: unknown) => {
          startError = error
        },
      )
      const exit = await child.ended
      cancelTimeout()
      this.#hasEnded = true
      this.#input.finish()
      this.#out.finish()
      this.#err.finish()
      const settled = launched.settle(exit, startError !== undefined)
      const { oomKilled, usage } = settled instanceof Promise ? await settled : settled
      if (this.#failure) throw this.#failure
      if (exit.failure && !this.#timedOut) {
        const error = explainStart(exit.failure, this.argv, cwd, () => launched.where())
        throw launched.explain ? await launched.explain(error) : error
      }
      if (startError !== undefined) onNotStarted(startError)
      if (exit.lost) throw lost(launched.where())
      // It could not tell why: its exit code is none of the command's.
      if (startError !== undefined && exit.exitCode !== null) throw startError
      return this.#resultOf(exit, oomKilled, usage, performance.now() - begin)
    } catch (error) {
      this.#hasEnded = true
      this.#isLaunching = false
      this.#input.finish()
      this.#out.finish()
      this.#err.finish()
      throw withCode(error)
    } finally {
      if (this.#terminal !== undefined) closeFd(this.#terminal)
      this.#terminal = undefined
      cancelTimeout()
      forget()
    }
  }

  #resultOf(exit: ChildExit, oomKilled: boolean, usage: Usage, durationMs: number): ProcessResult<Text> {
    const out = this.#out.collected()
    const err = this.#err.collected()
    if (this.#options.check && (this.#timedOut || exit.exitCode !== 0)) {
      const how = this.#timedOut ? 'took too long' : exit.signal ? `was ended by ${exit.signal}` : `ended with exit code ${exit.exitCode}`
      throw new StrakeError(
        this.#timedOut ? 'timed_out' : 'process_failed',
        `${this.argv.join(' ').slice(0, 200)} ${how}.${err.length > 0 ? `\n${tail(err)}` : ''}`,
        {
          details: {
            exitCode: exit.exitCode,
            signal: exit.signal,
            stdout: tail(out),
            stderr: tail(err),
            timedOut: this.#timedOut,
            oomKilled,
          },
        },
      )
    }
    const asText = (bytes: Buffer): Text => (this.#options.encoding === 'buffer' ? bytes : bytes.toString('utf8')) as Text
    return {
      exitCode: exit.exitCode,
      signal: exit.signal,
      stdout: asText(out),
      stderr: asText(err),
      timedOut: this.#timedOut,
      oomKilled,
      durationMs,
      usage,
    }
  }
}
