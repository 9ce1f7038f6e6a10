import type { CgroupStats } from '../cgroups/index.ts'
import { StrakeError } from '../errors/index.ts'
import type { ImageData } from '../images/index.ts'
import type { FileChange } from '../layers/index.ts'
import { after, type ContainerSpec, parseDuration, planOf } from '../process/index.ts'
import type { Plan } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type SignalName, signalNumber } from '../zygote/index.ts'
import { changesIn } from './changes.ts'
import { checkCommandOptions, checkLogOptions, checkStartOptions, checkStopOptions, checkUpdateOptions } from './check.ts'
import { all, findContainer } from './containers.ts'
import type { ContainerDirectory } from './directory.ts'
import { launchExec } from './exec.ts'
import { ContainerFiles } from './files.ts'
import { Freezer } from './freezer.ts'
import type { ContainerExit, ContainerInfo, ContainerState } from './info.ts'
import { type Access, insideAgent, stoppedAgent } from './inside.ts'
import { launchContainer, launchedOf, layerPaths, type RunningContainer } from './launch.ts'
import type { MadeLayer } from './layer.ts'
import { Log, type LogLine, type LogOptions } from './log.ts'
import type { CommandOptions, StartOptions } from './options.ts'
import { killContainer } from './pause.ts'
import { type Launched, Process, type Stdio } from './process.ts'
import { processOf } from './refused.ts'
import { currentRuntime, type Runtime } from './runtime.ts'
import { argvOf, checkName, commandOf, limitsOf, stopSignalOf } from './settings.ts'

/** A signal that asks a container to stop; then SIGKILL. */
const standardGrace = 10_000

/** What a handle is made of; opaque to users. */
export interface ContainerParts {
  readonly runtime: Runtime
  readonly running: RunningContainer
  readonly main: Process
  readonly log: Log
  readonly image: ImageData
  readonly name: string
  readonly pid: number
}

/**
 * A container whose command was started with `start()`. Whoever has it owns it: `await using`, or `remove()`. It never
 * outlives this process.
 */
export class Container implements AsyncDisposable {
  readonly id: string
  readonly name: string
  /** The command's pid, as this process sees it. */
  readonly pid: number
  /** Values of the image that it was started from. */
  readonly image: ImageData
  readonly startedAt = new Date()
  /** Files of the container, resolved inside its root. */
  readonly fs: ContainerFiles
  readonly #runtime: Runtime
  readonly #running: RunningContainer
  readonly #main: Process
  readonly #log: Log
  readonly #exit: Promise<ContainerExit>
  #ended: ContainerExit | undefined
  #state: Exclude<ContainerState, 'paused'> = 'running'
  readonly #freezer: Freezer
  #removal: Promise<void> | undefined
  readonly #given: ImageData['layers'][number][] = []
  #history: ImageData['history']
  #execs = new Set<Process<string | Buffer>>()

