import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')
// Who connects to no address in particular connects to this machine.
loopback.addAddress('0.0.0.0')
loopback.addAddress('::', 'ipv6')

/** Addresses that mean another machine to whoever writes them than to whoever reads them: RFC 1918, 3927, 4193, 4291, 6598. */
const inward = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  inward.addSubnet(net, bits)
for (const [net, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  inward.addSubnet(net, bits, 'ipv6')

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '').toLowerCase()
}

function inList(list: BlockList, host: string): boolean {
  const family = isIP(host)
  return family !== 0 && list.check(host, family === 4 ? 'ipv4' : 'ipv6')
}

/** Whether a URL's host is this machine: `localhost`, 127.0.0.0/8, ::1, 0.0.0.0, ::. Nothing is resolved. */
export function isLoopback(hostname: string): boolean {
  const host = bare(hostname)
  return host === 'localhost' || host.endsWith('.localhost') || inList(loopback, host)
}

/** Whether a URL's host is written as an address of this machine, this link or a private network. */
export function isInward(hostname: string): boolean {
  return isLoopback(hostname) || inList(inward, bare(hostname))
}

/**
 * A URL that a registry gives, as it is reached: one of its own host in the scheme in use, whichever it says. A registry behind a proxy that ends TLS
 * knows nothing of that.
 */
export function inSchemeOf(url: URL, base: URL): URL {
  const same = new URL(url)
  same.protocol = base.protocol
  return same.origin === base.origin ? same : url
}
