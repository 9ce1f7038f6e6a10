import { StrakeError } from '../../errors/index.ts'
import { Authorizer } from './authorizer.ts'
import { type Certificates, givenCertificates, storedCertificates } from './certificates.ts'
import { type FoundCredentials, givenCredentials, storedCredentials } from './credentials.ts'
import { type Connecting, dispatcherFor } from './dispatcher.ts'
import { type Answer, type ExchangeRequest, exchange, type Method, type RequestBody } from './exchange.ts'
import { codeOf, networkFailure, printable, protocolError, throwIfAborted } from './failure.ts'
import { answersInTls, speaksTls } from './handshake.ts'
import { isLoopback } from './hosts.ts'
import { defaultTimeouts, type RemoteOptions, type RemoteTimeouts } from './options.ts'
import { proxyFor } from './proxy.ts'
import { isTransient, longestRetryAfter, pause, pauseBefore, retryAfter } from './retry.ts'

export interface RegistryRequest {
  readonly method: Method
  /** From the registry's root (`v2/…`), or a URL that the registry itself has given. */
  readonly target: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: RequestBody | undefined
  /** What a token must be good for: `repository:library/debian:pull`. */
  readonly scopes: readonly string[]
  /** Whether it may be sent again after an error of the network; default that of its method. */
  readonly isRepeatable?: boolean
  /** false: whoever asks tries again by itself, whatever the answer. Default true. */
  readonly isTriedAgain?: boolean | undefined
  /** Bytes: the body of a 200 is read with it, and one that breaks off asked for again; `limit_exceeded` beyond. */
  readonly most?: number
}

const mostRedirects = 5
const redirects: readonly number[] = [301, 302, 303, 307, 308]
/** Those that keep the method and the body: whatever is asked goes where they say (RFC 9110, 15.4.8 and 15.4.9). */
const keeping: readonly number[] = [307, 308]
/** Docker Hub's registry is not where its name says. */
const hub = 'registry-1.docker.io'
const agent = 'strake/1 (+https://www.npmjs.com/package/strake)'

/** Nobody is there. Of a host that has answered before they pass; of one that never did, asking again makes whoever waits no wiser. */
const unreachable = /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT)$/

/** Which of http and https a host was last found to speak. */
const schemes = new Map<string, { readonly base: URL; readonly until: number }>()
const schemeLife = 60_000
/** Milliseconds that a handshake has which is made to see whether there is one. */
const handshakeTime = 3000

/** Speaks with one registry: finds out how, says who asks where it is asked to, tries again where that helps. */
export class Session {
  /** As in references: `docker.io`, `127.0.0.1:5000`. */
  readonly host: string
  readonly signal: AbortSignal | undefined
  /** How often something is tried again. */
  readonly retries: number
  /** Certificates are taken unverified, and plain HTTP is spoken where an answer leads to it. */
  readonly isInsecure: boolean
  readonly #options: RemoteOptions
  readonly #repository: string
  readonly #timeouts: RemoteTimeouts
  #base: Promise<URL> | undefined
  #certificates: Promise<Certificates> | undefined
  #authorizer: Authorizer | undefined
  #hasAnswered = false
  /** Its scheme is that of an earlier call, and nothing has answered in it yet. */
  #isRemembered = false

  /** @param repository whose credentials are looked for, where a user has several for one host */
  constructor(host: string, repository: string, options: RemoteOptions) {
    this.host = host
    this.signal = options.signal
    this.isInsecure = options.insecure === true
    this.#options = options
    this.#repository = repository
    this.#timeouts = timeoutsOf(options.timeouts)
    this.retries = options.retries === undefined ? 4 : options.retries
    checkWhole('retries', this.retries)
    if (options.tls !== undefined) givenCertificates(options.tls)
    if (options.auth !== undefined) givenCredentials(options.auth)
  }

