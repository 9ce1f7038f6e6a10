import { checkFlag, checkHooks, invalidOption, kindOfValue, optionCheck } from '../errors/index.ts'
import type { Platform } from '../images/index.ts'
import type { PullPolicy, TransferEvent } from '../registry/index.ts'
import type { BuildCache } from './cache.ts'
import type { BuildEvent } from './progress.ts'
import type { BuildRuntime } from './runtime.ts'
import type { Stage, StageLayer } from './stage.ts'
import type { Step } from './step.ts'
import { checkSecrets, type SecretInput } from './secret.ts'

/** The time of what has none of its own (files from memory, directories that had to be made): the first that zip files can tell. */
export const defaultEpoch = 315_532_800

export interface BuildOptions {
  /** Names for the image. */
  readonly tag?: string | readonly string[] | undefined
  /** The directory that `copy` takes paths from. Default: the working directory of the process. */
  readonly context?: string | undefined
  /** Carry every step out again; what they make is remembered all the same. */
  readonly noCache?: boolean | undefined
  /** Values of the variables that `arg` has named, which win over their defaults; those of proxies (`HTTP_PROXY`, …) need no `arg`. */
  readonly args?: Readonly<Record<string, string>> | undefined
  /** Values of secrets that `run`s mount, by id: the value itself, `{ file }` or `{ env }`. Those of a `run` itself win. */
  readonly secrets?: Readonly<Record<string, SecretInput>> | undefined
  /** Sockets of SSH agents that `run`s mount, by id. Default: `default` is that of SSH_AUTH_SOCK. */
  readonly ssh?: Readonly<Record<string, string>> | undefined
  /** Ends the build, which rejects with `aborted`; finished steps stay in the cache. */
  readonly signal?: AbortSignal | undefined
  /** Told of each step, and of each line that it prints. */
  readonly onProgress?: ((event: BuildEvent) => void) | undefined
  /** `os/architecture[/variant]` of the base to choose from an index. Default: this machine's. */
  readonly platform?: string | undefined
  /** When the registry is asked for a reference that is built upon or copied from. Default `missing`: where the store has no such image. */
  readonly pull?: PullPolicy | undefined
}

const checkNames = optionCheck<BuildOptions>('build', {
  tag: true,
  context: true,
  noCache: true,
  signal: true,
  onProgress: true,
  platform: true,
  pull: true,
  args: true,
  secrets: true,
  ssh: true,
})

/** Refuses what are no options of a build, before anything is done. Throws `invalid_argument`. */
export function checkBuildOptions(options: BuildOptions): void {
  checkNames(options)
  checkHooks(options)
  checkFlag('noCache', options.noCache)
  const { context, pull } = options
  if (pull !== undefined && !['missing', 'always', 'never'].includes(pull))
    throw invalidOption(
      `pull is one of 'missing', 'always', 'never', not ${typeof pull === 'string' ? JSON.stringify(pull) : kindOfValue(pull)}.`,
    )
  if (context !== undefined && (typeof context !== 'string' || context === ''))
    throw invalidOption(`context must be the path of a directory, not ${context === '' ? "''" : kindOfValue(context)}.`)
}

/** One build in progress: what every step of it shares. */
export interface BuildContext {
  readonly runtime: BuildRuntime
  readonly options: BuildOptions
  readonly cache: BuildCache
  /** What `options.platform` says, checked. */
  readonly platform: Platform | undefined
  /** SOURCE_DATE_EPOCH in seconds, if it is set: every time in the result is this one or an earlier one. */
  readonly epoch: number | undefined
  /** Told of an image that is pulled for the step at hand. */
  readonly onPull?: ((reference: string, transfer: TransferEvent) => void) | undefined
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