  constructor({ runtime, running, main, log, image, name, pid }: ContainerParts) {
    this.#runtime = runtime
    this.#running = running
    this.#main = main
    this.#log = log
    this.image = image
    this.#history = image.history
    this.id = running.directory.id
    this.name = name
    this.pid = pid
    this.#freezer = new Freezer(running, pid)
    this.fs = new ContainerFiles(
      (access) => this.#files(access),
      (cause) => this.#gone(cause),
    )
    this.#exit = main.then(
      ({ exitCode, signal, timedOut, oomKilled, durationMs, usage }) => ({ exitCode, signal, timedOut, oomKilled, durationMs, usage }),
      () => ({
        exitCode: null,
        signal: 'SIGKILL' as const,
        timedOut: false,
        oomKilled: false,
        durationMs: Date.now() - this.startedAt.getTime(),
        usage: { userMs: 0, systemMs: 0, peakMemory: 0 },
      }),
    )
    void this.#exit.then((exit) => {
      this.#ended = exit
      this.#freezer.end()
      if (this.#state !== 'removed') this.#state = 'stopped'
      log.end()
    })
    all.set(this.id, this)
  }

  /**
   * Starts a container of an image. Resolves once its command runs. Rejects with `command_not_found`, `user_not_found`,
   * `name_in_use`, `aborted`, `invalid_argument`, `kernel_refused`.
   */
  static async launch<Made extends Container>(
    make: new (parts: ContainerParts) => Made,
    image: ImageData,
    options: StartOptions = {},
  ): Promise<Made> {
    checkStartOptions(options)
    const argv = commandOf(image.config, options)
    const name = options.name === undefined ? undefined : checkName(options.name)
    if (name !== undefined && findContainer(name))
      throw new StrakeError('name_in_use', `A container named '${name}' is there already.`, {
        hint: 'Remove it first, or choose another name.',
      })
    const runtime = await currentRuntime()
    const directory = runtime.newDirectory()
    const log = new Log()
    let running: RunningContainer | undefined
    const launch = async (stdio: Stdio, signal: AbortSignal | undefined): Promise<Launched> => {
      const made = await launchContainer(runtime, { image, argv, options, directory }, stdio, signal)
      running = made
      return launchedOf(made, () => killContainer(made))
    }
    const main = new Process(argv, { ...options, check: false, encoding: 'utf8' }, launch)
    main.tap((stream, chunk) => log.write(stream, chunk))
    try {
      const pid = await main.started
      if (!running) throw new StrakeError('process_failed', 'The container did not start.')
      const container = new make({ runtime, running, main, log, image, name: name ?? directory.id.slice(0, 12), pid })
      if (name !== undefined && findContainer(name) !== container) {
        await container.remove()
        throw new StrakeError('name_in_use', `A container named '${name}' is there already.`)
      }
      return container
    } catch (error) {
      await main.catch(() => undefined)
      await runtime.remove(directory)
      throw error
    }
  }

  get state(): ContainerState {
    return this.#state === 'running' && this.#freezer.isPaused ? 'paused' : this.#state
  }

  /** The command's standard input, when the container was started with `stdin: 'pipe'` or a terminal. */
  get stdin(): Process['stdin'] {
    return this.#main.stdin
  }

  /** What the command writes from now on; it is then no longer in `logs()`. */
  get stdout(): Process['stdout'] {
    return this.#main.stdout
  }

  get stderr(): Process['stderr'] {
    return this.#main.stderr
  }

  /** Changes the size of the terminal. */
  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#main.resize(size)
  }

  /** Runs another command in the container. Rejects with `container_not_running` when it is paused, too. */
  exec(command: string | readonly string[], options: CommandOptions & { readonly encoding: 'buffer' }): Process<Buffer>
  exec(command: string | readonly string[], options?: CommandOptions): Process
  exec(command: string | readonly string[], options: CommandOptions = {}): Process<string | Buffer> {
    const process = processOf(() => {
      checkCommandOptions(options)
      const argv = argvOf(command, this.image.config.Shell)
      return new Process<string | Buffer>(argv, options, (stdio) => this.#launchExec(argv, options, stdio))
    })
    this.#execs.add(process)
    process.finally(() => this.#execs.delete(process)).catch(() => undefined)
    return process
  }

  async #launchExec(argv: readonly string[], options: CommandOptions, stdio: Stdio): Promise<Launched> {
    this.#assertRunning()
    await this.#freezer.untilFree()
    if (this.#freezer.isPaused)
      throw new StrakeError('container_not_running', `The container ${this.name} is paused.`, { hint: 'Let it go on first: c.unpause().' })
    return launchExec(this.#running, this.image.config, argv, options, stdio, () => this.#inside())
  }

  /** Sends a signal to the command. SIGKILL ends the container. Throws `invalid_argument`. */
  async kill(signal: SignalName | number = 'SIGKILL'): Promise<void> {
    const number = signalNumber(signal)
    this.#assertRunning()
    if (number === 9) killContainer(this.#running)
    else this.#running.child.kill(number)
  }

  /**
   * Asks the command to end (the image's stop signal, else SIGTERM), and after `grace` milliseconds (default 10 s) kills it.
   * Resolves once it has ended; its files stay until `remove()`.
   */
  async stop(
    options: { readonly grace?: number | string | undefined; readonly signal?: SignalName | undefined } = {},
  ): Promise<ContainerExit> {
    checkStopOptions(options)
    const grace = options.grace === undefined ? standardGrace : parseDuration(options.grace, 'grace')
    const signal = options.signal === undefined ? stopSignalOf(this.image) : signalNumber(options.signal)
    if (this.#ended) return this.#ended
    if (this.#freezer.isPaused) await this.unpause()
    if (grace > 0) {
      this.#running.child.kill(signal)
      // One that has stopped itself (SIGSTOP) would not see it.
      this.#running.child.kill(signalNumber('SIGCONT'))
    } else {
      killContainer(this.#running)
    }
    const cancel = after(grace, () => killContainer(this.#running))
    try {
      return await this.#exit
    } finally {
      cancel()
    }
  }

  /** Resolves when the command has ended. */
  wait(): Promise<ContainerExit> {
    return this.#exit
  }

  /**
   * The lines that the command wrote so far; with `follow` also those to come. About 16 MB are kept: of a command that wrote more, the first lines
   * are gone. A line of more than 65,536 characters comes in pieces of that length.
   */
  logs(options: LogOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    checkLogOptions(options)
    return this.#log.read(options)
  }

  async inspect(): Promise<ContainerInfo> {
    const { spec } = this.#running
    return {
      id: this.id,
      name: this.name,
      state: this.state,
      pid: this.pid,
      image: { digest: this.image.digest, tags: this.image.tags },
      command: spec.command.argv,
      env: spec.command.env,
      cwd: spec.command.cwd,
      user: { uid: spec.command.user.uid, gid: spec.command.user.gid },
      hostname: spec.hostname,
      network: spec.network,
      startedAt: this.startedAt,
      exit: this.#ended,
    }
  }

  /** What the container uses now. Rejects with `not_delegated` when it has no cgroup (it was started without limits). */
  async stats(): Promise<CgroupStats> {
    return this.#cgroup().stats()
  }

  /** Changes limits. Rejects with `not_delegated` when the container has no cgroup. */
  async update(options: Pick<StartOptions, 'memory' | 'cpus' | 'pids'>): Promise<void> {
    checkUpdateOptions(options)
    const limits = limitsOf(options)
    if (limits) this.#cgroup().update(limits)
  }

  /**
   * Stops every process of the container where it is. Rejects with `container_not_running`, and with `timed_out` when one does not stop
   * within 5 s.
   */
  async pause(): Promise<void> {
    this.#assertRunning()
    await this.#freezer.pause()
  }

  /** Lets a paused container go on. */
  async unpause(): Promise<void> {
    if (!this.#ended) await this.#freezer.unpause()
  }

  /** @internal Runs `work` while nothing in the container runs. */
  async whileFrozen<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#ended ? work() : this.#freezer.during(work)
  }

  /** @internal Where its upper is and what lies under it, for whoever makes a layer of it. */
  get parts(): { readonly runtime: Runtime; readonly directory: ContainerDirectory; readonly spec: ContainerSpec } {
    return { runtime: this.#runtime, directory: this.#running.directory, spec: this.#running.spec }
  }

  /**
   * What it has written over its image, by path: as `docker diff`. A running container is frozen meanwhile. Rejects with
   * `container_not_found` when it was removed.
   */
  async diff(): Promise<readonly FileChange[]> {
    if (this.#state === 'removed') throw new StrakeError('container_not_found', `The container ${this.name} is removed.`)
    const lowers = layerPaths(this.layersBelow.map(({ chainId }) => chainId))
    try {
      return await this.whileFrozen(() => changesIn(this.#runtime, this.#running.directory, lowers))
    } catch (cause) {
      throw this.#gone(cause) ?? cause
    }
  }

  /** The program that it was made by. */
  plan(): Plan {
    return planOf(this.#running.spec)
  }

  /** @internal What is under its upper: the layers of its image, then those that snapshots made of it when it had stopped. */
  get layersBelow(): ImageData['layers'] {
    return [...this.image.layers, ...this.#given]
  }

  /** @internal The steps that made them. */
  get historyBelow(): ImageData['history'] {
    return this.#history
  }

  /** @internal Of a stopped container: its upper becomes the snapshot of a layer that was made of it, and an empty one lies over that. */
  async giveUpper(layer: MadeLayer, history: ImageData['history']): Promise<void> {
    if (!this.#ended) return
    await this.#runtime.adopt({ chainId: layer.chainId, digest: layer.descriptor.digest }, this.#running.directory)
    const { agent } = await this.#runtime.zygote()
    const { spec } = this.#running
    await agent.run([{ op: 'mkdir', path: `${spec.directory}/upper`, mode: 0o755, tolerate: ['EEXIST'] }])
    this.#given.push({ ...layer.descriptor, diffId: layer.diffId, chainId: layer.chainId })
    this.#history = history
  }

  /** Kills what runs and removes the container's files. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove()
    return this.#removal
  }

  async #remove(): Promise<void> {
    if (!this.#ended) killContainer(this.#running)
    await this.#exit
    await Promise.allSettled([...this.#execs])
    this.#state = 'removed'
    all.delete(this.id)
    await this.#runtime.remove(this.#running.directory)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Container { ${this.name} ${this.state}, pid ${this.pid}: ${this.#running.spec.command.argv.join(' ').slice(0, 80)} }`
  }

  async #files(access: Access): Promise<Agent> {
    if (!this.#ended) return this.#inside()
    if (this.#state === 'removed') throw new StrakeError('container_not_found', `The container ${this.name} is removed.`)
    const layers = layerPaths(this.layersBelow.map(({ chainId }) => chainId))
    return stoppedAgent(await this.#runtime.zygote(), { directory: this.#running.spec.directory, layers }, access)
  }

  /** What a call fails with that met the container's removal. */
  #gone(cause: unknown): StrakeError | undefined {
    if (this.#removal === undefined || (cause instanceof StrakeError && cause.code !== 'kernel_refused')) return undefined
    return new StrakeError('container_not_found', `The container ${this.name} was removed meanwhile.`, { cause })
  }

  async #inside(): Promise<Agent> {
    this.#assertRunning()
    try {
      return await insideAgent(this.#running)
    } catch (cause) {
      const hasEnded = cause instanceof StrakeError && cause.details?.op === 'join' && cause.details.errno === 'ESRCH'
      throw this.#gone(cause) ?? (hasEnded ? this.#notRunning(cause) : cause)
    }
  }

  #cgroup(): NonNullable<RunningContainer['cgroup']> {
    this.#assertRunning()
    const { cgroup } = this.#running
    if (cgroup) return cgroup
    throw new StrakeError('not_delegated', 'The container has no cgroup.', {
      hint: 'Start it with a limit (memory, cpus, pids); `await doctor()` tells whether this user may make cgroups.',
    })
  }

  #assertRunning(): void {
    if (this.#ended || this.#state === 'removed') throw this.#notRunning()
  }

  #notRunning(cause?: unknown): StrakeError {
    return new StrakeError('container_not_running', `The container ${this.name} is not running.`, { cause })
  }
}
