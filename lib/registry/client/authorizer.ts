import { StrakeError } from '../../errors/index.ts'
import { digestOf } from '../../store/index.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Credentials, FoundCredentials } from './credentials.ts'
import type { Answer, ExchangeRequest } from './exchange.ts'
import { printable, problemHint, protocolError, refusal } from './failure.ts'
import { isInward } from './hosts.ts'

export interface AuthorizerOptions {
  /** Of the registry. */
  readonly base: URL
  readonly credentials: () => Promise<FoundCredentials>
  /** Sends a request to a token service, and reads up to `most` bytes: tries again where that helps, and takes no credentials along to other hosts. */
  readonly send: (request: ExchangeRequest, most: number) => Promise<Answer>
  readonly signal?: AbortSignal | undefined
}

interface Token {
  readonly value: string
  /** Milliseconds since 1970. */
  readonly expires: number
}

const largestAnswer = 1024 * 1024
/** Seconds a token is good for where its service does not say (distribution, "Token Authentication Specification"). */
const usualLife = 60
/** Seconds before its end from which on a token is not used. */
const margin = 5
/** Tokens outlive a call, so that the next one need not ask again; by a digest of all that went into them. */
const tokens = new Map<string, Token>()
const mostTokens = 1000

/** Tells a registry who asks: nothing until it wants to know, then by Basic or with a token from the service that it names. */
export class Authorizer {
  readonly #options: AuthorizerOptions
  #challenge: Challenge | undefined
  #asked: Promise<FoundCredentials> | undefined
  /** The latest token for some scopes, which may have come from the cache. */
  readonly #used = new Map<string, string>()

  constructor(options: AuthorizerOptions) {
    this.#options = options
  }

  /** The Authorization header for a request, as far as one is known to be wanted. */
  async header(scopes: readonly string[]): Promise<string | undefined> {
    const { credentials } = this.#asked ? await this.#asked : { credentials: undefined }
    if (this.#challenge === undefined) return undefined
    if (this.#challenge.scheme === 'basic') return credentials?.kind === 'basic' ? basic(credentials) : undefined
    return `Bearer ${await this.#token(this.#challenge, scopes)}`
  }

  /**
   * Takes a 401 in. Resolves to the header to try again with, or undefined when it has nothing better to say than it said before. Rejects with
   * `registry_unauthorized`, `registry_protocol`.
   */
  async respond(answer: Answer, scopes: readonly string[], said: string | undefined): Promise<string | undefined> {
    const challenges = parseChallenges(answer.headers('www-authenticate'))
    const challenge = challenges.find((each) => each.scheme === 'bearer') ?? challenges.find((each) => each.scheme === 'basic')
    if (challenge === undefined) return undefined
    this.#challenge = challenge
    const { credentials, problems } = await this.#credentials()
    if (challenge.scheme === 'basic') {
      if (credentials !== undefined && credentials.kind !== 'basic') throw this.#noPassword()
      if (credentials === undefined) throw this.#unknown(problems)
      const header = basic(credentials)
      return header === said ? undefined : header
    }
    if (credentials?.kind === 'bearer') {
      const header = `Bearer ${credentials.token}`
      return header === said ? undefined : header
    }
    const key = scopes.join(' ')
    const before = this.#used.get(key)
    if (before !== undefined && said === `Bearer ${before}`) this.#forget(before)
    const header = `Bearer ${await this.#token(challenge, scopes)}`
    return header === said ? undefined : header
  }

  /** What kept credentials from being found, where they were looked for and there are none. */
  async problems(): Promise<readonly StrakeError[]> {
    const found = await this.#asked
    return found === undefined || found.credentials ? [] : found.problems
  }

  #credentials(): Promise<FoundCredentials> {
    this.#asked ??= this.#options.credentials()
    return this.#asked
  }

  #unknown(problems: readonly StrakeError[]): StrakeError {
    const { base } = this.#options
    return new StrakeError('registry_unauthorized', `${base.host} wants to know who asks, and there are no credentials for it`, {
      hint: problemHint(problems) ?? `give { auth: { username, password } }, or docker login ${base.host}`,
      cause: problems[0],
      details: { host: base.host },
    })
  }

