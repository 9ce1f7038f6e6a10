import { posix } from 'node:path'
import { optionCheck } from '../../errors/index.ts'
import { parseBytes } from '../../process/index.ts'
import { checkText, invalidArgument, variableName } from '../argument.ts'
import type { BindMount, CacheMount, CacheSharing, RunMount, SecretMount, SshMount, TmpfsMount } from '../mount.ts'
import { checkId } from '../secret.ts'
import { relativePath } from './copy.ts'
import { type BaseInput, baseOf } from './from.ts'

interface OwnershipOptions {
  /** Permissions. */
  readonly mode?: number
  /** The owner, as the container numbers it. Default 0. */
  readonly uid?: number
  /** The group, as the container numbers it. Default 0. */
  readonly gid?: number
}

/** See `cache`. */
export interface CacheOptions extends OwnershipOptions {
  /** Caches of one id, and of one `from` and `source`, are the same directory, in every build of this store. Default: the target. */
  readonly id?: string
  /** Builds that run at once: use it together (`shared`, the default), each has one of its own (`private`), or one waits for the other (`locked`). */
  readonly sharing?: CacheSharing
  /** Permissions of a new cache. Default 0o755. */
  readonly mode?: number
  /** The owner of a new cache, as the container numbers it. Default 0. */
  readonly uid?: number
  /** The group of a new cache. Default 0. */
  readonly gid?: number
  /** An image whose files a new cache begins with. Default: it begins empty. */
  readonly from?: BaseInput
  /** A directory of `from`. Default: its root. */
  readonly source?: string
  /** Default false. */
  readonly readOnly?: boolean
}

/** See `bind`. */
export interface BindOptions {
  /** An image or builder whose files are mounted. Default: the build context. */
  readonly from?: BaseInput
  /** A path of it. Default: all of it. */
  readonly source?: string
  /** Makes it possible to write; what is written is thrown away. Default false. */
  readonly readWrite?: boolean
}

/** See `tmpfs`. */
export interface TmpfsOptions {
  /** Bytes, or `'64m'`. Default: half of the machine's memory. */
  readonly size?: number | string
}

/** See `secret`. */
export interface SecretOptions extends OwnershipOptions {
  /** The path of a file that holds it. Default: `/run/secrets/ID`, or no file when there is `env`. */
  readonly target?: string
  /** The name of a variable that holds it. Default: none. */
  readonly env?: string
  /** Permissions of the file. Default 0o400. */
  readonly mode?: number
  /** The owner of the file. Default 0. */
  readonly uid?: number
  /** The group of the file. Default 0. */
  readonly gid?: number
  /** Fails the step when nobody gives the secret. Default false: it is left out. */
  readonly required?: boolean
}

/** See `ssh`. */
export interface SshOptions extends OwnershipOptions {
  /** Which of the agents that `build({ ssh })` names. Default `default`: that of SSH_AUTH_SOCK. */
  readonly id?: string
  /** The path of the socket. Default `/run/buildkit/ssh_agent.0`. */
  readonly target?: string
  /** Permissions of the socket. Default 0o600. */
  readonly mode?: number
  /** The owner of the socket. Default 0. */
  readonly uid?: number
  /** The group of the socket. Default 0. */
  readonly gid?: number
  /** Fails the step when there is no agent. Default false: it is left out. */
  readonly required?: boolean
}

const ownership = { mode: true, uid: true, gid: true } as const
const checkCacheOptions = optionCheck<CacheOptions>('cache', {
  ...ownership,
  id: true,
  sharing: true,
  from: true,
  source: true,
  readOnly: true,
})
const checkBindOptions = optionCheck<BindOptions>('bind', { from: true, source: true, readWrite: true })
const checkTmpfsOptions = optionCheck<TmpfsOptions>('tmpfs', { size: true })
const checkSecretOptions = optionCheck<SecretOptions>('secret', { ...ownership, target: true, env: true, required: true })
const checkSshOptions = optionCheck<SshOptions>('ssh', { ...ownership, id: true, target: true, required: true })

function checkNumber(argument: string, value: unknown, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most)
    throw invalidArgument(argument, `must be a whole number from 0 to ${most}`)
  return value
}

function checkFlag(argument: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(argument, 'must be true or false')
  return value ?? false
}

function ownershipOf(options: OwnershipOptions, mode: number): { readonly mode: number; readonly uid: number; readonly gid: number } {
  return {
    mode: checkNumber('mode', options.mode ?? mode, 0o7777),
    uid: checkNumber('uid', options.uid ?? 0, 0xfffffffe),
    gid: checkNumber('gid', options.gid ?? 0, 0xfffffffe),
  }
}

/** Where nothing can be mounted: the root, and file systems of the engine. */
function checkTarget(value: unknown): string {
  const target = posix.normalize(checkText('target', value)).replace(/(?<=.)\/$/, '')
  if (target === '/' || /^\/(proc|sys)(\/|$)/.test(target) || target === '/dev')
    throw invalidArgument('target', `cannot be ${target}: choose a directory of the image`)
  return target
}

/** A path of another image or of the context, relative to its root. */
function checkSource(value: unknown): string {
  return relativePath('source', checkText('source', value))
}

/**
 * A directory that is there again in the next build, for a `run`: package managers keep what they download in it. It is in no layer.
 * Kept in the store until `store.prune({ cache: true })`.
 *
 * @example image('host').run('npm ci', { mounts: [cache('/root/.npm')] })
 */
