import { Readable } from 'node:stream'
import { checkTexts, invalidOption, isRecord, type OptionNames, optionCheck } from '../errors/index.ts'
import type { CapabilityOptions, WindowSize } from '../process/index.ts'
import type { Container } from './container.ts'
import type { LogOptions } from './log.ts'
import type { CollectOption, CommandOptions, ContainerOptions, StartOptions } from './options.ts'

type OptionsOf<Method extends 'stop' | 'update'> = NonNullable<Parameters<Container[Method]>[0]>

const runNames: OptionNames<Omit<CommandOptions, CollectOption>> = {
  env: true,
  cwd: true,
  user: true,
  stdin: true,
  tty: true,
  timeout: true,
  signal: true,
  rlimits: true,
  umask: true,
}
const collectNames: OptionNames<Pick<CommandOptions, CollectOption>> = { check: true, encoding: true, maxOutput: true }
const commandNames: OptionNames<CommandOptions> = { ...runNames, ...collectNames }
const ownNames: OptionNames<Omit<ContainerOptions, keyof CommandOptions>> = {
  hostname: true,
  network: true,
  memory: true,
  cpus: true,
  pids: true,
  userns: true,
  capabilities: true,
  seccomp: true,
  noNewPrivileges: true,
  readonly: true,
  shmSize: true,
  time: true,
}
const containerNames: OptionNames<ContainerOptions> = { ...commandNames, ...ownNames }
const startNames: OptionNames<StartOptions> = { ...runNames, ...ownNames, name: true, cmd: true, entrypoint: true }

/** Options by their names, of a command in a container, a throw-away container, `start`, and so on. Each throws `invalid_argument`. */
export const checkCommandOptions = optionCheck<CommandOptions>('exec in a container', commandNames)
export const checkContainerOptions = optionCheck<ContainerOptions>('exec', containerNames)
const checkStartNames = optionCheck<StartOptions>('start', startNames)
export const checkPlanOptions = optionCheck<StartOptions & { readonly argv?: unknown }>('plan', { ...startNames, argv: true })
export const checkStopOptions = optionCheck<OptionsOf<'stop'>>('stop', { grace: true, signal: true })
export const checkUpdateOptions = optionCheck<OptionsOf<'update'>>('update', { memory: true, cpus: true, pids: true })
const checkLogNames = optionCheck<LogOptions>('logs', { follow: true, tail: true, stream: true, signal: true })
const checkWindowNames = optionCheck<WindowSize>('tty', { rows: true, columns: true })
const checkCapabilityNames = optionCheck<CapabilityOptions>('capabilities', { add: true, drop: true })

const isFlag = (value: unknown): boolean => typeof value === 'boolean'
const isList = (value: unknown): boolean => value === undefined || Array.isArray(value)
const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0

type Check = readonly [what: string, isRight: (value: unknown) => boolean, hint?: string]

/** What each option may be where its value is not parsed (a size, a duration) and so checked anyway. */
const checks: { readonly [name in keyof ContainerOptions]?: Check } = {
  cwd: ['an absolute path', (value) => typeof value === 'string' && value.startsWith('/')],
  network: ["'none' or 'host'", (value) => value === 'none' || value === 'host'],
  env: ['an object of strings', isRecord],
  // Who gives nothing for a user does not mean root.
  user: [
    "a name or a number: 'name', 'uid', 'name:group' or 'uid:gid'",
    (value) => isCount(value) || (typeof value === 'string' && /^[^:]+(:[^:]+)?$/.test(value)),
  ],
  stdin: [
    "'pipe', a string, bytes or a stream",
    (value) =>
      (typeof value === 'string' && value !== 'inherit' && value !== 'ignore') || value instanceof Uint8Array || value instanceof Readable,
    "A string is what the command reads. Give process.stdin to hand on your own, nothing for an empty one, and Buffer.from('inherit') for the word.",
  ],
  tty: ['a boolean or a size', (value) => isFlag(value) || isRecord(value)],
  signal: ['an AbortSignal', (value) => value instanceof AbortSignal],
  check: ['a boolean', isFlag],
  encoding: ["'utf8' or 'buffer'", (value) => value === 'utf8' || value === 'buffer'],
  rlimits: ['an object of limits', isRecord],
  umask: ['a number from 0 to 0o777', (value) => isCount(value) && Number(value) <= 0o777],
  hostname: ['a string', (value) => typeof value === 'string'],
  capabilities: [
    '{ add, drop }: lists of names',
    (value) => isRecord(value) && isList(value.add) && isList(value.drop),
    "To have none: { drop: ['ALL'] }. To have one more: { add: ['NET_ADMIN'] }.",
  ],
  seccomp: [
    "a profile or 'unconfined'",
    (value) => value === 'unconfined' || isRecord(value),
    "Left out, it is Docker's profile; 'unconfined' is none at all.",
  ],
  noNewPrivileges: ['a boolean', isFlag],
  readonly: ['a boolean', isFlag],
  time: ['a boolean', isFlag],
}
const checked = Object.entries(checks)

/** As the others; what only commands that are waited for have is told where it is to be found of a container. */
export function checkStartOptions(options: StartOptions): void {
  if (isRecord(options))
    for (const name of Object.keys(options))
      if (Object.hasOwn(collectNames, name))
        throw invalidOption(
          `start has no option "${name}": nobody waits for a container's command unless told to.`,
          'Its exit code is in `await container.wait()`, its output in `container.logs()` or `container.stdout`; `exec` has the option.',
        )
  checkStartNames(options)
}

/** Refuses values of a wrong type, which callers without types could give. Throws `invalid_argument`. */
export function checkOptions(options: ContainerOptions): void {
  if (!isRecord(options)) throw invalidOption('The options must be an object.')
  for (const [name, [what, isRight, hint]] of checked) {
    const value = options[name as keyof ContainerOptions]
    if (value !== undefined && !isRight(value)) throw invalidOption(`${name} must be ${what}.`, hint)
  }
  if (isRecord(options.tty)) checkWindowNames(options.tty)
  if (options.capabilities !== undefined) checkCapabilityNames(options.capabilities)
  if (options.env !== undefined) checkTexts('env', options.env)
}

/** Refuses what are no options of `logs`. Throws `invalid_argument`. */
export function checkLogOptions(options: LogOptions): void {
  checkLogNames(options)
  const { follow, tail, stream, signal } = options
  if (follow !== undefined && !isFlag(follow)) throw invalidOption('follow must be a boolean.')
  if (tail !== undefined && !isCount(tail) && tail !== Number.POSITIVE_INFINITY) throw invalidOption('tail must be a number of lines.')
  if (stream !== undefined && stream !== 'stdout' && stream !== 'stderr') throw invalidOption("stream must be 'stdout' or 'stderr'.")
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption('signal must be an AbortSignal.')
}
