/** One link of a Link header: where it leads, and its parameters by their names in small letters. Of several of one name the first counts. */
export interface Link {
  readonly target: string
  readonly parameters: ReadonlyMap<string, string>
}

/** `;name`, `;name=token`, `;name="quoted"`, or a `;` alone. */
const parameter = /\s*;\s*(?:([^\s;,="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*)))?)?/y

/** The links of a Link header (RFC 8288, 3 and appendix B.2). What does not fit the grammar is left out, and what follows it is read. */
export function parseLinks(header: string): Link[] {
  const links: Link[] = []
  for (let start = header.indexOf('<'); start >= 0; ) {
    const end = header.indexOf('>', start)
    if (end < 0) break
    const parameters = new Map<string, string>()
    let position = end + 1
    for (;;) {
      parameter.lastIndex = position
      const match = parameter.exec(header)
      if (match === null) break
      position = parameter.lastIndex
      const name = match[1]?.toLowerCase()
      const value = match[2]?.replace(/\\(.)/gs, '$1') ?? match[3] ?? ''
      if (name !== undefined && !parameters.has(name)) parameters.set(name, value)
    }
    links.push({ target: header.slice(start + 1, end), parameters })
    start = header.indexOf('<', position)
  }
  return links
}

/** Where the first of them leads that has `relation` among its relations, whatever their case. */
export function linkOf(headers: readonly string[], relation: string): string | undefined {
  const has = ({ parameters }: Link): boolean => (parameters.get('rel') ?? '').toLowerCase().split(/\s+/).includes(relation)
  return headers.flatMap(parseLinks).find(has)?.target
}
