import { StrakeError } from '../errors/index.ts'
import type { Descriptor } from '../store/index.ts'
import { Checked, compact } from './check.ts'
import { kindOf } from './media-types.ts'
import { platformFrom } from './platform.ts'

/** image-spec, manifest.md. */
export interface Manifest {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly config: Descriptor
  /** Bottom first. */
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** image-spec, image-index.md. */
export interface Index {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** Bytes: what registries accept at most as well (distribution-spec, "Pushing Manifests"). */
export const largestManifest = 4 * 1024 * 1024
const mostEntries = 10_000
const mostLayers = 1000

function descriptorFrom(value: Checked): Descriptor {
  return compact({
    mediaType: value.field('mediaType').string(),
    digest: value.field('digest').digest(),
    size: value.field('size').size(),
    annotations: value.field('annotations').optional((each) => each.record()),
    platform: value.field('platform').optional(platformFrom),
    artifactType: value.field('artifactType').optional((each) => each.string()),
  })
}

export interface ManifestOptions {
  /** Takes manifests whose config and layers are no image's, as an index has them beside its images (attestations, say). */
  readonly artifacts?: boolean
}

/**
 * Parses a manifest or index. `mediaType` is what its descriptor or header says it is. One that reads as both, or says itself that it is something
 * else, is refused: two readers would see two images (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, mediaType: string, { artifacts = false }: ManifestOptions = {}): Manifest | Index {
  if (bytes.length > largestManifest)
    throw new StrakeError('limit_exceeded', `a manifest has more than ${largestManifest} bytes`, {
      details: { limit: 'manifestBytes', maximum: largestManifest },
    })
  const kind = kindOf(mediaType)
  if (kind !== 'manifest' && kind !== 'index') throw new StrakeError('image_invalid', `${mediaType} is not the media type of an image`)
  const value = Checked.parse(bytes, kind)
  if (value.field('schemaVersion').optional((each) => each.number()) !== 2) throw value.field('schemaVersion').fail('2')
  const own = value.field('mediaType').optional((each) => each.string())
  if (own !== undefined && own !== mediaType)
    throw new StrakeError('image_invalid', `a manifest announced as ${mediaType} says that it is ${own}`)
  if (!value.field('layers').isAbsent && !value.field('manifests').isAbsent)
    throw new StrakeError('image_invalid', 'a manifest has both layers and manifests')
  const annotations = value.field('annotations').optional((each) => each.record()) ?? {}
  if (kind === 'index') {
    return { kind, mediaType, annotations, manifests: value.field('manifests').list(mostEntries).map(descriptorFrom) }
  }
  const config = descriptorFrom(value.field('config'))
  if (!artifacts && kindOf(config.mediaType) !== 'config')
    throw new StrakeError('image_invalid', `an artifact, not an image: its config is of type ${config.mediaType}`)
  const layers = value.field('layers').list(mostLayers).map(descriptorFrom)
  for (const each of layers) {
    if (!artifacts && kindOf(each.mediaType) !== 'layer')
      throw new StrakeError('image_invalid', `a layer is of the unknown type ${each.mediaType}`)
  }
  return { kind, mediaType, annotations, config, layers }
}
