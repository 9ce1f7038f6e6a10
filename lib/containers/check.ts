import { Readable } from 'node:stream'
import { StrakeError } from '../errors/index.ts'
import type { ContainerOptions } from './options.ts'

const isFlag = (value: unknown): boolean => typeof value === 'boolean'
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isList = (value: unknown): boolean => value === undefined || Array.isArray(value)

/** What each option may be where its value is not parsed (a size, a duration) and so checked anyway. */
const checks: { readonly [name in keyof ContainerOptions]?: readonly [what: string, isRight: (value: unknown) => boolean] } = {
  env: ['an object of strings', isRecord],
  user: [
    'a name or a number',
    (value) => typeof value === 'string' || (typeof value === 'number' && Number.isInteger(value) && value >= 0),
  ],
  stdin: [
    "'pipe', a string, bytes or a stream",
    (value) => typeof value === 'string' || value instanceof Uint8Array || value instanceof Readable,
  ],
  tty: ['a boolean or a size', (value) => isFlag(value) || isRecord(value)],
  signal: ['an AbortSignal', (value) => value instanceof AbortSignal],
  check: ['a boolean', isFlag],
  encoding: ["'utf8' or 'buffer'", (value) => value === 'utf8' || value === 'buffer'],
  rlimits: ['an object of limits', isRecord],
  umask: ['a number from 0 to 0o777', (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0o777],
  hostname: ['a string', (value) => typeof value === 'string'],
  capabilities: ['{ add, drop }: lists of names', (value) => isRecord(value) && isList(value.add) && isList(value.drop)],
  seccomp: ["a profile or 'unconfined'", (value) => value === 'unconfined' || isRecord(value)],
  noNewPrivileges: ['a boolean', isFlag],
  readonly: ['a boolean', isFlag],
  time: ['a boolean', isFlag],
}

/** Refuses options of a wrong type, which callers without types could give. Throws `invalid_argument`. */
export function checkOptions(options: ContainerOptions): void {
  if (!isRecord(options)) throw new StrakeError('invalid_argument', 'The options must be an object.')
  for (const [name, [what, isRight]] of Object.entries(checks)) {
    const value = options[name as keyof ContainerOptions]
    if (value !== undefined && !isRight(value)) throw new StrakeError('invalid_argument', `${name} must be ${what}.`)
  }
}
