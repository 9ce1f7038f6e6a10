import { invalidOption, kindOfValue, StrakeError } from '../../errors/index.ts'
import { familiarReference, parseManifest, parseReference, type Reference } from '../../images/index.ts'
import type { Descriptor, Digest } from '../../store/index.ts'
import { manifestName, rejection } from './check.ts'
import type { Answer } from './exchange.ts'
import { printable, protocolError } from './failure.ts'
import { inSchemeOf } from './hosts.ts'
import { linkOf } from './link-header.ts'
import { checkRemoteOptions } from './option-names.ts'
import type { ReferrersOptions, RemoteOptions } from './options.ts'
import { Repository, refusalOf } from './repository.ts'
import { Session } from './session.ts'

/** Something that says of itself that it belongs to an image: a signature, an attestation (distribution-spec, "Listing Referrers"). */
export interface Referrer {
  readonly digest: Digest
  readonly mediaType: string
  readonly artifactType: string | undefined
  /** Bytes of its manifest. */
  readonly size: number
  readonly annotations: Readonly<Record<string, string>>
}

const largestPage = 4 * 1024 * 1024
const mostPages = 1000
const mostNames = 1_000_000

/** The tags of a repository, in the registry's order. Rejects with `registry_not_found`, `limit_exceeded` (a million). */
export async function remoteTags(repository: string, options: RemoteOptions = {}): Promise<string[]> {
  checkRemoteOptions('tags', options)
  const reference = parseReference(repository)
  return await guarded(options, async () => {
    const remote = new Repository(reference.domain, reference.repository, options)
    return await namesOf(remote.session, remote.path('tags/list'), remote.scopes, 'tags', `the tags of ${reference.repository}`)
  })
}

/** The repositories of a registry, where it tells them (many do not: `registry_denied`, `registry_unauthorized`, `registry_not_found`). */
export async function remoteCatalog(host: string, options: RemoteOptions = {}): Promise<string[]> {
  checkRemoteOptions('catalog', options)
  const { domain } = parseReference(typeof host === 'string' ? `${host}/x` : host)
  if (domain !== host && !(domain === 'docker.io' && host === 'index.docker.io'))
    throw new StrakeError('invalid_reference', `${JSON.stringify(host)} is not the address of a registry`, {
      hint: 'a host with a dot or a port, for example 127.0.0.1:5000',
    })
  return await guarded(
    options,
    async () => await namesOf(new Session(domain, '', options), 'v2/_catalog', ['registry:catalog:*'], 'repositories', 'the catalog'),
  )
}

/**
 * Deletes a tag, or with `repository@sha256:…` a manifest and with it every tag that it has. Many registries allow neither or only the latter:
 * `registry_denied`.
 */
export async function deleteRemote(reference: string, options: RemoteOptions = {}): Promise<void> {
  checkRemoteOptions('deleteRemote', options)
  const parsed = parseReference(reference)
  await guarded(options, async () => {
    const repository = new Repository(parsed.domain, parsed.repository, options, 'delete')
    const answer = await repository.session.send({
      method: 'DELETE',
      target: repository.path(`manifests/${manifestName(parsed)}`),
      scopes: repository.scopes,
    })
    if (answer.status === 202 || answer.status === 200 || answer.status === 204) return await answer.discard()
    if (parsed.digest === undefined && (answer.status === 400 || answer.status === 405))
      throw await onlyByDigest(repository, parsed, answer)
    await repository.refuse(answer, `the deletion of ${familiarReference(parsed)}`)
  })
}

async function onlyByDigest(repository: Repository, reference: Reference, answer: Answer): Promise<StrakeError> {
  await answer.discard()
  const digest = (await repository.headManifest(manifestName(reference)))?.digest
  return new StrakeError('registry_denied', `${repository.host} does not delete tags by themselves, or does not delete at all`, {
    hint:
      digest && `${familiarReference({ ...reference, tag: undefined, digest })} deletes the manifest, and with it every tag that it has`,
    details: { host: repository.host, status: answer.status, digest },
  })
}

/** What refers to an image: by the registry's list, or where it has none, by the tag that stands in for it (distribution-spec, "Referrers Tag Schema"). */
export async function remoteReferrers(reference: string, options: ReferrersOptions = {}): Promise<Referrer[]> {
  checkRemoteOptions('referrers', options)
  if (options.artifactType !== undefined && typeof options.artifactType !== 'string')
    throw invalidOption(`artifactType must be a media type, not ${kindOfValue(options.artifactType)}.`)
  const parsed = parseReference(reference)
  return await guarded(options, async () => {
    const repository = new Repository(parsed.domain, parsed.repository, options)
    const digest = parsed.digest ?? (await digestFor(repository, manifestName(parsed)))
    const found = (await listedReferrers(repository, digest, options.artifactType)) ?? (await taggedReferrers(repository, digest))
    return found
      .filter((each) => options.artifactType === undefined || each.artifactType === options.artifactType)
      .map(({ digest: own, mediaType, artifactType, size, annotations }) => ({
        digest: own,
        mediaType,
        artifactType,
        size,
        annotations: annotations ?? {},
      }))
  })
}

