import { isIP } from 'node:net'
import { quoted } from '../position.ts'
import { failAt, type Statement, type Word } from '../statement.ts'

/** `80` or `80-90` as its first and last port. */
function range(text: string): { first: number; last: number } | undefined {
  const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const found = { first: Number(first), last: Number(last) }
  return first !== '' && found.first <= found.last && found.last <= 65_535 ? found : undefined
}

/** The ports of a word of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`. A host's address or port before it is checked, and is all the same. */
export function portsOf(statement: Statement, { text, offset }: Word): string[] {
  const [, host = '', ports = '', protocol = 'tcp'] = /^(.*:)?([^:/]*)(?:\/([^/]*))?$/.exec(text) ?? []
  const found = range(ports)
  const kind = protocol.toLowerCase() || 'tcp'
  const [, address = '', hostPorts = ''] = /^(?:(.*):)?([^:]*):$/.exec(host) ?? []
  const isAddress = address === '' || isIP(address.replace(/^\[(.*)\]$/, '$1')) > 0
  if (!found || !['tcp', 'udp', 'sctp'].includes(kind) || !isAddress || (hostPorts !== '' && !range(hostPorts))) {
    throw failAt(statement, offset, `EXPOSE needs a port such as 8080, 53/udp or 8000-8010, not ${quoted(text)}`)
  }
  return Array.from({ length: found.last - found.first + 1 }, (_, index) => `${found.first + index}/${kind}`)
}
