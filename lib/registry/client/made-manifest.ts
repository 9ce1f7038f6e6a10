import { type Descriptor, type Digest, digestOf, isDigest } from '../../store/index.ts'

/** A manifest or index as it is to be in a registry. */
export interface MadeManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Buffer
}

type Json = Record<string, unknown>

/** BuildKit's annotation of an attestation in an index: the image that it is about (docs/attestations/attestation-storage.md). */
const referenceAnnotation = 'vnd.docker.reference.digest'

/** A manifest with other descriptors in a list of it; all else in it stays as it was. The same bytes where nothing has changed. */
export function rewritten(
  made: MadeManifest,
  list: 'layers' | 'manifests',
  before: readonly Descriptor[],
  after: readonly Descriptor[],
): MadeManifest {
  if (before.every((each, index) => each.digest === after[index]?.digest)) return made
  return changed(made, (json) => {
    json[list] = (json[list] as Json[]).map((entry, index) => withDescriptor(entry, after[index]))
  })
}

/** The digest of what a manifest is about (image-spec, manifest.md, "subject"). Undefined for what is no manifest, too. */
export function subjectOf(bytes: Buffer): Digest | undefined {
  try {
    const { digest } = objectOf(objectOf(JSON.parse(bytes.toString())).subject)
    return isDigest(digest) ? digest : undefined
  } catch {
    return undefined
  }
}

/** A manifest that is about what has another digest in the registry. */
export function withSubject(made: MadeManifest, others: ReadonlyMap<Digest, Descriptor>): MadeManifest {
  const subject = subjectOf(made.bytes)
  const other = subject && others.get(subject)
  if (other === undefined || other.digest === subject) return made
  return changed(made, (json) => {
    json.subject = withDescriptor(objectOf(json.subject), other)
  })
}

/** An index whose attestations name the images that they are about by the digests that those have in the registry. */
export function withReferences(made: MadeManifest, others: ReadonlyMap<Digest, Descriptor>): MadeManifest {
  const next = (entry: unknown): Digest | undefined => {
    const digest = objectOf(objectOf(entry).annotations)[referenceAnnotation]
    const other = isDigest(digest) ? others.get(digest) : undefined
    return other?.digest === digest ? undefined : other?.digest
  }
  const { manifests } = JSON.parse(made.bytes.toString()) as { manifests: unknown[] }
  if (!manifests.some(next)) return made
  return changed(made, (json) => {
    json.manifests = manifests.map((entry) => {
      const digest = next(entry)
      return digest
        ? { ...objectOf(entry), annotations: { ...objectOf(objectOf(entry).annotations), [referenceAnnotation]: digest } }
        : entry
    })
  })
}

function changed(made: MadeManifest, change: (json: Json) => void): MadeManifest {
  const json = JSON.parse(made.bytes.toString()) as Json
  change(json)
  const bytes = Buffer.from(JSON.stringify(json))
  return { digest: digestOf(bytes), mediaType: made.mediaType, bytes }
}

function withDescriptor(entry: Json, next: Descriptor | undefined): Json {
  return next ? { ...entry, mediaType: next.mediaType, digest: next.digest, size: next.size } : entry
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}
