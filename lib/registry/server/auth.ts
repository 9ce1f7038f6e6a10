import { createHash, timingSafeEqual } from 'node:crypto'
import { Refusal } from './refusal.ts'

/** Knows users by their passwords (RFC 7617). It keeps digests only, and takes the same time whichever part is wrong. */
export class Auth {
  readonly #passwords: ReadonlyMap<string, Buffer>

  constructor(users: Readonly<Record<string, string>>) {
    this.#passwords = new Map(Object.entries(users).map(([user, password]) => [user, digest(password)]))
  }

  get users(): string[] {
    return [...this.#passwords.keys()]
  }

  /** UNAUTHORIZED unless the header has a user and that user's password. */
  check(header: string | undefined): void {
    const encoded = /^basic +([a-z0-9+/]+={0,2}) *$/i.exec(header ?? '')?.[1]
    const pair = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8')
    const colon = pair.indexOf(':')
    const expected = this.#passwords.get(colon < 0 ? '' : pair.slice(0, colon))
    const isRight = timingSafeEqual(digest(pair.slice(colon + 1)), expected ?? digest(''))
    if (isRight && expected !== undefined && colon > 0) return
    throw new Refusal(401, 'UNAUTHORIZED', encoded === undefined ? 'user and password are needed' : 'user or password is wrong', {
      headers: { 'WWW-Authenticate': 'Basic realm="registry", charset="UTF-8"' },
    })
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
