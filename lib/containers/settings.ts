import { posix } from 'node:path'
import { type Cgroup, type Cgroups, checkLimits, type Limits, rlimitsFor } from '../cgroups/index.ts'
import { StrakeError } from '../errors/index.ts'
import { type ContainerUser, type IdRange, ownerOf, type PrivateUsers, sameIds } from '../ids/index.ts'
import type { ExecutionConfig, ImageData } from '../images/index.ts'
import {
  type CommandSpec,
  type ContainerSpec,
  type IdKind,
  maskedPaths,
  parseBytes,
  parseLimit,
  parseRlimits,
  type Rlimit,
  readonlyPaths,
  resolveCapabilities,
  throttlePaths,
  type WindowSize,
} from '../process/index.ts'
import { flags } from '../sys/index.ts'
import { type SignalName, signalNumber } from '../zygote/index.ts'
import { engineFiles } from './engine-files.ts'
import type { CommandOptions, ContainerOptions, StartOptions } from './options.ts'

const { RLIMIT } = flags
const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const standardShm = 64 * 1024 * 1024
const leastShm = 4096
const standardSize: WindowSize = { rows: 24, columns: 80 }

function invalid(message: string, hint?: string): StrakeError {
  return new StrakeError('invalid_argument', message, { hint })
}

function checkWord(word: unknown, what: string): string {
  if (typeof word !== 'string') throw invalid(`${what} must be a string, not ${word === null ? 'null' : typeof word}.`)
  if (word.includes('\0')) throw invalid(`${what} holds a NUL character.`)
  return word
}

/** A command as it is run: a string goes to the image's shell. */
export function argvOf(command: string | readonly string[], shell: readonly string[] = ['/bin/sh', '-c']): readonly string[] {
  if (typeof command === 'string') return [...shell, checkWord(command, 'The command')]
  if (!Array.isArray(command)) throw invalid('A command is a string or an array of strings.')
  return command.map((word, index) => checkWord(word, `Word ${index} of the command`))
}

/** What a container runs: entrypoint and command, as Docker joins them. Throws `invalid_argument` when that is nothing. */
export function commandOf(config: ExecutionConfig, options: StartOptions): readonly string[] {
  const shell = config.Shell
  const entrypoint = options.entrypoint === undefined ? (config.Entrypoint ?? []) : argvOf(options.entrypoint, shell)
  // A new entrypoint takes the image's command away, as with `docker run --entrypoint`.
  const rest = options.cmd === undefined ? (options.entrypoint === undefined ? (config.Cmd ?? []) : []) : argvOf(options.cmd, shell)
  const argv = [...entrypoint, ...rest]
  if (argv.length > 0) return argv
  throw invalid('The image has no command, and none was given.', "Give one: start({ cmd: ['sleep', 'infinity'] }).")
}

/** The image's variables, then the options'; PATH, HOME, HOSTNAME and TERM have defaults. */
export function environmentOf(
  config: ExecutionConfig,
  options: CommandOptions,
  facts: { readonly home: string; readonly hostname: string; readonly hasTerminal: boolean },
): string[] {
  const variables = new Map<string, string>([
    ['PATH', standardPath],
    ['HOSTNAME', facts.hostname],
  ])
  if (facts.hasTerminal) variables.set('TERM', 'xterm')
  for (const each of config.Env ?? []) {
    const at = each.indexOf('=')
    if (at > 0) variables.set(each.slice(0, at), each.slice(at + 1))
  }
  if (options.env instanceof Map) throw invalid('env is an object of names and values, not a Map.', 'Object.fromEntries(map) makes one.')
  for (const [name, value] of Object.entries(options.env ?? {})) {
    if (name === '' || name.includes('=')) throw invalid(`${shown(name)} is no name of an environment variable.`)
    checkWord(name, 'The name of an environment variable')
    if (value === undefined) variables.delete(name)
    else variables.set(name, checkWord(value, `The environment variable ${name}`))
  }
  if (!variables.has('HOME') && !Object.hasOwn(options.env ?? {}, 'HOME')) variables.set('HOME', facts.home)
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function directoryOf(config: ExecutionConfig, options: CommandOptions): string {
  const base = config.WorkingDir || '/'
  const path = posix.resolve('/', base, checkWord(options.cwd ?? '', 'cwd'))
  if (path.length > 4000) throw invalid('cwd is too long.')
  return path
}

function sizeOf(tty: CommandOptions['tty']): WindowSize | undefined {
  if (!tty) return undefined
  const size = { ...standardSize, ...(typeof tty === 'object' ? tty : {}) }
  for (const [name, value] of Object.entries(size)) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535) throw invalid(`tty.${name} must be a whole number from 1 to 65535.`)
  }
  return size
}

