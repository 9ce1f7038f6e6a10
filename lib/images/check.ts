import { StrakeError } from '../errors/index.ts'
import { type Digest, parseDigest } from '../store/index.ts'

/**
 * Reads JSON that came from elsewhere, field by field. Whatever is not of the type that it must have is refused as `image_invalid`, with the path
 * to it; what is absent or null is the caller's to decide.
 */
export class Checked {
  readonly #value: unknown
  readonly #path: string

  constructor(value: unknown, path: string) {
    this.#value = value
    this.#path = path
  }

  static parse(bytes: Uint8Array, what: string): Checked {
    try {
      return new Checked(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), what)
    } catch (cause) {
      throw new StrakeError('image_invalid', `the ${what} is not JSON`, { cause })
    }
  }

  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null
  }

  fail(expected: string): StrakeError {
    return new StrakeError('image_invalid', `${this.#path} is not ${expected}`, { details: { path: this.#path } })
  }

  field(name: string): Checked {
    if (typeof this.#value !== 'object' || this.#value === null || Array.isArray(this.#value)) throw this.fail('an object')
    const value = Object.hasOwn(this.#value, name) ? (this.#value as Record<string, unknown>)[name] : undefined
    return new Checked(value, `${this.#path}.${name}`)
  }

  /** undefined when absent or null. */
  optional<T>(read: (value: this) => T): T | undefined {
    return this.isAbsent ? undefined : read(this)
  }

  string(): string {
    if (typeof this.#value !== 'string') throw this.fail('a string')
    return this.#value
  }

  number(): number {
    if (typeof this.#value !== 'number' || !Number.isSafeInteger(this.#value)) throw this.fail('a whole number')
    return this.#value
  }

  size(): number {
    const size = this.number()
    if (size < 0) throw this.fail('a size')
    return size
  }

  boolean(): boolean {
    if (typeof this.#value !== 'boolean') throw this.fail('a boolean')
    return this.#value
  }

  digest(): Digest {
    try {
      return parseDigest(this.#value, 'image_invalid')
    } catch (cause) {
      throw new StrakeError('image_invalid', `${this.#path} is not a digest`, { cause, details: { path: this.#path } })
    }
  }

  list(most = 10_000): Checked[] {
    if (!Array.isArray(this.#value)) throw this.fail('a list')
    if (this.#value.length > most)
      throw new StrakeError('limit_exceeded', `${this.#path} has more than ${most} entries`, {
        details: { limit: 'listEntries', maximum: most },
      })
    return this.#value.map((each: unknown, index) => new Checked(each, `${this.#path}[${index}]`))
  }

  strings(): string[] {
    return this.list(100_000).map((each) => each.string())
  }

  /** The keys of an object whose values do not matter (`{"80/tcp": {}}`). */
  set(): Record<string, Record<string, never>> {
    return Object.fromEntries(this.entries().map(([key]) => [key, {}]))
  }

  record(): Record<string, string> {
    return Object.fromEntries(this.entries().map(([key, value]) => [key, value.string()]))
  }

  entries(): [string, Checked][] {
    if (typeof this.#value !== 'object' || this.#value === null || Array.isArray(this.#value)) throw this.fail('an object')
    return Object.entries(this.#value).map(([key, value]) => [key, new Checked(value, `${this.#path}.${key}`)])
  }
}

/** An object without the fields that are undefined. */
export function compact<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> }
}
