import { optionCheck } from '../../errors/index.ts'
import { parseTimeout } from '../../process/index.ts'
import { checkCommand, checkRecord, checkText, checkUser, invalidArgument, variableName } from '../argument.ts'
import type { BuildNetwork, RunStep } from '../step.ts'

export interface RunOptions {
  /** Added to the image's environment, for this command only. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: the image's working directory, from which a relative one starts. */
  readonly cwd?: string
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the image. Default: the image's user. */
  readonly user?: string | number
  /** Default `host`: the stack of the host, so that packages can be fetched. */
  readonly network?: BuildNetwork
  /** A user namespace of its own: see ContainerOptions. */
  readonly userns?: 'private' | 'shared'
  /** Milliseconds, or `'1m30s'`. Default: none, as 0 and Infinity. */
  readonly timeout?: number | string
}

const checkRunOptions = optionCheck<RunOptions>('run', { env: true, cwd: true, user: true, network: true, userns: true, timeout: true })

/** A command as data; `invalid_argument` when it cannot be one. */
export function runStep(command: string | readonly string[], options: RunOptions = {}): RunStep {
  checkRunOptions(options)
  const { env = {}, cwd, user, network = 'host', userns } = options
  const timeout = parseTimeout(options.timeout)
  if (network !== 'host' && network !== 'none') throw invalidArgument('network', `must be 'host' or 'none', not ${JSON.stringify(network)}`)
  if (userns !== undefined && userns !== 'private' && userns !== 'shared')
    throw invalidArgument('userns', `must be 'private' or 'shared', not ${JSON.stringify(userns)}`)
  return Object.freeze({
    kind: 'run',
    command: checkCommand('run', command),
    env: checkRecord('env', env, variableName),
    ...(cwd === undefined ? {} : { cwd: checkText('cwd', cwd) }),
    ...(user === undefined ? {} : { user: checkUser('user', user) }),
    network,
    ...(userns === undefined ? {} : { userns }),
    ...(timeout === undefined ? {} : { timeout }),
  })
}
