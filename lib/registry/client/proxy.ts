import { BlockList, isIP } from 'node:net'
import { StrakeError } from '../../errors/index.ts'
import { isLoopback } from './hosts.ts'

/**
 * The proxy for a URL by the environment, as Go's programs and curl read it: `https_proxy`, `http_proxy`, `no_proxy` (`*`, hosts, `.domains`,
 * addresses, CIDR ranges, each with or without a port), in small letters or capitals. Loopback is never proxied.
 */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const proxy = env[name] || env[name.toUpperCase()]
  if (!proxy || isLoopback(url.hostname) || isExempt(url, env.no_proxy || env.NO_PROXY || '')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

/** The URL of a proxy. Throws `invalid_argument` for what is none, and for a scheme other than those of HTTP; the message has no password in it. */
export function proxyUrl(proxy: string): URL {
  const shown = JSON.stringify(withoutSecrets(proxy))
  let url: URL
  try {
    url = new URL(proxy)
  } catch (cause) {
    throw new StrakeError('invalid_argument', `the proxy ${shown} of the environment is not a URL`, { cause })
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') return url
  throw new StrakeError('invalid_argument', `the proxy ${shown} of the environment is of a kind that is not supported`, {
    hint: 'http:// and https:// are; HTTPS_PROXY and HTTP_PROXY name it, NO_PROXY the hosts that are reached without it',
  })
}

/** The proxy for a URL as a message may have it. */
export function shownProxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const proxy = proxyFor(url, env)
  return proxy && withoutSecrets(proxy)
}

function withoutSecrets(proxy: string): string {
  return proxy.replace(/\/\/[^/]*@/, '//')
}

function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return list
    .toLowerCase()
    .split(/[,\s]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true
      const [, name = entry, wanted] = /^(\[[^\]]*\]|[^:]*):([0-9]+)$/.exec(entry) ?? []
      if (wanted !== undefined && wanted !== port) return false
      return matchesHost(name.replace(/^\[|\]$/g, ''), host)
    })
}

function matchesHost(pattern: string, host: string): boolean {
  const [address = '', bits] = pattern.split('/')
  const family = isIP(address)
  if (family !== 0) {
    if (isIP(host) !== family) return false
    if (bits === undefined) return address === host
    const most = family === 4 ? 32 : 128
    if (!/^[0-9]{1,3}$/.test(bits) || Number(bits) > most) return false
    const range = new BlockList()
    range.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
    return range.check(host, family === 4 ? 'ipv4' : 'ipv6')
  }
  const domain = pattern.replace(/^\*?\./, '')
  if (domain === '') return false
  return host.endsWith(`.${domain}`) || (host === domain && domain === pattern)
}
