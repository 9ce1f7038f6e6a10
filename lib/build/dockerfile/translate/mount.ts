import { posix } from 'node:path'
import type { RunMount } from '../../mount.ts'
import type { Base } from '../../step.ts'
import { bind, cache, secret, ssh, tmpfs } from '../../steps/mounts.ts'
import { located, quoted } from '../position.ts'
import { expanded, failAt, positionOf, type Statement, type Word } from '../statement.ts'
import type { Surroundings } from '../surroundings.ts'

/** `--mount=type=…,…` with its values in place. */
interface Fields {
  readonly type: string
  readonly values: ReadonlyMap<string, string>
  /** Names that stand without a value. */
  readonly names: ReadonlySet<string>
}

const aliases: Readonly<Record<string, string>> = { src: 'source', dst: 'target', destination: 'target', ro: 'readonly', rw: 'readwrite' }

/** What each type of mount takes beside `type`, as BuildKit has it. */
const fieldsOfType: Readonly<Record<string, readonly string[]>> = {
  bind: ['target', 'source', 'from', 'readonly', 'readwrite'],
  cache: ['target', 'source', 'from', 'id', 'sharing', 'mode', 'uid', 'gid', 'readonly', 'readwrite'],
  tmpfs: ['target', 'size'],
  secret: ['id', 'source', 'target', 'env', 'required', 'mode', 'uid', 'gid', 'readonly'],
  ssh: ['id', 'target', 'required', 'mode', 'uid', 'gid', 'readonly'],
}

/** Comma-separated fields; one in double quotes may hold commas, and quotes twice. */
function splitFields(text: string): string[] {
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, inQuotes, plain = '']) => inQuotes?.replaceAll('""', '"') ?? plain,
  )
}

function parseFields(statement: Statement, flag: Word, lookup: Surroundings['lookup']): Fields {
  const values = new Map<string, string>()
  const names = new Set<string>()
  for (const field of splitFields(flag.text)) {
    const [, written = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(field) ?? []
    const name = aliases[written.toLowerCase()] ?? written.toLowerCase()
    if (values.has(name) || names.has(name)) throw failAt(statement, flag.offset, `--mount has ${name} twice`)
    if (value === undefined) names.add(name)
    else values.set(name, expanded(statement, { text: value, offset: flag.offset }, lookup))
  }
  const type = values.get('type')?.toLowerCase() ?? 'bind'
  const known = fieldsOfType[type]
  if (!known)
    throw failAt(
      statement,
      flag.offset,
      `--mount has the unknown type ${quoted(type)}`,
      `types are ${Object.keys(fieldsOfType).join(', ')}`,
    )
  for (const name of [...values.keys(), ...names]) {
    if (name !== 'type' && !known.includes(name))
      throw failAt(statement, flag.offset, `a mount of type ${type} has no ${quoted(name)}`, `it has ${known.join(', ')}`)
  }
  for (const name of names) {
    if (!['readonly', 'readwrite', 'required'].includes(name))
      throw failAt(statement, flag.offset, `${name} of --mount needs a value: ${name}=…`)
  }
  return { type, values, names }
}

/** The value of `from=`, which no variable can stand in. */
export function mountBase(flag: Word): string | undefined {
  return splitFields(flag.text).flatMap((field) => /^from=(.+)$/is.exec(field)?.[1] ?? [])[0]
}

function yes(statement: Statement, flag: Word, fields: Fields, name: string): boolean | undefined {
  if (fields.names.has(name)) return true
  const value = fields.values.get(name)
  if (value === undefined) return undefined
  if (/^(1|t|true)$/i.test(value)) return true
  if (/^(0|f|false)$/i.test(value)) return false
  throw failAt(statement, flag.offset, `${name} of --mount is true or false, not ${quoted(value)}`)
}

function numbers(statement: Statement, flag: Word, { values }: Fields): Record<string, number> {
  return Object.fromEntries(
    ['mode', 'uid', 'gid'].flatMap((name): [string, number][] => {
      const value = values.get(name)
      if (value === undefined) return []
      const isMode = name === 'mode'
      if (!(isMode ? /^[0-7]{1,6}$/ : /^\d{1,10}$/).test(value))
        throw failAt(statement, flag.offset, `${name} of --mount is ${isMode ? 'octal' : 'a number'}, not ${quoted(value)}`)
      return [[name, Number.parseInt(value, isMode ? 8 : 10)]]
    }),
  )
}

/** The fields that are there, by the names that the verbs have for them. */
function texts({ values }: Fields, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (values.get(name) ? [[name, values.get(name) ?? '']] : [])))
}

function secretId(statement: Statement, flag: Word, { values }: Fields): string {
  const id = values.get('id') || values.get('source')
  if (id) return id
  const target = values.get('target')
  if (!target) throw failAt(statement, flag.offset, 'a mount of type secret needs an id or a target')
  return posix.basename(target)
}

function made(statement: Statement, flag: Word, fields: Fields, from: Base | undefined): RunMount {
  const target = fields.values.get('target') ?? ''
  const flagOf = (name: string): boolean | undefined => yes(statement, flag, fields, name)
  const required = flagOf('required') ? { required: true } : {}
  if (['bind', 'cache', 'tmpfs'].includes(fields.type) && target === '')
    throw failAt(statement, flag.offset, `a mount of type ${fields.type} needs a target`)
  const origin = from ? { from } : {}
  switch (fields.type) {
    case 'cache': {
      const { source = '.', ...rest } = texts(fields, ['id', 'sharing', 'source'])
      const sharing = rest.sharing?.toLowerCase()
      if (sharing !== undefined && sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked')
        throw failAt(statement, flag.offset, `sharing of --mount is shared, private or locked, not ${quoted(sharing)}`)
      const options = { ...rest, ...numbers(statement, flag, fields), readOnly: flagOf('readonly') ?? flagOf('readwrite') === false }
      const mount = cache(target, { ...options, ...(sharing ? { sharing } : {}), ...(from ? { from: 'scratch', source } : {}) })
      return Object.freeze({ ...mount, ...origin })
    }
    case 'tmpfs':
      return tmpfs(target, texts(fields, ['size']))
    case 'secret':
      return secret(secretId(statement, flag, fields), {
        ...texts(fields, ['target', 'env']),
        ...numbers(statement, flag, fields),
        ...required,
      })
    case 'ssh':
      return ssh({ ...texts(fields, ['id', 'target']), ...numbers(statement, flag, fields), ...required })
    default: {
      const readWrite = flagOf('readwrite') ?? flagOf('readonly') === false
      return Object.freeze({ ...bind(target, { ...texts(fields, ['source']), readWrite }), ...origin })
    }
  }
}

/** The mounts of a RUN. What they come from is looked up before any variable is, so that it is known in any case. */
export function mountsOf(statement: Statement, flags: readonly Word[], { lookup, base }: Surroundings): RunMount[] {
  const bases = flags.map((flag) => {
    const name = mountBase(flag)
    return name === undefined ? undefined : base(name, positionOf(statement, flag.offset))
  })
  return flags.map((flag, index) => {
    try {
      return made(statement, flag, parseFields(statement, flag, lookup), bases[index])
    } catch (error) {
      throw located(error, positionOf(statement, flag.offset))
    }
  })
}
