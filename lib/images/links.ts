import type { Descriptor } from '../store/index.ts'
import { isDigest } from '../store/index.ts'
import { kindOf } from './media-types.ts'

/** What a manifest or index points to. */
export interface Links {
  readonly manifests: readonly Descriptor[]
  readonly config: Descriptor | undefined
  readonly layers: readonly Descriptor[]
}

const none: Links = { manifests: [], config: undefined, layers: [] }

/** Whether a descriptor is of something that points to other blobs. */
export function hasLinks(descriptor: Descriptor): boolean {
  const kind = kindOf(descriptor.mediaType)
  return kind === 'manifest' || kind === 'index'
}

/**
 * Reads what a manifest or index points to, whatever else it holds: artifacts, attestations and fields that this version does not know are kept and
 * copied as they are. Undefined when it is no JSON object.
 */
export function linksOf(bytes: Uint8Array): Links | undefined {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { manifests, config, layers, blobs } = value as Readonly<Record<string, unknown>>
  const [configDescriptor] = descriptorsIn([config])
  return {
    ...none,
    manifests: descriptorsIn(manifests),
    config: configDescriptor,
    layers: [...descriptorsIn(layers), ...descriptorsIn(blobs)],
  }
}

function descriptorsIn(value: unknown): Descriptor[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((each: unknown) => {
    if (typeof each !== 'object' || each === null) return []
    const { mediaType, digest, size, platform } = each as Readonly<Record<string, unknown>>
    if (typeof mediaType !== 'string' || !isDigest(digest) || typeof size !== 'number') return []
    return [{ mediaType, digest, size, ...(isPlatform(platform) ? { platform } : {}) }]
  })
}

function isPlatform(value: unknown): value is NonNullable<Descriptor['platform']> {
  return typeof value === 'object' && value !== null && 'os' in value && 'architecture' in value
}