async function digestFor(repository: Repository, tag: string): Promise<Digest> {
  return (await repository.headManifest(tag))?.digest ?? (await repository.manifest(tag)).descriptor.digest
}

async function listedReferrers(
  repository: Repository,
  digest: Digest,
  artifactType: string | undefined,
): Promise<Descriptor[] | undefined> {
  const query = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`
  const found: Descriptor[] = []
  let isFirst = true
  for await (const answer of pages(repository.session, repository.path(`referrers/${digest}${query}`), repository.scopes)) {
    if (answer.status === 404 && isFirst) {
      await answer.discard()
      return undefined
    }
    if (answer.status !== 200) await repository.refuse(answer, `the referrers of ${digest}`)
    found.push(...pageEntries(await answer.bytes(largestPage), repository.host))
    isFirst = false
  }
  return found
}

function pageEntries(bytes: Uint8Array, host: string): readonly Descriptor[] {
  try {
    return indexEntries(bytes)
  } catch (error) {
    if (!(error instanceof StrakeError && error.code === 'image_invalid')) throw error
    throw protocolError(`${host} answered with a list of referrers that is none: ${error.message}`, undefined, error)
  }
}

async function taggedReferrers(repository: Repository, digest: Digest): Promise<readonly Descriptor[]> {
  try {
    return indexEntries((await repository.manifest(digest.replace(':', '-'))).bytes)
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'registry_not_found') return []
    throw error
  }
}

function indexEntries(bytes: Uint8Array): readonly Descriptor[] {
  const parsed = parseManifest(bytes, 'application/vnd.oci.image.index.v1+json')
  return parsed.kind === 'index' ? parsed.manifests : []
}

async function namesOf(session: Session, target: string, scopes: readonly string[], field: string, what: string): Promise<string[]> {
  const names: string[] = []
  for await (const answer of pages(session, target, scopes)) {
    if (answer.status !== 200) throw await refusalOf(session, answer, what)
    names.push(...stringsIn(await answer.bytes(largestPage), field, session.host))
    if (names.length > mostNames)
      throw new StrakeError('limit_exceeded', `more than ${mostNames} names in ${what}`, {
        details: { limit: 'names', maximum: mostNames },
      })
  }
  return names
}

/** The pages of a list: each answer names the next in a Link header (RFC 8288), which must be of the same registry. */
async function* pages(session: Session, first: string, scopes: readonly string[]): AsyncGenerator<Answer, void, void> {
  let target: string | URL = first
  const seen = new Set<string>()
  for (let count = 0; ; count += 1) {
    const answer: Answer = await session.send({
      method: 'GET',
      target,
      headers: { accept: 'application/json, application/vnd.oci.image.index.v1+json' },
      scopes,
      most: largestPage,
    })
    yield answer
    const next = answer.status === 200 ? nextPage(answer, session.host) : undefined
    if (next === undefined) return
    const base = await session.base()
    const page = inSchemeOf(next, base)
    if (page.origin !== base.origin) throw protocolError(`${session.host} names a next page on another host: ${printable(page.host, 100)}`)
    if (seen.has(page.href)) throw protocolError(`${session.host} names the same page as the next one twice`)
    if (count >= mostPages)
      throw new StrakeError('limit_exceeded', `more than ${mostPages} pages`, { details: { limit: 'pages', maximum: mostPages } })
    seen.add(page.href)
    target = page
  }
}

function nextPage(answer: Answer, host: string): URL | undefined {
  const target = linkOf(answer.headers('link'), 'next')
  if (target === undefined) return undefined
  try {
    return new URL(target, answer.url)
  } catch (cause) {
    throw protocolError(`${host} names a next page that is no address: ${JSON.stringify(printable(target, 100))}`, undefined, cause)
  }
}

function stringsIn(bytes: Buffer, field: string, host: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch (cause) {
    throw protocolError(`${host} answered with something that is not JSON`, undefined, cause)
  }
  const list: unknown =
    typeof value === 'object' && value !== null && Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined
  if (list === null || list === undefined) return []
  if (!Array.isArray(list) || !list.every((each): each is string => typeof each === 'string' && each.length <= 255))
    throw protocolError(`${host} answered with a list of ${field} that is none`)
  return list
}

async function guarded<T>(options: RemoteOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw rejection(error, options.signal)
  }
}
