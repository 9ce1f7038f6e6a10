import { optionCheck } from '../../errors/index.ts'
import { parseTimeout } from '../../process/index.ts'
import { checkCommand, checkRecord, checkText, checkUser, invalidArgument, variableName } from '../argument.ts'
import type { RunMount } from '../mount.ts'
import { checkSecrets, type SecretInput } from '../secret.ts'
import type { RunStep } from '../step.ts'
import { checkMounts, secret } from './mounts.ts'

export interface RunOptions {
  /** Added to the image's environment, for this command only. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: the image's working directory, from which a relative one starts. */
  readonly cwd?: string
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the image. Default: the image's user. */
  readonly user?: string | number
  /** Default `host`: the stack of the host, so that packages can be fetched; `default` is the same. `none`: loopback alone. */
  readonly network?: 'none' | 'host' | 'default'
  /** A user namespace of its own: see ContainerOptions. */
  readonly userns?: 'private' | 'shared'
  /** Milliseconds, or `'1m30s'`. Default: none, as 0 and Infinity. */
  readonly timeout?: number | string
  /** What is there while the command runs and is in no layer: made by `cache`, `bind`, `tmpfs`, `secret`, `ssh`. */
  readonly mounts?: readonly RunMount[]
  /**
   * Values of its secrets, by id: the value itself, `{ file }` or `{ env }`. One that no `secret()` of `mounts` names is the file
   * `/run/secrets/ID`.
   */
  readonly secrets?: Readonly<Record<string, SecretInput>>
}

const checkRunOptions = optionCheck<RunOptions>('run', {
  env: true,
  cwd: true,
  user: true,
  network: true,
  userns: true,
  timeout: true,
  mounts: true,
  secrets: true,
})

/** A command as data; `invalid_argument` when it cannot be one. */
export function runStep(command: string | readonly string[], options: RunOptions = {}): RunStep {
  checkRunOptions(options)
  const { env = {}, cwd, user, network = 'default', userns } = options
  const timeout = parseTimeout(options.timeout)
  if (network !== 'host' && network !== 'none' && network !== 'default')
    throw invalidArgument('network', `must be 'none', 'host' or 'default', not ${JSON.stringify(network)}`)
  if (userns !== undefined && userns !== 'private' && userns !== 'shared')
    throw invalidArgument('userns', `must be 'private' or 'shared', not ${JSON.stringify(userns)}`)
  const secrets = options.secrets === undefined ? {} : checkSecrets(options.secrets)
  const named = options.mounts === undefined ? [] : checkMounts(options.mounts)
  const others = Object.keys(secrets).filter((id) => !named.some((mount) => mount.kind === 'secret' && mount.id === id))
  const mounts = checkMounts([...named, ...others.map((id) => secret(id, { required: true }))])
  return Object.freeze({
    kind: 'run',
    command: checkCommand('run', command),
    env: checkRecord('env', env, variableName),
    ...(cwd === undefined ? {} : { cwd: checkText('cwd', cwd) }),
    ...(user === undefined ? {} : { user: checkUser('user', user) }),
    network: network === 'default' ? 'host' : network,
    ...(userns === undefined ? {} : { userns }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(mounts.length === 0 ? {} : { mounts }),
    ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
  })
}