  /** The answer to a request, of whatever status but those that are worth another try. Rejects with `registry_unavailable`, `registry_unauthorized`, …. */
  async send(request: RegistryRequest): Promise<Answer> {
    const first = urlFor(request, await this.base())
    const isRepeatable = request.isRepeatable ?? request.method !== 'POST'
    const attempt = async (): Promise<Answer> => await withBody(await this.#attempt(request), request.most)
    return await this.#repeat(first, isRepeatable, attempt, request.isTriedAgain === false ? 0 : this.retries)
  }

  /** Asks in the scheme in use. One that is remembered and proves to be another's by now is found out anew, once. */
  async #attempt(request: RegistryRequest): Promise<Answer> {
    const base = await this.base()
    const isRemembered = this.#isRemembered
    try {
      const answer = await this.#authorized(request, urlFor(request, base), base)
      // What servers with TLS say to plain HTTP.
      const isDoubtful = isRemembered && answer.status === 400 && base.protocol === 'http:'
      if (!isDoubtful || !(await this.#hasChanged(base))) return answer
      await answer.discard()
    } catch (error) {
      const isDoubtful = isRemembered && !this.#hasAnswered && !(error instanceof StrakeError) && !unreachable.test(codeOf(error))
      if (!isDoubtful || this.signal?.aborted || !(await this.#hasChanged(base))) throw error
    }
    const now = await this.base()
    return await this.#authorized(request, urlFor(request, now), now)
  }

  async #hasChanged(before: URL): Promise<boolean> {
    if (this.#isRemembered) {
      this.#isRemembered = false
      schemes.delete(this.#name)
      this.#authorizer = undefined
      this.#base = this.#findBase()
    }
    return (await this.base()).origin !== before.origin
  }

  /** Where the registry is: https, or for a host that is named insecure or is this machine, http if nothing there speaks TLS. */
  base(): Promise<URL> {
    this.#base ??= this.#findBase()
    return this.#base
  }

  /** The host that is connected to. */
  get #name(): string {
    return this.host === 'docker.io' ? hub : this.host
  }

  async #findBase(): Promise<URL> {
    const host = this.#name
    const { insecure } = this.#options
    const secure = urlOf(`https://${host}/`, this.host)
    if (insecure === false || !(insecure || isLoopback(secure.hostname))) return secure
    const known = schemes.get(host)
    this.#isRemembered = known !== undefined && known.until > Date.now()
    if (known && this.#isRemembered) return known.base
    const plain = urlOf(`http://${host}/`, this.host)
    const base = (await this.#isSecure(secure, plain)) ? secure : plain
    schemes.set(host, { base, until: Date.now() + schemeLife })
    return base
  }

  /**
   * Whether TLS is spoken there. A certificate that is not believed is TLS, too, and so is a refusal by it: who does not ask for `insecure` is told of it,
   * and not served without.
   * Where it is not clear, plain HTTP is tried: servers with TLS answer that with 400.
   */
  async #isSecure(secure: URL, plain: URL): Promise<boolean> {
    try {
      await this.#probe(secure)
      return true
    } catch (error) {
      throwIfAborted(this.signal)
      if (error instanceof StrakeError) throw error
      const speaks = speaksTls(error)
      if (speaks !== undefined) return speaks
      const isDirect = proxyFor(secure) === undefined && !unreachable.test(codeOf(error))
      if (isDirect && (await answersInTls(secure, Math.min(this.#timeouts.connect, handshakeTime), this.signal))) return true
      throwIfAborted(this.signal)
    }
    try {
      return (await this.#probe(plain)) === 400
    } catch {
      throwIfAborted(this.signal)
      return false
    }
  }

  async #probe(base: URL): Promise<number> {
    const answer = await this.#exchange(
      { method: 'GET', url: new URL('v2/', base), headers: { 'user-agent': agent }, signal: this.signal },
      true,
    )
    await answer.discard()
    return answer.status
  }

  async #repeat(url: URL, isRepeatable: boolean, attempt: () => Promise<Answer>, retries = this.retries): Promise<Answer> {
    for (let tries = 1; ; tries += 1) {
      throwIfAborted(this.signal)
      const isLast = tries > retries
      let wait = pauseBefore(tries)
      try {
        const answer = await attempt()
        if (!isTransient(answer.status) || isLast) return answer
        const asked = retryAfter(answer.header('retry-after'))
        if (asked !== undefined && asked > longestRetryAfter) return answer
        if (!isRepeatable && answer.status !== 429 && answer.status !== 503) return answer
        await answer.discard()
        wait = asked ?? wait
      } catch (error) {
        throwIfAborted(this.signal)
        const failure = networkFailure(error, url)
        const isAbsent = !this.#hasAnswered && unreachable.test(codeOf(error))
        if (failure.isFinal || isAbsent || isLast || !isRepeatable) {
          schemes.delete(this.#name)
          throw failure.error
        }
      }
      await pause(wait, this.signal)
    }
  }

  async #authorized(request: RegistryRequest, url: URL, base: URL): Promise<Answer> {
    // A URL that the registry gave may be another host's: that one learns nothing.
    if (url.origin !== base.origin) return await this.#follow(this.#requestOf(request, url, undefined), base)
    const authorizer = this.#authorizerFor(base)
    let said = await authorizer.header(request.scopes)
    let answer = await this.#follow(this.#requestOf(request, url, said), base)
    // Twice: what was said first may have been a token of the cache that is no longer good.
    for (let round = 0; round < 2 && answer.status === 401 && answer.url.origin === base.origin; round += 1) {
      const next = await authorizer.respond(answer, request.scopes, said)
      if (next === undefined) return answer
      await answer.discard()
      said = next
      answer = await this.#follow(this.#requestOf(request, url, said), base)
    }
    return answer
  }

  #requestOf(request: RegistryRequest, url: URL, authorization: string | undefined): ExchangeRequest {
    const headers = { 'user-agent': agent, ...request.headers, ...(authorization === undefined ? {} : { authorization }) }
    return { method: request.method, url, headers, body: request.body, signal: this.signal }
  }

  /**
   * Follows redirects; such as may change the method only of what merely asks. To another host no credentials, cookies or client certificates go along
   * (CVE-2020-15157), nor a body that has some in it; from https to http only who is `insecure` goes.
   */
  async #follow(request: ExchangeRequest, base: URL, isSecret = false): Promise<Answer> {
    let current = request
    for (let hops = 0; ; hops += 1) {
      const answer = await this.#exchange(current, current.url.origin === base.origin)
      const mayChange = current.method === 'GET' || current.method === 'HEAD'
      if (!(mayChange ? redirects : keeping).includes(answer.status)) return answer
      const location = answer.header('location')
      const next = nextUrl(location, current.url, this.isInsecure)
      if (next !== undefined && isSecret && current.body !== undefined && next.origin !== base.origin) return answer
      await answer.discard()
      if (next === undefined)
        throw protocolError(`${current.url.host} redirects to ${JSON.stringify(printable(location ?? '', 100))}, which is not followed`)
      if (hops >= mostRedirects) throw protocolError(`${base.host} redirects more than ${mostRedirects} times`, { maximum: mostRedirects })
      const { authorization: _, ...headers } = current.headers
      current = { ...current, url: next, headers: next.origin === base.origin ? current.headers : headers }
    }
  }

  async #exchange(request: ExchangeRequest, isOwn: boolean): Promise<Answer> {
    this.#certificates ??= this.#options.tls ? Promise.resolve(givenCertificates(this.#options.tls)) : storedCertificates(this.host)
    const { ca, ...client } = await this.#certificates
    const connecting: Connecting = {
      certificates: isOwn ? { ca, ...client } : { ca },
      insecure: this.isInsecure,
      // The HTTP client's word for none.
      timeout: this.#timeouts.connect === Number.POSITIVE_INFINITY ? 0 : this.#timeouts.connect,
    }
    const answer = await exchange(request, await dispatcherFor(request.url, connecting), this.#timeouts)
    this.#hasAnswered = true
    return answer
  }

  #authorizerFor(base: URL): Authorizer {
    this.#authorizer ??= new Authorizer({
      base,
      credentials: () => this.#credentials(),
      send: (request, most) =>
        this.#repeat(
          request.url,
          true,
          async () =>
            await withBody(
              await this.#follow({ ...request, headers: { 'user-agent': agent, ...request.headers } }, request.url, true),
              most,
            ),
        ),
      signal: this.signal,
    })
    return this.#authorizer
  }

  /** What kept credentials from being found, as far as they have been looked for. */
  async problems(): Promise<readonly StrakeError[]> {
    return (await this.#authorizer?.problems()) ?? []
  }

  async #credentials(): Promise<FoundCredentials> {
    const { auth } = this.#options
    if (auth) return { credentials: givenCredentials(auth), problems: [] }
    return await storedCredentials(this.host, this.#repository, { signal: this.signal })
  }
}

