import { StrakeError } from '../../errors/index.ts'
import { hasLinks, type Index, largestManifest, type Manifest, parseManifest } from '../../images/index.ts'
import type { BlobFile, Descriptor, Digest, Store } from '../../store/index.ts'
import { parallelOf } from './check.ts'
import { download } from './download.ts'
import { throwIfAborted } from './failure.ts'
import type { PullOptions, TransferEvent } from './options.ts'
import { inParallel } from './parallel.ts'
import { Records } from './records.ts'
import type { FetchedManifest, Repository } from './repository.ts'

export interface FetchContext {
  readonly store: Store
  readonly repository: Repository
  /** Its signal is that of the repository's session. */
  readonly control: AbortController
  readonly options: PullOptions
}

export interface FetchOptions {
  /** Default both. The manifest comes with either. */
  readonly only?: 'config' | 'layers'
  /** Called with each layer whose download begins, and the file it goes to. */
  readonly onArriving?: (digest: Digest, file: BlobFile) => void
  /** Called with each layer that is in the store now. */
  readonly onLayer?: (digest: Digest) => void
}

/** What a manifest or index points to, beside manifests. `other`: what an index lists that is of no type known here. */
interface Wanted {
  readonly descriptor: Descriptor
  readonly kind: 'config' | 'layer' | 'other'
}

const deepestIndex = 4
const mostManifests = 1000
/** Bytes: a config is read into memory. */
const largestConfig = 8 * 1024 * 1024
/** Bytes. */
const largestBlob = 64 * 1024 * 1024 * 1024

/**
 * Brings a manifest with all that it points to into the store: an index with every manifest of it, what it is for. What an index lists that is of no type
 * known here comes as it is, where the registry has it (image-spec, image-index.md: it is no error). Children come before their parents.
 */
export async function fetchAll(context: FetchContext, root: FetchedManifest, options: FetchOptions = {}): Promise<void> {
  const manifests: FetchedManifest[] = []
  const blobs = new Map<Digest, Wanted>()
  const seen = new Set<Digest>()
  const visit = async (fetched: FetchedManifest, depth: number): Promise<void> => {
    if (seen.has(fetched.descriptor.digest)) return
    seen.add(fetched.descriptor.digest)
    if (depth > deepestIndex) throw limit('indexDepth', deepestIndex, 'levels of indexes')
    if (seen.size > mostManifests) throw limit('manifests', mostManifests, 'manifests in an index')
    const parsed = parseManifest(fetched.bytes, fetched.descriptor.mediaType, { artifacts: true })
    for (const each of blobsOf(parsed, options))
      if (blobs.get(each.descriptor.digest)?.kind !== 'layer') blobs.set(each.descriptor.digest, each)
    if (parsed.kind === 'index')
      for (const each of parsed.manifests) if (hasLinks(each)) await visit(await childOf(context, each), depth + 1)
    manifests.push(fetched)
  }
  await visit(root, 0)
  const wanted = [...blobs.values()]
  for (const each of wanted)
    checkSize(each.descriptor, each.kind === 'config' ? largestConfig : (context.options.limits?.blobBytes ?? largestBlob))
  await inParallel(wanted, parallelOf(context.options), context.control, async ({ descriptor, kind }) => {
    if (kind === 'other') return await fetchOther(context, descriptor)
    await fetchBlob(context, descriptor, kind, kind === 'layer' ? (file) => options.onArriving?.(descriptor.digest, file) : undefined)
    if (kind === 'layer') options.onLayer?.(descriptor.digest)
  })
  for (const { bytes, descriptor } of manifests) await context.store.blobs.put(bytes, { digest: descriptor.digest, size: descriptor.size })
}

async function childOf({ store, repository }: FetchContext, child: Descriptor): Promise<FetchedManifest> {
  if ((await store.blobs.size(child.digest)) === child.size) return { descriptor: child, bytes: await store.blobs.read(child.digest) }
  return await repository.manifest(child.digest, child)
}

function blobsOf(parsed: Manifest | Index, { only }: FetchOptions): Wanted[] {
  if (parsed.kind === 'index')
    return parsed.manifests.filter((each) => !hasLinks(each)).map((descriptor) => ({ descriptor, kind: 'other' as const }))
  const { config, layers } = parsed
  const configs = only === 'layers' ? [] : [{ descriptor: config, kind: 'config' as const }]
  return only === 'config' ? configs : [...configs, ...layers.map((descriptor) => ({ descriptor, kind: 'layer' as const }))]
}

function checkSize({ digest, size }: Descriptor, most: number): void {
  if (size > most) throw limit('blobBytes', most, `bytes in the blob ${digest}`)
}

function limit(name: string, maximum: number, what: string): StrakeError {
  return new StrakeError('limit_exceeded', `more than ${maximum} ${what} (limit ${name})`, { details: { limit: name, maximum } })
}

/** Registries have such things among the blobs, or among the manifests, or nowhere. */
async function fetchOther({ store, repository, control }: FetchContext, blob: Descriptor): Promise<void> {
  throwIfAborted(control.signal)
  const { digest, size } = blob
  if ((await store.blobs.size(digest)) === size) return
  const isMissing = (error: unknown): boolean => error instanceof StrakeError && error.code === 'registry_not_found'
  try {
    await store.blobs.put(download(repository, blob), { digest, size })
  } catch (error) {
    if (!isMissing(error)) throw error
    const bytes = size > largestManifest ? undefined : await repository.other(digest)
    if (bytes) await store.blobs.put(bytes, { digest, size })
  }
}

async function fetchBlob(
  { store, repository, options, control }: FetchContext,
  blob: Descriptor,
  kind: 'config' | 'layer',
  onFile?: (file: BlobFile) => void,
): Promise<void> {
  throwIfAborted(control.signal)
  const { digest, size } = blob
  const tell = (phase: TransferEvent['phase'], bytes: number): void => options.onProgress?.({ phase, kind, digest, bytes, total: size })
  const records = new Records(store)
  if ((await store.blobs.size(digest)) === size) {
    tell('present', size)
    return
  }
  tell('download', 0)
  await store.blobs.put(
    download(repository, blob, (bytes) => tell('download', bytes)),
    { digest, size },
    { onFile },
  )
  tell('done', size)
  if (kind === 'layer') await records.noteRepository(repository.host, digest, repository.name)
}
