import { readFileSync } from 'node:fs'
import type { ContainerSpec } from '../process/index.ts'

function hostFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const localHosts = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n'

/** Whether a hosts(5) file has a line for the name. Most have not: in a long one, as those that block advertisers, no line is looked at then. */
function namesHost(hosts: string, name: string): boolean {
  const [text, wanted] = [hosts.toLowerCase(), name.toLowerCase()]
  if (!text.includes(wanted)) return false
  return text.split('\n').some((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1).includes(wanted))
}

/** A hosts(5) file in which a container finds its own name, as a program does that calls gethostname(2) and looks up what that says. */
export function withOwnName(hosts: string, hostname: string): string {
  if (namesHost(hosts, hostname)) return hosts
  return `${hosts}${hosts.endsWith('\n') ? '' : '\n'}127.0.1.1\t${hostname}\n`
}

/** /etc/hosts, hostname and resolv.conf of a container. */
export function engineFiles(network: 'none' | 'host', hostname: string): ContainerSpec['files'] {
  const isHost = network === 'host'
  const hosts = (isHost && hostFile('/etc/hosts')) || localHosts
  return { hosts: withOwnName(hosts, hostname), hostname: `${hostname}\n`, resolvConf: isHost ? hostFile('/etc/resolv.conf') : '' }
}