/** What was given, short enough for a message and without what would move a terminal's cursor. */
function shown(word: unknown): string {
  const text = String(word).slice(0, 40)
  const escaped = /\p{Cc}/u.test(text)
    ? JSON.stringify(text)
        .slice(1, -1)
        .replaceAll(/\p{Cc}/gu, '?')
    : text
  return `'${escaped}'`
}

/** A name for a host, or a container: what hostname(7) allows. */
export function checkHostname(name: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(name) && name.length <= 64) return name
  throw invalid(`${shown(name)} is no host name.`, 'At most 64 letters, digits and hyphens, in parts with dots between them.')
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

export function checkName(name: string): string {
  if (typeof name === 'string' && namePattern.test(name)) return name
  throw invalid(`${shown(name)} is no name for a container.`, 'Letters, digits, _ . and -, at most 128, a letter or digit first.')
}

export interface CommandFacts {
  readonly config: ExecutionConfig
  readonly user: ContainerUser
  readonly hostname: string
  readonly rlimits?: readonly Rlimit[]
  /** See CommandSpec. */
  readonly processes?: number | undefined
}

/** What is asked for one process cannot be more than what its container has. */
function atMost(processes: number | undefined, limits: readonly Rlimit[]): readonly Rlimit[] {
  if (processes === undefined) return limits
  return limits.map((limit) =>
    limit.resource === RLIMIT.RLIMIT_NPROC
      ? { ...limit, soft: Math.min(limit.soft, processes), hard: Math.min(limit.hard, processes) }
      : limit,
  )
}

export function commandSpec(
  argv: readonly string[],
  options: CommandOptions & Pick<ContainerOptions, 'capabilities' | 'seccomp' | 'noNewPrivileges'>,
  facts: CommandFacts,
): CommandSpec {
  if (argv.length === 0 || argv[0] === '') throw invalid('The command is empty.')
  const tty = sizeOf(options.tty)
  const own = atMost(facts.processes, parseRlimits(options.rlimits))
  const inherited = (facts.rlimits ?? []).filter((each) => !own.some(({ resource }) => resource === each.resource))
  return {
    argv,
    env: environmentOf(facts.config, options, { home: facts.user.home, hostname: facts.hostname, hasTerminal: tty !== undefined }),
    cwd: directoryOf(facts.config, options),
    user: facts.user,
    tty,
    capabilities: resolveCapabilities(options.capabilities),
    rlimits: [...own, ...inherited],
    processes: facts.processes,
    noNewPrivileges: options.noNewPrivileges ?? true,
    seccomp: options.seccomp,
    umask: options.umask ?? 0o022,
  }
}

/** Docker's: less is not enough to start anything in, whatever it is. */
const leastMemory = 6 * 1024 * 1024
/** PID 1 of the container, which counts, and the command. */
const leastProcesses = 2