async function withBody(answer: Answer, most: number | undefined): Promise<Answer> {
  return most === undefined || answer.status !== 200 ? answer : await answer.whole(most)
}

function urlFor({ target }: RegistryRequest, base: URL): URL {
  return typeof target === 'string' ? new URL(target, base) : target
}

function urlOf(text: string, host: string): URL {
  try {
    return new URL(text)
  } catch (cause) {
    throw new StrakeError('invalid_reference', `${JSON.stringify(host)} is not the address of a registry`, { cause })
  }
}

function nextUrl(location: string | undefined, from: URL, isInsecure: boolean): URL | undefined {
  if (location === undefined) return undefined
  try {
    const url = new URL(location, from)
    const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && (from.protocol === 'http:' || isInsecure))
    return isSafe && url.username === '' && url.password === '' ? url : undefined
  } catch {
    return undefined
  }
}

/** 0 is none, as of the `timeout` of a command. */
function timeoutsOf(given: Partial<RemoteTimeouts> = {}): RemoteTimeouts {
  const of = (name: keyof RemoteTimeouts): number => {
    const { [name]: value = defaultTimeouts[name] } = given
    if (value !== Number.POSITIVE_INFINITY) checkWhole(name, value)
    return value === 0 ? Number.POSITIVE_INFINITY : value
  }
  return { connect: of('connect'), headers: of('headers'), idle: of('idle') }
}

function checkWhole(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0)
    throw new StrakeError('invalid_argument', `${name} must be a whole number, not ${String(value)}`)
}
