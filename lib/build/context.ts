import { checkFlag, checkHooks, invalidOption, kindOfValue, optionCheck } from '../errors/index.ts'
import { type Platform, parseReference } from '../images/index.ts'
import type { LayerNotice } from '../layers/index.ts'
import type { PullPolicy, TransferEvent } from '../registry/index.ts'
import { checkRecord, variableName } from './argument.ts'
import type { BuildCache, CachedStep } from './cache.ts'
import { type ContextFiles, type ContextInput, checkContext } from './context-files.ts'
import type { BuildEvent } from './progress.ts'
import type { CacheLocation, RemoteCache } from './remote-cache.ts'
import type { BuildRuntime } from './runtime.ts'
import { checkSecrets, type SecretInput } from './secret.ts'
import type { Slots } from './slots.ts'
import type { Stage, StageLayer } from './stage.ts'
import type { Step } from './step.ts'

/** The time of what has none of its own (files from memory, directories that had to be made): the first that zip files can tell. */
export const defaultEpoch = 315_532_800

export interface BuildOptions {
  /** Names for the image. */
  readonly tag?: string | readonly string[] | undefined
  /**
   * What `copy` takes paths from: a directory, whose .dockerignore is heeded; some files of one; a tar; files from memory. Default: the working
   * directory of the process.
   */
  readonly context?: ContextInput | undefined
  /** Values of the variables that `arg` has named, which win over their defaults; those of proxies (`HTTP_PROXY`, …) need no `arg`. */
  readonly args?: Readonly<Record<string, string>> | undefined
  /** Values of secrets that `run`s mount, by id: the value itself, `{ file }` or `{ env }`. Those of a `run` itself win. */
  readonly secrets?: Readonly<Record<string, SecretInput>> | undefined
  /** Sockets of SSH agents that `run`s mount, by id. Default: `default` is that of SSH_AUTH_SOCK. */
  readonly ssh?: Readonly<Record<string, string>> | undefined
  /** Carry every step out again; what they make is remembered all the same. */
  readonly noCache?: boolean | undefined
  /** Ends the build, which rejects with `aborted`; finished steps stay in the cache. */
  readonly signal?: AbortSignal | undefined
  /** Told of each step, and of each line that it prints. */
  readonly onProgress?: ((event: BuildEvent) => void) | undefined
  /** `os/architecture[/variant]` of the base to choose from an index. Default: this machine's. */
  readonly platform?: string | undefined
  /** When the registry is asked for a reference that is built upon or copied from. Default `missing`: where the store has no such image. */
  readonly pull?: PullPolicy | undefined
  /** Caches in registries, in this order, for steps that this store has not: references, as `cacheTo` was given them. One that cannot be had is passed over. */
  readonly cacheFrom?: CacheLocation | readonly CacheLocation[] | undefined
  /** A reference under which the finished steps of this build are left in a registry, for `cacheFrom`. */
  readonly cacheTo?: CacheLocation | undefined
  /** Steps that are carried out at once, where they do not need each other. Default: as many as there are CPUs, at least 2. */
  readonly parallel?: number | undefined
}

const checkNames = optionCheck<BuildOptions>('build', {
  tag: true,
  context: true,
  args: true,
  secrets: true,
  ssh: true,
  noCache: true,
  signal: true,
  onProgress: true,
  platform: true,
  pull: true,
  cacheFrom: true,
  cacheTo: true,
  parallel: true,
})

/** One or several as a list. */
export function cacheLocations(given: BuildOptions['cacheFrom']): readonly CacheLocation[] {
  if (given === undefined) return []
  return Array.isArray(given) ? given : [given as CacheLocation]
}

const checkLocationNames = optionCheck<Exclude<CacheLocation, string>>('a cache', {
  reference: true,
  auth: true,
  tls: true,
  insecure: true,
})

function checkLocation(name: string, location: unknown): void {
  if (typeof location !== 'string') checkLocationNames(location)
  const reference = typeof location === 'string' ? location : (location as Exclude<CacheLocation, string>).reference
  if (typeof reference !== 'string') throw invalidOption(`${name} takes a reference, not ${kindOfValue(reference)}.`)
  if (parseReference(reference).digest !== undefined)
    throw invalidOption(`${name} takes a reference with a tag: what a digest stands for does not change.`)
}

/** Refuses what are no options of a build, before anything is done. Throws `invalid_argument`. */
export function checkBuildOptions(options: BuildOptions): void {
  checkNames(options)
  checkHooks(options)
  checkFlag('noCache', options.noCache)
  if (options.args !== undefined) checkRecord('args', options.args, variableName)
  if (options.secrets !== undefined) checkSecrets(options.secrets)
  if (options.ssh !== undefined) checkRecord('ssh', options.ssh, /^[^\0]+$/)
  const { context, pull, parallel } = options
  if (parallel !== undefined && !(Number.isInteger(parallel) && parallel > 0))
    throw invalidOption(`parallel must be a whole number from 1 on, not ${String(parallel)}.`)
  for (const location of cacheLocations(options.cacheFrom)) checkLocation('cacheFrom', location)
  if (options.cacheTo !== undefined) checkLocation('cacheTo', options.cacheTo)
  if (pull !== undefined && !['missing', 'always', 'never'].includes(pull))
    throw invalidOption(
      `pull is one of 'missing', 'always', 'never', not ${typeof pull === 'string' ? JSON.stringify(pull) : kindOfValue(pull)}.`,
    )
  if (context !== undefined) checkContext(context)
}

/** One build in progress: what every step of it shares. */
export interface BuildContext {
  readonly runtime: BuildRuntime
  readonly options: BuildOptions
  readonly cache: BuildCache
  /** Where else finished steps are looked for. */
  readonly remoteCaches: readonly RemoteCache[]
  /** What this build has used or made, by all of its keys. */
  readonly finished: Map<string, CachedStep>
  /** Steps of this build that are being carried out, or have been, by their last key. */
  readonly underWay: Map<string, Promise<{ readonly record: CachedStep }>>
  readonly slots: Slots
  /** The contexts that are open. */
  readonly files: ContextFiles
  /** What `options.platform` says, checked. */
  readonly platform: Platform | undefined
  /**
   * SOURCE_DATE_EPOCH in seconds, if it is set: every time in the result is this one or an earlier one; that of what comes from a build context,
   * memory, a repository or a URL is this one, since their own times are no part of what a step is known by.
   */
  readonly epoch: number | undefined
  /** Told of an image that is pulled for the step at hand. */
  readonly onPull?: ((reference: string, transfer: TransferEvent) => void) | undefined
  /** Told of what the step at hand does not unpack as a layer has it. */
  readonly onNotice?: ((notice: LayerNotice) => void) | undefined
  /** Told when a base was not there yet: it is imported, assembled, or asked for. */
  readonly onMade?: (() => void) | undefined
  /** Carries out a build that is the base of another, or is copied from; once each. */
  build(steps: readonly Step[]): Promise<Stage>
}

/** A step that makes a layer, ready to be looked up and, if it must be, carried out. */
export interface PreparedStep extends AsyncDisposable {
  /** Keys under which its outcome may be found, the quickest to compute first. The rest is asked for only when the first is unknown. */
  keys(): AsyncIterable<Readonly<Record<string, unknown>>>
  /** Makes the layer; undefined when the step changes nothing. */
  carryOut(emit: (stream: 'stdout' | 'stderr', data: Uint8Array) => void): Promise<StageLayer | undefined>
}

/** When something is made now, as RFC 3339. */
export function timeOf(context: BuildContext): string {
  return new Date(context.epoch === undefined ? Date.now() : context.epoch * 1000).toISOString()
}
