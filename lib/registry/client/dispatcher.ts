import type { Dispatcher } from 'undici'
import { digestOf } from '../../store/index.ts'
import { usualAuthorities } from './authorities.ts'
import type { Certificates } from './certificates.ts'
import { proxyFor, proxyUrl } from './proxy.ts'

/** How a host is connected to. */
export interface Connecting {
  readonly certificates: Certificates
  /** Certificates are taken unverified. */
  readonly insecure: boolean
  /** Milliseconds. */
  readonly timeout: number
}

/** Kept for the process: their connections are used again by the next pull, and do not keep the process alive. */
const known = new Map<string, Promise<Dispatcher>>()
const mostKnown = 32

/** The HTTP client's connection pool for a URL: by its proxy and certificates. */
export async function dispatcherFor(url: URL, connecting: Connecting): Promise<Dispatcher> {
  const proxy = proxyFor(url)
  const key = digestOf(JSON.stringify([proxy ?? '', connecting]))
  const found = known.get(key)
  if (found) return await found
  const made = makeDispatcher(proxy, connecting)
  known.set(key, made)
  const [oldest] = known.keys()
  if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
  return await made
}

async function makeDispatcher(proxy: string | undefined, { certificates, insecure, timeout }: Connecting): Promise<Dispatcher> {
  // Loaded when the first registry is spoken to: `import 'strake'` stays quick.
  const { Agent, Pool, ProxyAgent } = await import('undici')
  const { ca, cert, key } = certificates
  const tls = {
    rejectUnauthorized: !insecure,
    ...(ca.length > 0 ? { ca: [...(await usualAuthorities()), ...ca] } : {}),
    ...(cert !== undefined && key !== undefined ? { cert, key } : {}),
  }
  // Times are kept by the exchange, which knows when nothing comes and when merely nobody reads.
  const common = { headersTimeout: 0, bodyTimeout: 0, allowH2: false }
  if (proxy === undefined) return new Agent({ ...common, connect: { ...tls, timeout } })
  const uri = proxyUrl(proxy)
  return new ProxyAgent({
    ...common,
    uri: uri.href,
    // Plain HTTP is asked of the proxy itself, as curl and Go's programs do: many let nobody through to ports other than 443.
    proxyTunnel: false,
    factory: (origin, options) => new Pool(origin, { ...options, ...common }),
    requestTls: { ...tls, timeout },
    proxyTls: { timeout },
  })
}
