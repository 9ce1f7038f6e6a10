import { StrakeError } from '../../errors/index.ts'
import { kindOf, largestManifest } from '../../images/index.ts'
import { algorithmOf, type Descriptor, type Digest, digestOf, isDigest, parseDigest } from '../../store/index.ts'
import type { Answer, RequestBody } from './exchange.ts'
import { printable, protocolError, refusal } from './failure.ts'
import { inSchemeOf } from './hosts.ts'
import type { RemoteOptions } from './options.ts'
import { retryAfter } from './retry.ts'
import { type RegistryRequest, Session } from './session.ts'

/** A manifest or index as a registry gave it, its digest checked. */
export interface FetchedManifest {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

/** What manifests are asked for; the order is that of preference. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const

const accept = manifestTypes.join(', ')
/** An answer that is a refusal says no more than this. */
const refusalBytes = 64 * 1024
/** Types that say nothing: the manifest's own words count then. */
const vague: readonly (string | undefined)[] = [undefined, '', 'application/json', 'text/plain', 'application/octet-stream']

type Tried = Pick<RegistryRequest, 'isTriedAgain'>

export type Access = 'pull' | 'push' | 'delete'

/** One repository of a registry (distribution-spec 1.1; Docker Registry HTTP API V2). Every answer is checked; every refusal is a StrakeError. */
export class Repository {
  readonly session: Session
  readonly name: string
  readonly #scope: string

  constructor(host: string, name: string, options: RemoteOptions, access: Access = 'pull', prefix = '') {
    this.session = new Session(host, name, options)
    this.name = prefix === '' ? name : `${prefix}/${name}`
    this.#scope = `repository:${this.name}:${access === 'push' ? 'pull,push' : access === 'delete' ? 'pull,delete' : 'pull'}`
  }

  get host(): string {
    return this.session.host
  }

  path(rest: string): string {
    return `v2/${this.name}/${rest}`
  }

  /** A manifest of it by its tag or digest, for a message. */
  named(reference: string): string {
    return `${this.name}${isDigest(reference) ? '@' : ':'}${reference}`
  }

  get scopes(): readonly string[] {
    return [this.#scope]
  }

  /** Rejects with what a refusal says, by its status. */
  async refuse(answer: Answer, what: string): Promise<never> {
    throw await refusalOf(this.session, answer, what)
  }

  /** What a tag or digest stands for, by its headers alone; undefined where the registry does not say enough. Rejects with `registry_not_found`. */
  async headManifest(reference: string): Promise<Descriptor | undefined> {
    const answer = await this.session.send({
      method: 'HEAD',
      target: this.path(`manifests/${reference}`),
      headers: { accept },
      scopes: this.scopes,
    })
    await answer.discard()
    if (answer.status === 404) await this.refuse(answer, `HEAD of ${this.named(reference)}`)
    if (answer.status !== 200) return undefined
    const digest = answer.header('docker-content-digest')
    const mediaType = bareType(answer.header('content-type'))
    const size = Number(answer.header('content-length'))
    if (digest === undefined || mediaType === undefined || !Number.isSafeInteger(size)) return undefined
    return { digest: parseDigest(digest, 'registry_protocol'), mediaType, size }
  }

  /** Rejects with `registry_not_found`, `digest_mismatch`, `limit_exceeded` (4 MiB), `image_invalid` for one of no known type. */
  async manifest(reference: string, expected?: Descriptor): Promise<FetchedManifest> {
    const answer = await this.#getManifest(reference, accept)
    if (answer.status !== 200) await this.refuse(answer, `the manifest ${this.named(reference)}`)
    const bytes = await answer.bytes(largestManifest)
    const told = answer.header('docker-content-digest')
    const claimed = isDigest(reference) ? reference : told === undefined ? undefined : parseDigest(told, 'registry_protocol')
    const digest = digestOf(bytes, claimed && algorithmOf(claimed))
    if (claimed !== undefined && claimed !== digest)
      throw new StrakeError(
        'digest_mismatch',
        `the manifest of ${this.named(printable(reference, 80))} has digest ${digest}, not ${claimed}`,
        {
          details: { expected: claimed, actual: digest },
        },
      )
    if (expected !== undefined && expected.size !== bytes.length)
      throw new StrakeError('size_mismatch', `the manifest ${digest} has ${bytes.length} bytes instead of ${expected.size}`, {
        details: { expected: expected.size, actual: bytes.length },
      })
    const mediaType = typeOf(bytes, bareType(answer.header('content-type')), expected?.mediaType, this.session.host)
    return { bytes, descriptor: { mediaType, digest, size: bytes.length } }
  }

  async #getManifest(reference: string, types: string): Promise<Answer> {
    return await this.session.send({
      method: 'GET',
      target: this.path(`manifests/${reference}`),
      headers: { accept: types },
      scopes: this.scopes,
      most: largestManifest,
    })
  }

