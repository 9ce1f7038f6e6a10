import { isRecord, kindOfValue, StrakeError } from '../errors/index.ts'
import { maxUserId } from '../ids/index.ts'

/** Longest text that an argument of a step may hold, in bytes of UTF-8. */
const maxTextBytes = 1 << 20

/** The error for an argument that cannot be used: `invalid_argument`, its details naming the argument. */
export function invalidArgument(argument: string, why: string, hint?: string): StrakeError {
  return new StrakeError('invalid_argument', `${argument} ${why}`, { hint, details: { argument } })
}

/** A string without NUL, no longer than 1 MiB; empty only when `allowEmpty`. */
export function checkText(argument: string, value: unknown, allowEmpty = false): string {
  if (typeof value !== 'string') throw invalidArgument(argument, `must be a string, not ${kindOfValue(value)}`)
  if (value === '' && !allowEmpty) throw invalidArgument(argument, 'must not be empty')
  if (value.includes('\0')) throw invalidArgument(argument, 'must not contain NUL')
  if (Buffer.byteLength(value) > maxTextBytes) throw invalidArgument(argument, 'is longer than 1 MiB')
  return value
}

/** A text on one line: no control characters. */
export function checkWord(argument: string, value: unknown): string {
  const text = checkText(argument, value)
  if (/[\x00-\x1f\x7f]/.test(text)) throw invalidArgument(argument, 'must not contain control characters')
  return text
}

/** An argv: at least one word, the first not empty. */
export function checkArgv(argument: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw invalidArgument(argument, `must be an array of strings, not ${kindOfValue(value)}`)
  if (value.length === 0) throw invalidArgument(argument, 'must not be empty')
  return Object.freeze(value.map((each: unknown, index) => checkText(`${argument}[${index}]`, each, index > 0)))
}

/** A shell command or an argv. */
export function checkCommand(argument: string, value: unknown): string | readonly string[] {
  if (typeof value === 'string') return checkText(argument, value)
  if (Array.isArray(value)) return checkArgv(argument, value)
  throw invalidArgument(argument, `must be a string or an array of strings, not ${kindOfValue(value)}`)
}

/** A plain object of strings, its keys matching `key`. */
export function checkRecord(argument: string, value: unknown, key: RegExp): Readonly<Record<string, string>> {
  if (!isRecord(value)) throw invalidArgument(argument, `must be an object, not ${kindOfValue(value)}`)
  const entries = Object.entries(value).map(([name, each]): [string, string] => {
    if (!key.test(name)) throw invalidArgument(argument, `has a name that cannot be used: ${JSON.stringify(name)}`)
    if (typeof each !== 'string')
      throw invalidArgument(
        `${argument}.${name}`,
        `must be a string, not ${kindOfValue(each)}`,
        `Give it as text: ${argument}({ ${JSON.stringify(name)}: String(…) }).`,
      )
    return [name, checkText(`${argument}.${name}`, each, true)]
  })
  return Object.freeze(Object.fromEntries(entries))
}

/** Names of environment variables: anything without `=`, white space and NUL, as a shell or a program may use. */
export const variableName = /^[^\s=\0]+$/

/** A user (and group) as `name`, `uid`, `name:group`, `uid:gid`. */
export function checkUser(argument: string, value: unknown): string {
  const text = checkWord(argument, typeof value === 'number' ? String(value) : value)
  if (!/^[^\s:]+(:[^\s:]+)?$/.test(text)) throw invalidArgument(argument, `must be a user or user:group, not ${JSON.stringify(text)}`)
  for (const each of text.split(':'))
    if (/^[-+]?\d+$/.test(each) && !(Number(each) >= 0 && Number(each) <= maxUserId))
      throw invalidArgument(argument, `must have ids from 0 to ${maxUserId}, not ${each}`)
  return text
}
