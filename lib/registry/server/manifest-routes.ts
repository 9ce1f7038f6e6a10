import { indexMediaType, largestManifest } from '../../images/index.ts'
import type { Exchange } from './exchange.ts'
import type { ReachedManifest } from './reach.ts'
import { Refusal } from './refusal.ts'
import { digestFrom, type Repositories } from './repositories.ts'
import { repositoryOf } from './repository.ts'
import type { Route } from './router.ts'

/** distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting tags", "Deleting Manifests" and "Listing Referrers". */
export function manifestRoutes(repositories: Repositories): Route[] {
  const get = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    const descriptor = await repositories.manifest(repositoryOf(name), reference)
    const { digest, mediaType } = descriptor
    const bytes = await repositories.bytes(descriptor)
    exchange.send(200, { 'Content-Type': mediaType, 'Docker-Content-Digest': digest, ETag: `"${digest}"` }, bytes)
  }
  const put = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    const repository = repositoryOf(name)
    const bytes = await exchange.bytes(largestManifest)
    const mediaType = exchange.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? ''
    if (mediaType === '') throw new Refusal(400, 'MANIFEST_INVALID', 'the request has no Content-Type')
    const { digest, subject } = await repositories.push(repository, reference, bytes, mediaType)
    exchange.send(201, {
      Location: `/v2/${name}/manifests/${digest}`,
      'Docker-Content-Digest': digest,
      ...(subject !== undefined && { 'OCI-Subject': subject }),
    })
  }
  const remove = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    await repositories.remove(repositoryOf(name), reference)
    exchange.send(202)
  }
  const referrers = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    const all = await repositories.referrers(repositoryOf(name), digestFrom(reference))
    sendReferrers(exchange, `/v2/${name}/referrers/${reference}`, all)
  }
  return [
    { pattern: /^\/v2\/(.+)\/manifests\/([^/]+)$/s, methods: { GET: get, HEAD: get, PUT: put, DELETE: remove } },
    { pattern: /^\/v2\/(.+)\/referrers\/([^/]+)$/s, methods: { GET: referrers } },
  ]
}

/** Pages are as large as a manifest may be; `last` is the digest that the page before ended with. */
function sendReferrers(exchange: Exchange, path: string, all: readonly ReachedManifest[]): void {
  const artifactType = exchange.query.get('artifactType')
  const last = exchange.query.get('last') ?? ''
  const chosen = all.filter(
    ({ form, descriptor }) =>
      descriptor.digest > last && (artifactType === null || artifactType === '' || form.artifactType === artifactType),
  )
  const page: object[] = []
  let next: string | undefined
  let size = 200
  for (const { descriptor, form } of chosen) {
    const { mediaType, digest } = descriptor
    const entry = { mediaType, digest, size: descriptor.size, artifactType: form.artifactType, annotations: form.annotations }
    size += Buffer.byteLength(JSON.stringify(entry)) + 1
    if (size > largestManifest && page.length > 0) break
    page.push(entry)
    next = digest
  }
  const filtered = artifactType !== null && artifactType !== ''
  const query = new URLSearchParams({ ...(filtered && { artifactType }), last: next ?? '' })
  exchange.json(
    { schemaVersion: 2, mediaType: indexMediaType, manifests: page },
    {
      'Content-Type': indexMediaType,
      ...(filtered && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(page.length < chosen.length && { Link: `<${path}?${query}>; rel="next"` }),
    },
  )
}
