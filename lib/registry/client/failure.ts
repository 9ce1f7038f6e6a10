import { type ErrorCode, StrakeError } from '../../errors/index.ts'
import { speaksTls, wordsOf } from './handshake.ts'
import { shownProxyFor } from './proxy.ts'

/** Why an exchange came to nothing: the error to reject with, and whether the same request may do better later. */
export interface Failure {
  readonly error: StrakeError
  readonly isFinal: boolean
}

const tlsCodes = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO$)/
/** Not among them: UND_ERR_RES_CONTENT_LENGTH_MISMATCH, which is what a body is called that was cut. */
const protocolCodes = /^(HPE_|UND_ERR_HEADERS_OVERFLOW|ERR_HTTP_)/

/** Reads a rejection of the HTTP client. The connection's own error may be below it. */
export function networkFailure(error: unknown, url: URL): Failure {
  if (error instanceof StrakeError) return { error, isFinal: true }
  const code = codeOf(error)
  const proxy = isOfProxy(code, error) ? shownProxyFor(url) : undefined
  const where = `${url.protocol}//${url.host}${proxy ? ` by the proxy ${proxy}` : ''}`
  const said = error instanceof Error ? plainWords(error.message || code) : String(error)
  const make = (kind: ErrorCode, hint?: string): StrakeError =>
    new StrakeError(kind, `${where}: ${printable(said)}`, { cause: error, hint, details: { host: url.host, cause: code } })
  if (proxy) return { error: make('registry_unavailable', proxyHint), isFinal: code === 'ENOTFOUND' || /\(4[0-9][0-9]\)/.test(said) }
  if (tlsCodes.test(code)) return { error: make('registry_unavailable', tlsHint(error)), isFinal: true }
  if (protocolCodes.test(code)) return { error: make('registry_protocol'), isFinal: true }
  if (code === 'ENOTFOUND') return { error: make('registry_unavailable', 'no such host: check the reference'), isFinal: true }
  const isEnded = url.protocol === 'https:' && (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET')
  const hint = isEnded ? `it ended the connection: ${wantsCertificate}` : 'is the registry running, and is this its address?'
  return { error: make('registry_unavailable', hint), isFinal: false }
}

const proxyHint = 'the proxy is that of HTTPS_PROXY or HTTP_PROXY; NO_PROXY names the hosts that are reached without it'

/** Whether it is a proxy's fault, where there is one: nobody is connected to but the proxy, which may refuse to go on. */
function isOfProxy(code: string, error: unknown): boolean {
  return (
    /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT)$/.test(code) || /\bproxy\b/i.test(wordsOf(error))
  )
}

const wantsCertificate = "does it want a client's certificate, or another one? give it by { tls: { cert, key } }"
/** Alerts of servers that do (RFC 8446, 6.2); before TLS 1.3 a mere handshake_failure says so. */
const certificateAlert =
  /alert[_ ](certificate|bad[_ ]certificate|no[_ ]certificate|unsupported[_ ]certificate|unknown[_ ]ca|handshake[_ ]failure|access)/i

function tlsHint(error: unknown): string {
  if (speaksTls(error) === false) return 'it speaks plain HTTP: { insecure: true } if that is what you want'
  const words = wordsOf(error)
  if (certificateAlert.test(words)) return wantsCertificate
  if (/unsupported[_ ]protocol|protocol[_ ]version|no[_ ](shared[_ ]cipher|ciphers)|[_ ]too[_ ](small|weak)/i.test(words))
    return 'its TLS is older or weaker than what this Node takes'
  return 'give its certificate authority by { tls: { ca } }, or { insecure: true } if that is what you want'
}

/** OpenSSL's own lines have addresses and file names around what they say. */
function plainWords(message: string): string {
  const said = /:SSL routines:[^:]*:([^:]+)(?::|$)/.exec(message)?.[1]
  return said === undefined ? message : `TLS: ${said}`
}

