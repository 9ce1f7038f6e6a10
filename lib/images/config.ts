import { StrakeError } from '../errors/index.ts'
import { algorithmOf, type Digest } from '../store/index.ts'
import { Checked, compact } from './check.ts'
import { hostPlatform, type Platform, platformFrom } from './platform.ts'

/** Docker's health check; times in nanoseconds. */
export interface HealthConfig {
  readonly Test: readonly string[]
  readonly Interval?: number
  readonly Timeout?: number
  readonly StartPeriod?: number
  readonly StartInterval?: number
  readonly Retries?: number
}

/** How an image's containers run, in the words of its config (image-spec, config.md, and Docker's Shell, Healthcheck and OnBuild). */
export interface ExecutionConfig {
  readonly User?: string
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>
  readonly Env?: readonly string[]
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Volumes?: Readonly<Record<string, Record<string, never>>>
  readonly WorkingDir?: string
  readonly Labels?: Readonly<Record<string, string>>
  readonly StopSignal?: string
  readonly Shell?: readonly string[]
  readonly Healthcheck?: HealthConfig
  readonly OnBuild?: readonly string[]
}

/** image-spec, config.md, "history". */
export interface HistoryEntry {
  readonly created?: string
  readonly created_by?: string
  readonly author?: string
  readonly comment?: string
  readonly empty_layer?: boolean
}

/** A whole image config. */
export interface ImageConfig {
  readonly platform: Platform
  /** RFC 3339. */
  readonly created?: string
  readonly author?: string
  readonly config: ExecutionConfig
  /** Of the uncompressed layers, bottom first. */
  readonly diffIds: readonly Digest[]
  readonly history: readonly HistoryEntry[]
}

function healthFrom(value: Checked): HealthConfig {
  const number = (name: string): number | undefined => value.field(name).optional((each) => each.number())
  return compact({
    Test: value.field('Test').optional((each) => each.strings()) ?? [],
    Interval: number('Interval'),
    Timeout: number('Timeout'),
    StartPeriod: number('StartPeriod'),
    StartInterval: number('StartInterval'),
    Retries: number('Retries'),
  })
}

function executionFrom(value: Checked): ExecutionConfig {
  const string = (name: string): string | undefined => value.field(name).optional((each) => each.string())
  const strings = (name: string): string[] | undefined => value.field(name).optional((each) => each.strings())
  const set = (name: string): Record<string, Record<string, never>> | undefined => value.field(name).optional((each) => each.set())
  return compact({
    User: string('User'),
    ExposedPorts: set('ExposedPorts'),
    Env: strings('Env'),
    Entrypoint: strings('Entrypoint'),
    Cmd: strings('Cmd'),
    Volumes: set('Volumes'),
    WorkingDir: string('WorkingDir'),
    Labels: value.field('Labels').optional((each) => each.record()),
    StopSignal: string('StopSignal'),
    Shell: strings('Shell'),
    Healthcheck: value.field('Healthcheck').optional(healthFrom),
    OnBuild: strings('OnBuild'),
  })
}

function historyFrom(value: Checked): HistoryEntry {
  const string = (name: string): string | undefined => value.field(name).optional((each) => each.string())
  return compact({
    created: string('created'),
    created_by: string('created_by'),
    author: string('author'),
    comment: string('comment'),
    empty_layer: value.field('empty_layer').optional((each) => each.boolean()),
  })
}

/** Parses an image config that came from elsewhere. What is missing or null gets a default; what has a wrong type is `image_invalid`. */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const value = Checked.parse(bytes, 'config')
  const platform = platformFrom(value)
  return compact({
    platform: compact({ ...platform, os: platform.os || 'linux', architecture: platform.architecture || hostPlatform.architecture }),
    created: value.field('created').optional((each) => each.string()),
    author: value.field('author').optional((each) => each.string()),
    config: value.field('config').optional(executionFrom) ?? {},
    diffIds:
      value.field('rootfs').optional((rootfs) => rootfs.field('diff_ids').optional((each) => each.list().map((id) => id.digest()))) ?? [],
    history: value.field('history').optional((each) => each.list().map(historyFrom)) ?? [],
  })
}

/** The bytes of a config: fields always in the same order, so that the same image has the same digest. */
export function formatConfig(image: ImageConfig): Buffer {
  const { platform, created, author, config, diffIds, history } = image
  return Buffer.from(
    JSON.stringify({
      created,
      author,
      architecture: platform.architecture,
      os: platform.os,
      variant: platform.variant,
      config: Object.fromEntries(Object.entries(config).sort(([one], [other]) => (one < other ? -1 : 1))),
      rootfs: { type: 'layers', diff_ids: diffIds },
      history,
    }),
  )
}

/** Each layer needs its diffID: without it nobody could tell whether its content is right. It is compared by sha256, as everywhere. */
export function checkLayerCount(config: ImageConfig, layers: number): void {
  if (config.diffIds.length !== layers) {
    throw new StrakeError('image_invalid', `the config names ${config.diffIds.length} layers, the manifest ${layers}`)
  }
  const other = config.diffIds.find((each) => algorithmOf(each) !== 'sha256')
  if (other !== undefined)
    throw new StrakeError('image_invalid', `the diffID ${other} is of ${algorithmOf(other)}: only sha256 is supported`)
}
