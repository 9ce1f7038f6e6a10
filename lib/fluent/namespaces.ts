import { argvOf, type CommandOptions, Process, processOf } from '../containers/index.ts'
import { checkTexts, optionCheck, StrakeError } from '../errors/index.ts'
import { type NamespaceLink, type NamespaceOptions, type OpenNamespaces, openNamespaces } from '../namespaces/index.ts'
import { searchPaths } from '../process/index.ts'
import { flags, type Op, type SystemCalls } from '../sys/index.ts'

const { CLONE, CLOSE_RANGE } = flags

/** How a command in namespaces runs. Its environment is this process's unless `env` says otherwise. */
export type NamespaceCommandOptions = Pick<
  CommandOptions,
  'env' | 'cwd' | 'stdin' | 'timeout' | 'signal' | 'check' | 'encoding' | 'maxOutput'
>

const checkCommandOptions = optionCheck<NamespaceCommandOptions>('exec in namespaces', {
  env: true,
  cwd: true,
  stdin: true,
  timeout: true,
  signal: true,
  check: true,
  encoding: true,
  maxOutput: true,
})

/**
 * Namespaces, held by an agent process that lives in them: they are gone with it. Its root directory is the host's until you
 * change it.
 *
 * @example
 * await using n = await ns({ user: true, mount: true, uts: true, pid: true })
 * await n.sys.setHostname('box')
 * await n.sys.mount({ source: 'tmpfs', target: '/mnt', type: 'tmpfs' })
 * await n.exec(['hostname'])
 */
export class Namespaces implements AsyncDisposable {
  readonly #open: OpenNamespaces
  /** The system calls of the agent, typed. Slots that an `out` filled stay until the end. */
  readonly sys: SystemCalls

  constructor(open: OpenNamespaces) {
    this.#open = open
    this.sys = open.calls
  }

  /** The agent's pid, as this process sees it. */
  get pid(): number {
    return this.#open.agent.pid
  }

  /** What the agent is in, as /proc/PID/ns has it. Throws `zygote_lost` once it has ended. */
  get links(): readonly NamespaceLink[] {
    return this.#open.links()
  }

  /** Runs a command of the host in the namespaces. */
  exec(command: string | readonly string[], options: NamespaceCommandOptions & { readonly encoding: 'buffer' }): Process<Buffer>
  exec(command: string | readonly string[], options?: NamespaceCommandOptions): Process
  exec(command: string | readonly string[], options: NamespaceCommandOptions = {}): Process<string | Buffer> {
    return processOf(() => this.#exec(command, options))
  }

  #exec(command: string | readonly string[], options: NamespaceCommandOptions): Process<string | Buffer> {
    checkCommandOptions(options)
    if (options.env !== undefined) checkTexts('env', options.env)
    const argv = argvOf(command)
    if (argv.length === 0 || argv[0] === '') throw new StrakeError('invalid_argument', 'The command is empty.')
    const env = Object.entries({ ...process.env, ...options.env }).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    )
    const ops: Op[] = [
      {
        op: 'fork',
        flags: CLONE.CLONE_VM | CLONE.CLONE_VFORK | CLONE.CLONE_PARENT,
        main: 1,
        ops: [
          { op: 'setSid' },
          { op: 'dup2', fd: 'stdin', to: 0 },
          { op: 'dup2', fd: 'stdout', to: 1 },
          { op: 'dup2', fd: 'stderr', to: 2 },
          { op: 'closeRange', first: 3, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC },
          ...(options.cwd === undefined ? [] : ([{ op: 'chdir', path: options.cwd }] satisfies Op[])),
          { op: 'exec', paths: searchPaths(argv[0] ?? '', env), argv, env },
        ],
      },
      { op: 'started' },
    ]
    return new Process<string | Buffer>(argv, options, (stdio) => {
      const child = this.#open.agent.start({ clone: 0, ops }, stdio.fds, { onSent: stdio.onSent })
      return {
        child,
        destroy: () => child.kill(9),
        where: () => ({ cwd: options.cwd ?? '/', place: 'namespaces' }),
        settle: (exit) => ({
          oomKilled: false,
          usage: { userMs: exit.usage.userMicros / 1000, systemMs: exit.usage.systemMicros / 1000, peakMemory: exit.usage.peakMemory },
        }),
      }
    })
  }

  /** Ends the agent, and with it all that it held. */
  close(): Promise<void> {
    return this.#open.agent.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const open = this.#open.agent.isOpen
    return `Namespaces { pid ${this.pid}${open ? `\n  ${this.links.map(({ id }) => id).join('\n  ')}` : ', closed'} }`
  }
}

/**
 * Makes namespaces and a process that holds them. An ordinary user needs `user: true`. Rejects with `kernel_refused`,
 * `unsupported_platform`, `invalid_argument`. See namespaces(7).
 */
export async function ns(options: NamespaceOptions): Promise<Namespaces> {
  return new Namespaces(await openNamespaces(options))
}
