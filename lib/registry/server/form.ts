import { StrakeError } from '../../errors/index.ts'
import { Checked, compact, kindOf, largestManifest } from '../../images/index.ts'
import type { Descriptor, Digest } from '../../store/index.ts'

/** What a registry needs to know of a manifest or index, of an image or of any other artifact. */
export interface Form {
  readonly kind: 'manifest' | 'index'
  /** Config and layers. */
  readonly blobs: readonly Descriptor[]
  /** Those of `blobs` that are to be fetched from elsewhere (image-spec, layer.md, "Non-Distributable Layers") and so may be missing. */
  readonly foreign: ReadonlySet<Digest>
  /** An index's entries. */
  readonly manifests: readonly Descriptor[]
  readonly subject: Descriptor | undefined
  /** As the referrers API reports it: an image's is the type of its config (distribution-spec, "Listing Referrers"). */
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
}

const mostEntries = 10_000

/** Parses a manifest that was announced as `mediaType`. Rejects with `image_invalid` or `limit_exceeded`. */
export function parseForm(bytes: Uint8Array, mediaType: string): Form {
  if (bytes.length > largestManifest)
    throw new StrakeError('limit_exceeded', `a manifest has more than ${largestManifest} bytes`, {
      details: { limit: 'manifestBytes', maximum: largestManifest },
    })
  const kind = kindOf(mediaType)
  if (kind !== 'manifest' && kind !== 'index') throw new StrakeError('image_invalid', `${mediaType} is not the media type of a manifest`)
  const value = Checked.parse(bytes, kind)
  if (value.field('schemaVersion').optional((each) => each.number()) !== 2) throw value.field('schemaVersion').fail('2')
  const own = value.field('mediaType').optional((each) => each.string())
  if (own !== undefined && own !== mediaType)
    throw new StrakeError('image_invalid', `a manifest announced as ${mediaType} says that it is ${own}`)
  // Two readers would see two images (CVE-2021-41190).
  if (!value.field('layers').isAbsent && !value.field('manifests').isAbsent)
    throw new StrakeError('image_invalid', 'a manifest has both layers and manifests')
  return kind === 'index' ? indexForm(value) : manifestForm(value)
}

function indexForm(value: Checked): Form {
  return {
    kind: 'index',
    blobs: [],
    foreign: new Set(),
    manifests: value.field('manifests').list(mostEntries).map(descriptor),
    ...common(value),
  }
}

function manifestForm(value: Checked): Form {
  const config = descriptor(value.field('config'))
  const entries = value.field('layers').list(mostEntries)
  const layers = entries.map(descriptor)
  const foreign = new Set(layers.filter((layer, at) => isForeign(layer, entries[at])).map((layer) => layer.digest))
  const shared = common(value)
  const artifactType = shared.artifactType ?? config.mediaType
  return { kind: 'manifest', blobs: [config, ...layers], foreign, manifests: [], ...shared, artifactType }
}

function common(value: Checked): Pick<Form, 'subject' | 'artifactType' | 'annotations'> {
  return {
    subject: value.field('subject').optional(descriptor),
    artifactType: value.field('artifactType').optional((each) => each.string()) || undefined,
    annotations: value.field('annotations').optional((each) => each.record()),
  }
}

function isForeign({ mediaType }: Descriptor, entry: Checked | undefined): boolean {
  const urls = entry?.field('urls').optional((each) => each.strings()) ?? []
  return urls.length > 0 || /\.(?:nondistributable|foreign)\./.test(mediaType)
}

function descriptor(value: Checked): Descriptor {
  return compact({
    mediaType: value.field('mediaType').string(),
    digest: value.field('digest').digest(),
    size: value.field('size').size(),
  })
}