  /** What the registry has among its manifests whatever its type; undefined where it has none. Nobody has checked it. */
  async other(digest: Digest): Promise<Buffer | undefined> {
    const answer = await this.#getManifest(digest, '*/*')
    if (answer.status === 200) return await answer.bytes(largestManifest)
    if (answer.status !== 404) await this.refuse(answer, `the manifest ${this.named(digest)}`)
    await answer.discard()
    return undefined
  }

  async hasManifest(digest: Digest): Promise<boolean> {
    return (await this.#head(`manifests/${digest}`, { accept })) === 200
  }

  async hasBlob(digest: Digest, tries: Tried = {}): Promise<boolean> {
    return (await this.#head(`blobs/${digest}`, {}, tries)) === 200
  }

  async #head(rest: string, headers: Readonly<Record<string, string>>, tries: Tried = {}): Promise<number> {
    const answer = await this.session.send({ method: 'HEAD', target: this.path(rest), headers, scopes: this.scopes, ...tries })
    await answer.discard()
    if (answer.status === 401 || answer.status === 403) await this.refuse(answer, `HEAD of ${this.name}`)
    return answer.status
  }

  /** A blob's bytes from `offset` on, as the registry sends them; nobody has checked them. 200 means that it sends all of it nevertheless. */
  async blob(digest: Digest, offset: number): Promise<Answer> {
    const answer = await this.session.send({
      method: 'GET',
      target: this.path(`blobs/${digest}`),
      headers: { accept: '*/*', ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) },
      scopes: this.scopes,
    })
    if (![200, 206, 416].includes(answer.status)) await this.refuse(answer, `the blob ${this.name}@${digest}`)
    return answer
  }

  /** Stores a manifest or index, whose blobs are there, under a tag or its digest. */
  async putManifest(reference: string, mediaType: string, bytes: Uint8Array): Promise<void> {
    const answer = await this.session.send({
      method: 'PUT',
      target: this.path(`manifests/${reference}`),
      headers: { 'content-type': mediaType },
      body: bytes,
      scopes: this.scopes,
    })
    if (answer.status !== 201 && answer.status !== 202 && answer.status !== 200)
      await this.refuse(answer, `PUT of the manifest ${this.named(reference)}`)
    await answer.discard()
    const told = answer.header('docker-content-digest')
    if (told === undefined || !isDigest(told)) return
    const digest = digestOf(bytes, algorithmOf(told))
    if (told !== digest)
      throw protocolError(`${this.host} has stored the manifest ${digest} as ${told}`, { expected: digest, actual: told })
  }

  /** Begins an upload. `mounted`: the registry took the blob over from another repository. Otherwise where the bytes go. */
  async beginUpload(
    mount?: { readonly digest: Digest; readonly from: string },
    tries: Tried = {},
  ): Promise<{ readonly mounted: boolean; readonly location: URL | undefined }> {
    const query = mount ? `?${new URLSearchParams({ mount: mount.digest, from: mount.from })}` : ''
    const scopes = mount ? [...this.scopes, `repository:${mount.from}:pull`] : this.scopes
    const answer = await this.session.send({
      method: 'POST',
      target: this.path(`blobs/uploads/${query}`),
      headers: { 'content-length': '0' },
      scopes,
      isRepeatable: true,
      ...tries,
    })
    if (mount && answer.status === 201) {
      await answer.discard()
      return { mounted: true, location: undefined }
    }
    if (answer.status !== 202) await this.refuse(answer, `the start of an upload to ${this.name}`)
    await answer.discard()
    return { mounted: false, location: await this.locationOf(answer) }
  }

