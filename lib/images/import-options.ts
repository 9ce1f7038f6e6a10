import { checkHooks, invalidOption, isRecord, kindOfValue, optionCheck } from '../errors/index.ts'
import type { LayerLimits } from '../layers/index.ts'

const checkNames = optionCheck<LayerLimits>('limits', {
  layerBytes: true,
  fileBytes: true,
  entries: true,
  directories: true,
  headerBytes: true,
  pathBytes: true,
  nameBytes: true,
  sparseRegions: true,
  compressionRatio: true,
  windowBytes: true,
})

/** Refuses limits that would be none. Throws `invalid_argument`. */
function checkLimits(limits: unknown): void {
  if (limits === undefined) return
  checkNames(limits)
  for (const [name, value] of Object.entries(isRecord(limits) ? limits : {}))
    if (typeof value !== 'number' || !(value >= 0))
      throw invalidOption(
        `limits.${name} must be a number that is not negative, not ${typeof value === 'number' ? value : kindOfValue(value)}.`,
      )
}

/** What loading and importing share. */
export interface ReadOptions {
  /** What a layer, or the archive itself, may ask for at most; what is left out has its default. */
  readonly limits?: Partial<LayerLimits> | undefined
  /** Ends it at any point with `aborted`: the store is as it was. */
  readonly signal?: AbortSignal | undefined
}

/** Refuses values of these that cannot be used; names are left to the caller. Throws `invalid_argument`. */
export function checkReadOptions({ limits, signal }: { readonly limits?: unknown; readonly signal?: unknown }): void {
  checkLimits(limits)
  checkHooks({ signal })
}