/** The code of an error, or of the one below it. */
export function codeOf(error: unknown): string {
  for (let each = error, depth = 0; depth < 5 && each instanceof Error; each = each.cause, depth += 1) {
    if ('code' in each && typeof each.code === 'string') return each.code
    if (each instanceof AggregateError) return codeOf(each.errors[0])
  }
  return ''
}

/** Text from elsewhere on one line of an error message. */
export function printable(text: string, most = 300): string {
  const flat = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return flat.length > most ? `${flat.slice(0, most)}…` : flat
}

const byStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'registry_unauthorized',
  403: 'registry_denied',
  404: 'registry_not_found',
  405: 'registry_denied',
  408: 'registry_unavailable',
  413: 'registry_denied',
  429: 'registry_unavailable',
}

const hints: Partial<Record<ErrorCode, string>> = {
  registry_unauthorized:
    'give { auth: { username, password } }, or log in by docker or podman; some registries answer so where there is no such repository',
  registry_denied: 'this user may not do that there',
  registry_not_found: 'check host, repository and tag',
}

const hintsByStatus: Readonly<Record<number, string>> = {
  405: 'it is the same for every user: the registry does not do that, or not while something else is there',
  413: 'it is more than the registry, or a proxy before it, takes at once; { chunkSize } sends a blob in several requests',
}

export interface RefusalContext {
  /** Milliseconds, by the answer's Retry-After. */
  readonly retryAfter?: number | undefined
  /** What kept credentials from being found. */
  readonly problems?: readonly StrakeError[]
}

/** For a refusal of somebody who would have had a name, had it been found. */
export function problemHint([problem]: readonly StrakeError[]): string | undefined {
  return problem && `nobody is named, since ${problem.message}`
}

/** An answer that is a refusal, as an error: its code by the status, its words by the registry's own (distribution-spec, "Error Codes"). */
export function refusal(status: number, body: Uint8Array, what: string, host: string, context: RefusalContext = {}): StrakeError {
  const code = byStatus[status] ?? (status >= 500 ? 'registry_unavailable' : 'registry_protocol')
  const errors = registryErrors(body)
  const said = errors.map(({ code: name, message }) => [name, message].filter(Boolean).join(': ')).join('; ')
  // What nginx says, and those that imitate it.
  const { retryAfter } = context
  const problems = code === 'registry_unauthorized' || code === 'registry_denied' ? (context.problems ?? []) : []
  const later = retryAfter === undefined ? undefined : `it wants to be asked again in ${Math.ceil(retryAfter / 1000)} s`
  const isUnknown = status === 400 && /SSL certificate/i.test(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'))
  return new StrakeError(code, printable(`${host} answered ${status} to ${what}${said && `: ${said}`}`, 600), {
    hint: isUnknown ? wantsCertificate : (later ?? problemHint(problems) ?? hintsByStatus[status] ?? hints[code]),
    cause: problems[0],
    details: { host, status, errors, ...(retryAfter === undefined ? {} : { retryAfter }) },
  })
}

function registryErrors(body: Uint8Array): { code: string; message: string }[] {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  } catch {
    return []
  }
  if (typeof value !== 'object' || value === null || !('errors' in value) || !Array.isArray(value.errors)) return []
  return (value.errors as unknown[]).slice(0, 10).flatMap((each) => {
    if (typeof each !== 'object' || each === null) return []
    const { code, message } = each as Record<string, unknown>
    return [{ code: typeof code === 'string' ? printable(code, 60) : '', message: typeof message === 'string' ? printable(message) : '' }]
  })
}

export function protocolError(message: string, details?: Readonly<Record<string, unknown>>, cause?: unknown): StrakeError {
  return new StrakeError('registry_protocol', printable(message, 600), {
    details,
    cause,
    hint: 'is it a registry, and is nothing between that answers in its place?',
  })
}

/** What a call that was aborted rejects with. */
export function abortedError(signal: AbortSignal): StrakeError {
  return new StrakeError('aborted', 'the call was aborted', { cause: signal.reason })
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal)
}