  /** The URL that an upload goes on at. It may be another host's: then without credentials. */
  async locationOf(answer: Answer): Promise<URL> {
    const location = answer.header('location')
    const base = await this.session.base()
    const given = location === undefined ? undefined : parseUrl(location, answer.url)
    const url = given && inSchemeOf(given, base)
    const mayBePlain = base.protocol === 'http:' || this.session.isInsecure
    const isSafe = url !== undefined && (url.protocol === 'https:' || (url.protocol === 'http:' && mayBePlain))
    if (!isSafe || url.username !== '' || url.password !== '')
      throw protocolError(`${this.host} does not say where an upload goes on: ${JSON.stringify(printable(location ?? '', 100))}`)
    return url
  }

  /** How far an upload has come, and where it goes on; undefined when the registry does not know it any more. */
  async uploadStatus(location: URL, tries: Tried = {}): Promise<{ readonly received: number; readonly location: URL } | undefined> {
    const answer = await this.session.send({ method: 'GET', target: location, scopes: this.scopes, ...tries })
    await answer.discard()
    if (answer.status !== 204 && answer.status !== 202 && answer.status !== 200) return undefined
    const range = /^(?:bytes=)?0-([0-9]{1,16})$/.exec(answer.header('range') ?? '')
    // Nothing yet is said by `0-0` or by no range at all: one byte more or less is settled by the registry, which refuses what does not fit.
    const received = range === null || Number(range[1]) === 0 ? 0 : Number(range[1]) + 1
    return { received, location: answer.header('location') === undefined ? location : await this.locationOf(answer) }
  }

  /** Gives an upload up that was not needed. Never rejects. */
  async cancelUpload(location: URL): Promise<void> {
    try {
      await (await this.session.send({ method: 'DELETE', target: location, scopes: this.scopes })).discard()
    } catch {
      // Registries forget such uploads by themselves.
    }
  }

  async sendUpload(
    method: 'PUT' | 'PATCH',
    target: URL,
    body: RequestBody | undefined,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return await this.session.send({
      method,
      target,
      body,
      headers: { 'content-type': 'application/octet-stream', ...(body === undefined ? { 'content-length': '0' } : {}), ...headers },
      scopes: this.scopes,
      // What has become of bytes that were on their way is to be asked first.
      isTriedAgain: false,
    })
  }
}

/** The error for an answer that is a refusal. */
export async function refusalOf(session: Session, answer: Answer, what: string): Promise<StrakeError> {
  const body = await answer.bytes(refusalBytes).catch(() => Buffer.alloc(0))
  return refusal(answer.status, body, what, answer.url.host, {
    retryAfter: retryAfter(answer.header('retry-after')),
    problems: await session.problems(),
  })
}

function parseUrl(text: string, base: URL): URL | undefined {
  try {
    return new URL(text, base)
  } catch {
    return undefined
  }
}

function bareType(header: string | undefined): string | undefined {
  return header?.split(';')[0]?.trim().toLowerCase()
}

/** The type of a manifest: what the header says, or where that says nothing, what its descriptor or the manifest itself does. */
function typeOf(bytes: Buffer, header: string | undefined, expected: string | undefined, host: string): string {
  const mediaType = vague.includes(header) ? (expected ?? ownType(bytes)) : header
  if (mediaType === undefined || kindOf(mediaType) === undefined) {
    if (/prettyjws|manifest\.v1\+json/.test(mediaType ?? ''))
      throw new StrakeError('image_invalid', `${host} has this image in Docker's schema 1 only`, {
        hint: 'push it again with a current Docker',
      })
    throw protocolError(`${host} answered with ${JSON.stringify(printable(mediaType ?? 'something', 80))} instead of a manifest`, {
      mediaType,
    })
  }
  if (expected !== undefined && expected !== mediaType)
    throw new StrakeError('image_invalid', `a manifest announced as ${expected} is sent as ${mediaType}`)
  return mediaType
}

function ownType(bytes: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    if (typeof value !== 'object' || value === null) return undefined
    if ('mediaType' in value && typeof value.mediaType === 'string') return value.mediaType
    if ('schemaVersion' in value && value.schemaVersion === 1) return 'application/vnd.docker.distribution.manifest.v1+json'
    return 'manifests' in value ? manifestTypes[0] : 'layers' in value ? manifestTypes[2] : undefined
  } catch {
    return undefined
  }
}
