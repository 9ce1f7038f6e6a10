import type { ExecutionConfig, HistoryEntry, ImageData, ImageLayer, Platform } from '../images/index.ts'
import { chainIds, type StoredLayer } from '../layers/index.ts'
import type { Digest } from '../store/index.ts'
import { Past } from './past.ts'
import type { FromStep } from './step.ts'

/** A layer of the image that is built. */
export type StageLayer = Omit<ImageLayer, 'chainId'>

/** The image so far: what a step starts from and what it makes. Immutable. */
export interface Stage {
  readonly settings: ExecutionConfig
  readonly layers: readonly StageLayer[]
  /** What the image that the build starts from came with; `added` is what its steps have done since. */
  readonly history: readonly HistoryEntry[]
  readonly added?: Past
  /** RFC 3339; undefined for a base that does not say, and what only settings were added to. */
  readonly created: string | undefined
  readonly platform: Platform
  /** A `cmd` came in this build already: an `entrypoint` leaves it alone. */
  readonly hasOwnCmd: boolean
  /** What `arg` steps have set, by name: variables of `run`s, and no part of the image. */
  readonly args?: Readonly<Record<string, string>>
  /** Who made it, if MAINTAINER of a Dockerfile says so. */
  readonly author?: string
  /** What the `from` of this stage says of the steps after it. */
  readonly begun?: FromStep
  /** The image that this stage is, as long as no step has changed it. */
  readonly origin?: ImageData
}

/** A layer that was just stored, as the stage lists it. */
export function stageLayer({ descriptor, diffId }: Pick<StoredLayer, 'descriptor' | 'diffId'>): StageLayer {
  return { digest: descriptor.digest, diffId, size: descriptor.size, mediaType: descriptor.mediaType }
}

/** Where the layers of a stage lie unpacked, bottom first. */
export function snapshotsOf(stage: Stage): Digest[] {
  return chainIds(stage.layers.map(({ diffId }) => diffId))
}

/** The layers as an image lists them. */
export function imageLayers(stage: Stage): ImageLayer[] {
  const chain = snapshotsOf(stage)
  return stage.layers.flatMap((layer, index) => {
    const chainId = chain[index]
    return chainId === undefined ? [] : [{ ...layer, chainId }]
  })
}

/** The stage with one more step in its history, and its layer unless it made none. */
export function extend(
  stage: Stage,
  step: { readonly name: string; readonly created: string | undefined; readonly layer?: StageLayer | undefined },
  settings = stage.settings,
): Stage {
  const { origin: _, ...before } = stage
  const created = step.created === undefined ? {} : { created: step.created }
  const entry: HistoryEntry = { ...created, created_by: step.name, comment: 'strake', ...(step.layer ? {} : { empty_layer: true }) }
  return {
    ...before,
    settings,
    layers: step.layer ? [...stage.layers, step.layer] : stage.layers,
    added: (stage.added ?? Past.none()).with(entry),
    created: step.created,
  }
}