/** The limits that options ask for; undefined when there are none. Throws `invalid_argument`. */
export function limitsOf(options: Pick<ContainerOptions, 'memory' | 'cpus' | 'pids'>): Limits | undefined {
  const { memory, cpus, pids } = options
  if (memory === undefined && cpus === undefined && pids === undefined) return undefined
  const limits: Limits = {
    ...(memory === undefined ? {} : { memory: parseLimit(memory, 'memory') }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
  }
  if (limits.memory !== undefined && limits.memory < leastMemory)
    throw invalid(`memory: ${String(memory)} is too little to start in.`, "At least '6m', 6 MB; a program of any size needs more.")
  if (limits.pids !== undefined && limits.pids < leastProcesses)
    throw invalid(`pids must be at least ${leastProcesses}.`, 'PID 1 of the container counts, and its command is the second.')
  checkLimits(limits)
  return limits
}

export interface Limited {
  readonly cgroup: Cgroup | undefined
  readonly rlimits: readonly Rlimit[]
  /** `pids` where no cgroup counts them. */
  readonly processes?: number | undefined
}

/** Makes a cgroup where this machine lets us, and falls back on rlimits for what it does not. */
export function limit(cgroups: Cgroups, id: string, limits: Limits | undefined): Limited {
  if (!limits) return { cgroup: undefined, rlimits: [] }
  const cgroup = cgroups.kind === 'none' ? undefined : cgroups.create(id, limits)
  const { ops } = rlimitsFor(limits, cgroup?.enforced)
  const rlimits = ops.flatMap((op) => (op.op === 'prlimit' ? [{ resource: op.resource, soft: op.soft, hard: op.hard }] : []))
  const isProcesses = ({ resource }: Rlimit): boolean => resource === RLIMIT.RLIMIT_NPROC
  return { cgroup, rlimits: rlimits.filter((each) => !isProcesses(each)), processes: rlimits.find(isProcesses)?.soft }
}

let ownersGiven = 0

/**
 * The user namespace of a container that has one of its own: because it asks for one, or because `pids` are counted by nothing else (of which
 * 'shared' is the refusal). Throws `invalid_argument`.
 */
export function usersOf(
  option: ContainerOptions['userns'],
  ids: Pick<IdRange, 'uidMap' | 'gidMap'>,
  processes: number | undefined,
): PrivateUsers | undefined {
  if (option !== undefined && option !== 'private' && option !== 'shared') {
    throw invalid(`userns must be 'private' or 'shared', not ${JSON.stringify(option)}.`)
  }
  if (option === 'shared' || (option === undefined && processes === undefined)) return undefined
  if (processes === undefined) return { ...sameIds(ids), owner: 0 }
  ownersGiven += 1
  const owner = ownerOf(ids, ownersGiven)
  // With one id it has one user only: RLIMIT_NPROC inside counts them all, where a bound on the namespace would count other containers' too.
  return { ...sameIds(ids), owner, ...(owner === 0 ? {} : { processes }) }
}

/** The resource limits of a command. In a namespace that containers share a bound on processes is its user's own and no more. */
export function limitsIn(
  users: PrivateUsers | undefined,
  { rlimits, processes }: Pick<Limited, 'rlimits' | 'processes'>,
): Pick<CommandFacts, 'rlimits' | 'processes'> {
  if (users || processes === undefined) return { rlimits, processes }
  return { rlimits: [...rlimits, { resource: RLIMIT.RLIMIT_NPROC, soft: processes, hard: processes }] }
}

const allMasked = (): readonly string[] => [...maskedPaths, ...throttlePaths()]
let masked: readonly string[] | undefined

export interface ContainerFacts {
  readonly zygotePath: string
  readonly layers: readonly string[]
  readonly hostname: string
  readonly volatile: boolean
  readonly ids: IdKind
  readonly users?: PrivateUsers | undefined
  readonly cgroups: number
  readonly command: CommandSpec
  readonly work?: string | undefined
  readonly config: ExecutionConfig
  readonly mounts?: ContainerSpec['mounts']
}

/** To tmpfs 0 is no bound at all. */
function sharedMemory(size: number | string): number {
  const bytes = parseBytes(size, 'shmSize')
  if (bytes < leastShm) throw invalid(`shmSize must be ${leastShm} bytes or more, not ${bytes}.`)
  return bytes
}

/** Where the image declares volumes there are directories, though nothing is mounted on them. */
function volumeDirectories(config: ExecutionConfig): readonly string[] {
  return Object.keys(config.Volumes ?? {})
    .map((path) => posix.resolve('/', path))
    .filter((path) => path !== '/')
}

export function containerSpec(options: ContainerOptions, facts: ContainerFacts): ContainerSpec {
  const network = options.network ?? 'none'
  if (network !== 'none' && network !== 'host') throw invalid(`network must be 'none' or 'host', not ${JSON.stringify(network)}.`)
  const arch = process.arch
  if (arch !== 'x64' && arch !== 'arm64') throw new StrakeError('unsupported_platform', `Containers run on x64 and arm64, not on ${arch}.`)
  masked ??= allMasked()
  return {
    hostname: facts.hostname,
    directory: facts.zygotePath,
    work: facts.work,
    layers: facts.layers,
    volatile: facts.volatile,
    readonlyRoot: options.readonly ?? false,
    network,
    files: engineFiles(network, facts.hostname),
    ...(facts.mounts ? { mounts: facts.mounts } : {}),
    directories: volumeDirectories(facts.config),
    shmSize: options.shmSize === undefined ? standardShm : sharedMemory(options.shmSize),
    maskedPaths: masked,
    readonlyPaths,
    cgroups: facts.cgroups,
    time: options.time ?? false,
    ids: facts.ids,
    users: facts.users,
    arch,
    command: facts.command,
  }
}

/** What a plan is made of when nothing runs: the standard choices. */
export const standardPrepared = { network: 'none', shmSize: standardShm } as const

/** The signal that asks the containers of an image to end, as Docker reads it: a number or a name, in any letter case, with SIG or without. What is none is SIGTERM. */
export function stopSignalOf(image: Pick<ImageData, 'config'>): number {
  const text = String(image.config.StopSignal ?? '').toUpperCase()
  const signal = /^\d+$/.test(text) ? Number(text) : ((text.startsWith('SIG') ? text : `SIG${text}`) as SignalName)
  try {
    return signalNumber(signal)
  } catch {
    return signalNumber('SIGTERM')
  }
}
