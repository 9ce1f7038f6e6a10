import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Docker's own fields, which no other engine has or which are about its containers. */
const others = [
  'Hostname',
  'Domainname',
  'Image',
  'ArgsEscaped',
  'AttachStdin',
  'AttachStdout',
  'AttachStderr',
  'Tty',
  'OpenStdin',
  'StdinOnce',
]

/** What a config says: fields that are not docker's own and not empty, and the author. */
export function saidOf(config: Readonly<Record<string, unknown>>, author: string | undefined): Record<string, unknown> {
  const isEmpty = (value: unknown): boolean =>
    value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
  const said = Object.entries(config).filter(([field, value]) => !others.includes(field) && !isEmpty(value))
  return { ...Object.fromEntries(said), ...(author ? { author } : {}) }
}

/** A directory with a Dockerfile and the files that the cases speak of. */
export function caseContext(directory: string, name: string, text: string): string {
  const context = join(directory, `context-${name}`)
  mkdirSync(join(context, 'd'), { recursive: true })
  writeFileSync(join(context, 'f'), 'f')
  writeFileSync(join(context, 'd', 'g'), 'g')
  writeFileSync(join(context, 'Dockerfile'), text)
  return context
}