  #noPassword(): StrakeError {
    const { host } = this.#options.base
    return new StrakeError('registry_unauthorized', `${host} takes a user name and a password (Basic), and there is only a token for it`, {
      hint: `a token is for registries that take one (Bearer); here give { auth: { username, password } }, or docker login ${host}`,
      details: { host },
    })
  }

  #forget(value: string): void {
    for (const [key, token] of tokens) if (token.value === value) tokens.delete(key)
  }

  async #token(challenge: Challenge, wanted: readonly string[]): Promise<string> {
    const { credentials } = await this.#credentials()
    if (credentials?.kind === 'bearer') return credentials.token
    const realm = checkRealm(challenge.parameters.get('realm'), this.#options.base)
    const service = challenge.parameters.get('service') ?? ''
    const asked = (challenge.parameters.get('scope') ?? '').split(' ').filter(Boolean)
    const scopes = [...new Set([...wanted, ...(wanted.length > 0 && this.#isKnown(wanted, asked) ? [] : asked)])].sort()
    const key = digestOf(JSON.stringify([this.#options.base.href, realm.href, service, scopes, credentials ?? null]))
    const known = tokens.get(key)
    const token = known && known.expires > Date.now() ? known : await this.#fetch(realm, service, scopes, credentials)
    tokens.delete(key)
    tokens.set(key, token)
    const [oldest] = tokens.keys()
    if (tokens.size > mostTokens && oldest !== undefined) tokens.delete(oldest)
    this.#used.set(wanted.join(' '), token.value)
    return token.value
  }

  /** A challenge is kept for later requests, whose scopes are others: those of its own first request are not asked for again with them. */
  #isKnown(wanted: readonly string[], asked: readonly string[]): boolean {
    const nameOf = (scope: string): string => scope.slice(0, scope.lastIndexOf(':'))
    return asked.every((each) => !wanted.some((mine) => nameOf(mine) === nameOf(each)))
  }

  async #fetch(realm: URL, service: string, scopes: readonly string[], credentials: Credentials | undefined): Promise<Token> {
    const answer = await this.#options.send(tokenRequest(realm, service, scopes, credentials, this.#options.signal), largestAnswer)
    if (answer.status === 200) return parseToken(await answer.bytes(largestAnswer), realm)
    // What it has to say of a refusal is of use, and not needed.
    const body = await answer.bytes(largestAnswer).catch(() => Buffer.alloc(0))
    if (answer.status === 400 || answer.status === 401 || answer.status === 403) {
      const problems = await this.problems()
      const who =
        credentials?.kind === 'basic' ? `user ${printable(credentials.username, 60)}` : credentials ? 'that token' : 'a nameless user'
      throw new StrakeError('registry_unauthorized', `${realm.host} gives ${who} no token for ${this.#options.base.host}`, {
        hint: problemHint(problems) ?? 'check the credentials; a repository that does not exist is refused so, too',
        cause: problems[0] ?? refusal(answer.status, body, 'the request for a token', realm.host),
        details: { host: this.#options.base.host, realm: realm.host, status: answer.status },
      })
    }
    throw refusal(answer.status, body, 'the request for a token', realm.host)
  }
}

function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/**
 * Where a token may be fetched, and so where credentials may go: over TLS to whatever public host a registry names over TLS; without TLS only to the
 * registry's own host, since anybody on the way could have named another. A public registry names no address of a private network.
 */
export function checkRealm(text: string | undefined, base: URL): URL {
  const refuse = (why: string): StrakeError =>
    protocolError(`${base.host} names a token service that is not asked: ${JSON.stringify(printable(text ?? '', 100))} ${why}`, {
      realm: text?.slice(0, 200),
    })
  if (text === undefined) throw refuse('is not there')
  const realm = tryUrl(text)
  if (realm === undefined) throw refuse('is not a URL')
  if (realm.protocol !== 'https:' && realm.protocol !== 'http:') throw refuse('is not of the web')
  if (realm.username !== '' || realm.password !== '') throw refuse('has credentials in it')
  if (realm.hostname === base.hostname && (realm.protocol === 'https:' || base.protocol === 'http:')) return realm
  if (realm.protocol !== 'https:') throw refuse('is not reached by TLS')
  if (base.protocol !== 'https:') throw refuse('is on another host, and the registry is not reached by TLS')
  if (isInward(realm.hostname) && !isInward(base.hostname)) throw refuse('is on a private network')
  return realm
}

function tryUrl(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

function tokenRequest(
  realm: URL,
  service: string,
  scopes: readonly string[],
  credentials: Credentials | undefined,
  signal: AbortSignal | undefined,
): ExchangeRequest {
  if (credentials?.kind === 'identity') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', service, client_id: 'strake', refresh_token: credentials.token })
    if (scopes.length > 0) form.set('scope', scopes.join(' '))
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    return { method: 'POST', url: realm, headers, body: Buffer.from(form.toString()), signal }
  }
  const url = new URL(realm)
  if (service !== '') url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const headers = { accept: 'application/json', ...(credentials?.kind === 'basic' ? { authorization: basic(credentials) } : {}) }
  return { method: 'GET', url, headers, signal }
}

function parseToken(body: Uint8Array, realm: URL): Token {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  } catch (cause) {
    throw protocolError(`the token service ${realm.host} did not answer with JSON`, { realm: realm.host }, cause)
  }
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const token = [fields.token, fields.access_token].find((each) => typeof each === 'string' && each !== '')
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw protocolError(`the token service ${realm.host} answered without a token`, { realm: realm.host })
  const life = typeof fields.expires_in === 'number' && fields.expires_in > 0 ? fields.expires_in : usualLife
  return { value: token, expires: Date.now() + Math.max(0, life - margin) * 1000 }
}
