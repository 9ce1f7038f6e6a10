import { StrakeError } from '../../errors/index.ts'
import { parseReference } from '../../images/index.ts'

/** Where a repository may be had from. */
export interface Source {
  readonly host: string
  /** What stands before the repository's name there. */
  readonly prefix: string
  readonly isMirror: boolean
}

/** `mirror.example:5000` or `mirror.example/path`: checked by the grammar of references. */
export function mirrorsOf(mirrors: readonly string[] | undefined): Source[] {
  if (mirrors === undefined) return []
  if (!Array.isArray(mirrors)) throw new StrakeError('invalid_argument', 'mirrors is a list of hosts')
  return mirrors.map((mirror: unknown) => {
    if (typeof mirror !== 'string' || mirror.includes('://') || mirror.includes('@'))
      throw new StrakeError('invalid_argument', `a mirror is a host, perhaps with a path: not ${JSON.stringify(mirror)}`, {
        hint: "for example 'mirror.example:5000' or 'cache.example/hub'; plain HTTP is chosen by { insecure: true }",
      })
    const [host = '', ...path] = mirror.replace(/\/$/, '').split('/')
    // A host without a dot is one here, where no repository can be meant.
    const { repository } = parseReference(`mirror.invalid/${[...path, 'x'].join('/')}`)
    parseReference(`${host.includes('.') || host.includes(':') ? host : `${host}:443`}/x`)
    return { host, prefix: repository.split('/').slice(0, -1).join('/'), isMirror: true }
  })
}