export function cache(target: string, options: CacheOptions = {}): CacheMount {
  checkCacheOptions(options)
  const { id, sharing = 'shared', from, source = '.', readOnly } = options
  if (!['shared', 'private', 'locked'].includes(sharing))
    throw invalidArgument('sharing', `must be 'shared', 'private' or 'locked', not ${JSON.stringify(sharing)}`)
  if (from === undefined && options.source !== undefined) throw invalidArgument('source', 'goes with from: a path of that image')
  const path = checkTarget(target)
  return Object.freeze({
    kind: 'cache',
    target: path,
    id: id === undefined ? path : checkId('id', id),
    sharing,
    readOnly: checkFlag('readOnly', readOnly),
    ...(from === undefined ? {} : { from: baseOf('from', from) }),
    source: checkSource(source),
    ...ownershipOf(options, 0o755),
  })
}

/**
 * Files of the build context, or of another image, for a `run` that needs them and shall not keep them.
 *
 * @example image('host').run('cp /src/LICENSE /', { mounts: [bind('/src')] })
 */
export function bind(target: string, options: BindOptions = {}): BindMount {
  checkBindOptions(options)
  const { from, source = '.', readWrite } = options
  return Object.freeze({
    kind: 'bind',
    target: checkTarget(target),
    ...(from === undefined ? {} : { from: baseOf('from', from) }),
    source: checkSource(source),
    readWrite: checkFlag('readWrite', readWrite),
  })
}

/**
 * An empty directory in memory for a `run`: what is written there is in no layer.
 *
 * @example image('host').run('make', { mounts: [tmpfs('/tmp', { size: '512m' })] })
 */
export function tmpfs(target: string, options: TmpfsOptions = {}): TmpfsMount {
  checkTmpfsOptions(options)
  const { size } = options
  const bytes = size === undefined ? undefined : parseBytes(size, 'size')
  if (bytes !== undefined && bytes < 4096) throw invalidArgument('size', 'must be 4096 bytes or more')
  return Object.freeze({ kind: 'tmpfs', target: checkTarget(target), ...(bytes === undefined ? {} : { size: bytes }) })
}

/**
 * A secret for a `run`: a file in memory, or a variable, whose value is given to `run` or `build` as `secrets`. It is in no layer, history,
 * cache key or log, and the cache does not ask for its value: another one does not have the step carried out again.
 *
 * @example image('host').run('wc -c < /run/secrets/token', { mounts: [secret('token')], secrets: { token: { env: 'TOKEN' } } })
 */
export function secret(id: string, options: SecretOptions = {}): SecretMount {
  checkSecretOptions(options)
  const { target, env, required } = options
  if (env !== undefined && !variableName.test(checkText('env', env)))
    throw invalidArgument('env', `is no name of a variable: ${JSON.stringify(env)}`)
  const checked = checkId('secret', id)
  const path = target !== undefined ? checkTarget(target) : env === undefined ? `/run/secrets/${nameOf(checked)}` : undefined
  return Object.freeze({
    kind: 'secret',
    id: checked,
    ...(path === undefined ? {} : { target: path }),
    ...(env === undefined ? {} : { env }),
    required: checkFlag('required', required),
    ...ownershipOf(options, 0o400),
  })
}

function nameOf(id: string): string {
  const name = posix.basename(id)
  if (name === '' || name === '.' || name === '..') throw invalidArgument('secret', `has no name for a file: ${JSON.stringify(id)}`)
  return name
}

/**
 * The SSH agent of whoever builds, for a `run`: SSH_AUTH_SOCK points to a socket that leads to it. Keys stay where they are.
 *
 * @example image('debian-with-git').run('git clone git@example.org:app.git /app', { mounts: [ssh()] })
 */
export function ssh(options: SshOptions = {}): SshMount {
  checkSshOptions(options)
  const { id = 'default', target, required } = options
  return Object.freeze({
    kind: 'ssh',
    id: checkId('id', id),
    ...(target === undefined ? {} : { target: checkTarget(target) }),
    required: checkFlag('required', required),
    ...ownershipOf(options, 0o600),
  })
}

const kinds: ReadonlySet<unknown> = new Set(['cache', 'bind', 'tmpfs', 'secret', 'ssh'])

/** The mounts of a `run`, as `cache`, `bind`, … made them. */
export function checkMounts(value: unknown): readonly RunMount[] {
  if (!Array.isArray(value)) throw invalidArgument('mounts', 'must be an array')
  const mounts: readonly RunMount[] = value.map((each: unknown, index) => {
    if (!isMount(each))
      throw invalidArgument(`mounts[${index}]`, 'must be a mount', "Make it by cache(), bind(), tmpfs(), secret() or ssh() of 'strake'.")
    return each
  })
  const targets = mounts.flatMap(({ target }) => (target === undefined ? [] : [target]))
  const twice = targets.find((target, index) => targets.indexOf(target) !== index)
  if (twice !== undefined) throw invalidArgument('mounts', `has two mounts on ${twice}`)
  return Object.freeze([...mounts])
}

function isMount(value: unknown): value is RunMount {
  return typeof value === 'object' && value !== null && 'kind' in value && kinds.has(value.kind) && Object.isFrozen(value)
}
