/** One way that a server says it could be asked (RFC 9110, 11.6.1): `Bearer realm="…",service="…"`. Names are in small letters. */
export interface Challenge {
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}

const longest = 8192
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const space = /[ \t]*/y

/** The challenges of WWW-Authenticate headers, of which each may hold several. What does not fit the grammar ends the list. */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap((header) => (header.length > longest ? [] : new ChallengeReader(header).read()))
}

class ChallengeReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Challenge[] {
    const found: { scheme: string; parameters: Map<string, string> }[] = []
    for (;;) {
      while (this.#skipSpace() && this.#take(','));
      const word = this.#match(token)
      if (word === undefined) return found
      this.#skipSpace()
      if (this.#take('=')) {
        this.#skipSpace()
        const value = this.#value()
        const current = found.at(-1)
        if (value === undefined || current === undefined) return found
        const name = word.toLowerCase()
        if (!current.parameters.has(name)) current.parameters.set(name, value)
      } else {
        found.push({ scheme: word.toLowerCase(), parameters: new Map() })
      }
    }
  }

  #skipSpace(): boolean {
    this.#match(space)
    return this.#at < this.#text.length
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined) return undefined
    this.#at += found.length
    return found
  }

  #value(): string | undefined {
    if (!this.#take('"')) return this.#match(token)
    let value = ''
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at]
      if (character === '"') {
        this.#at += 1
        return value
      }
      if (character === '\\') this.#at += 1
      value += this.#text[this.#at] ?? ''
    }
    return undefined
  }
}
