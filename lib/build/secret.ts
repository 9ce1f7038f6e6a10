import { isRecord, kindOfValue } from '../errors/index.ts'
import { checkText, invalidArgument } from './argument.ts'

/** Bytes that a secret may have, as with BuildKit. */
export const maxSecretBytes = 500 * 1024

/** A text that no printer of values, no JSON and no digest of a step gets to see. */
export class SecretValue {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toJSON(): string {
    return '[secret]'
  }

  toString(): string {
    return '[secret]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}

/** Where a secret's value is: at hand, in a file, in a variable of this process. */
export type SecretSource =
  | { readonly kind: 'value'; readonly value: SecretValue }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string }

/** A secret as a caller gives it: its value, the path of a file, or the name of a variable of this process's environment. */
export type SecretInput = string | { readonly file: string } | { readonly env: string }

/** What an id of a secret, a cache or an agent may be. */
export function checkId(argument: string, value: unknown): string {
  const id = checkText(argument, value)
  if (id.length > 200 || /[\x00-\x1f\x7f]/.test(id))
    throw invalidArgument(argument, 'must have at most 200 characters, none of them a control character')
  return id
}

function secretSource(id: string, input: unknown): SecretSource {
  const argument = `secrets.${id}`
  if (typeof input === 'string') {
    if (Buffer.byteLength(input) > maxSecretBytes) throw invalidArgument(argument, `is longer than ${maxSecretBytes} bytes`)
    return Object.freeze({ kind: 'value', value: new SecretValue(input) })
  }
  const names = isRecord(input) ? Object.keys(input) : []
  if (!isRecord(input) || names.length !== 1)
    throw invalidArgument(argument, `must be a string, { file } or { env }, not ${kindOfValue(input)}`)
  if (names[0] === 'file') return Object.freeze({ kind: 'file', path: checkText(`${argument}.file`, input.file) })
  if (names[0] === 'env') return Object.freeze({ kind: 'env', name: checkText(`${argument}.env`, input.env) })
  throw invalidArgument(argument, 'must be a string, { file } or { env }')
}

/** Secrets by id, checked; no message has a value in it. */
export function checkSecrets(value: unknown): Readonly<Record<string, SecretSource>> {
  if (!isRecord(value)) throw invalidArgument('secrets', `must be an object, not ${kindOfValue(value)}`)
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([id, input]) => [checkId('secrets', id), secretSource(id, input)])))
}
