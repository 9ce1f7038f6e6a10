import type { Escape } from './directives.ts'
import { replace, trimEnd, trimStart } from './shell-pattern.ts'

/** The value of a variable; undefined when it is not set. */
export type Lookup = (name: string) => string | undefined

export interface ExpansionOptions {
  readonly escaper: Escape
  /** Quotes are characters like others: what a heredoc's content wants. */
  readonly ignoresQuotes?: boolean
  /** Quotes stay where they are. */
  readonly keepsQuotes?: boolean
  /** `$x` stays where x is not set. */
  readonly keepsUnset?: boolean
}

/** What an expansion cannot do; the caller knows where that is and says so. */
export class ExpansionError extends Error {}

/** How deep `${a:-${b:-…}}` may go. */
const maxDepth = 50

/** Takes the pieces of the result: those of a variable part words at their white space, what was quoted or escaped does not. */
type Sink = (text: string, parts: boolean) => void

/**
 * Variables, quotes and escapes of one argument, as the Dockerfile reference says under "Environment replacement" and BuildKit's shell
 * lexer does it where that is silent.
 */
class Expansion {
  readonly #text: string
  readonly #lookup: Lookup
  readonly #options: ExpansionOptions
  #at = 0

  constructor(text: string, lookup: Lookup, options: ExpansionOptions) {
    this.#text = text
    this.#lookup = lookup
    this.#options = options
  }

  /** Up to `stop`, or to the end. In patterns escapes stay: they mean something there. */
  run(sink: Sink, stop?: string, keepsEscapes = false, depth = 0): void {
    if (depth > maxDepth) throw new ExpansionError(`goes deeper than ${maxDepth} substitutions`)
    for (;;) {
      this.#plain(sink, stop)
      if (this.#at >= this.#text.length) break
      const each = this.#text.charAt(this.#at)
      if (each === stop) {
        this.#at += 1
        return
      }
      if (each === '$') sink(this.#dollar(depth), true)
      else if (each === "'") sink(this.#singleQuoted(), false)
      else if (each === '"') sink(this.#doubleQuoted(depth, keepsEscapes), false)
      else {
        this.#at += 1
        const escaped = this.#character()
        sink(keepsEscapes ? each + escaped : escaped, false)
      }
    }
    if (stop !== undefined) throw new ExpansionError(`lacks a closing ${stop}`)
  }

  /** Passes on what means nothing, in one piece. */
  #plain(sink: Sink, stop: string | undefined): void {
    const { escaper, ignoresQuotes } = this.#options
    const start = this.#at
    while (this.#at < this.#text.length) {
      const each = this.#text.charAt(this.#at)
      if (each === '$' || each === escaper || each === stop || (!ignoresQuotes && (each === "'" || each === '"'))) break
      this.#at += 1
    }
    if (this.#at > start) sink(this.#text.slice(start, this.#at), true)
  }

  /** The next character, a whole code point, or nothing at the end. */
  #character(): string {
    const code = this.#text.codePointAt(this.#at)
    if (code === undefined) return ''
    const character = String.fromCodePoint(code)
    this.#at += character.length
    return character
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1)
    if (end < 0) throw new ExpansionError("lacks a closing '")
    const inside = this.#text.slice(this.#at + 1, end)
    this.#at = end + 1
    return this.#options.keepsQuotes ? `'${inside}'` : inside
  }

  #doubleQuoted(depth: number, keepsEscapes: boolean): string {
    const { escaper, keepsQuotes } = this.#options
    const pieces: string[] = []
    this.#at += 1
    let start = this.#at
    const take = (): void => {
      pieces.push(this.#text.slice(start, this.#at))
    }
    for (;;) {
      if (this.#at >= this.#text.length) throw new ExpansionError('lacks a closing "')
      const each = this.#text.charAt(this.#at)
      if (each === '"') break
      if (each === '$') {
        take()
        pieces.push(this.#dollar(depth))
        start = this.#at
      } else if (each === escaper) {
        // Before other characters than these it is a character like them.
        const next = this.#text.charAt(this.#at + 1)
        if (next === '"' || next === '$' || next === escaper) {
          take()
          pieces.push(keepsEscapes ? each + next : next)
          this.#at += 2
          start = this.#at
        } else this.#at += 1
      } else this.#at += 1
    }
    take()
    this.#at += 1
    const inside = pieces.join('')
    return keepsQuotes ? `"${inside}"` : inside
  }

  /** A name; digits, or one of the shell's special parameters, which are never set. */
  #name(): string {
    const [name = ''] = /[@*#?\-$!]|\d+|[\p{L}_][\p{L}\p{Nd}_]*/uy.exec(this.#rest()) ?? []
    this.#at += name.length
    return name
  }

  /** What follows, as far as a name can reach. */
  #rest(): string {
    return this.#text.slice(this.#at, this.#at + 1024)
  }

  #dollar(depth: number): string {
    this.#at += 1
    if (this.#text[this.#at] === '{') return this.#substitution(depth)
    const name = this.#name()
    if (name === '') return '$'
    return this.#lookup(name) ?? (this.#options.keepsUnset ? `$${name}` : '')
  }

  #substitution(depth: number): string {
    const start = this.#at - 1
    this.#at += 1
    const name = this.#name()
    if (name === '') throw new ExpansionError('has a substitution without a name')
    const value = this.#modified(name, depth)
    if (this.#options.keepsUnset && this.#lookup(name) === undefined) return this.#text.slice(start, this.#at)
    return value
  }

  #word(stop: string, keepsEscapes: boolean, depth: number): string {
    const pieces: string[] = []
    this.run((text) => pieces.push(text), stop, keepsEscapes, depth + 1)
    return pieces.join('')
  }

  #modified(name: string, depth: number): string {
    let operator = this.#character()
    if (operator === '}') return this.#lookup(name) ?? ''
    if (operator === '/') return this.#replaced(name, depth)
    const emptyIsUnset = operator === ':'
    if (emptyIsUnset) operator = this.#character()
    if (operator === '') throw new ExpansionError('lacks a closing }')
    const allowed = emptyIsUnset ? '+-?' : '+-?#%'
    if (!allowed.includes(operator))
      throw new ExpansionError(`has an unknown substitution: \${${name}${emptyIsUnset ? ':' : ''}${operator}…}`)
    const isPattern = operator === '#' || operator === '%'
    const word = this.#word('}', isPattern, depth)
    const value = this.#lookup(name)
    const isSet = value !== undefined && !(emptyIsUnset && value === '')
    switch (operator) {
      case '-':
        return isSet ? value : word
      case '+':
        return isSet ? word : ''
      case '?':
        if (!isSet) throw new ExpansionError(`needs ${name}: ${word || `it is not ${value === undefined ? 'set' : 'to be empty'}`}`)
        return value
      default: {
        const longest = word.startsWith(operator)
        const trim = operator === '#' ? trimStart : trimEnd
        return patterned(() => trim(value ?? '', longest ? word.slice(1) : word, longest))
      }
    }
  }

  #replaced(name: string, depth: number): string {
    const all = this.#text[this.#at] === '/'
    if (all) this.#at += 1
    const pattern = this.#word('/', true, depth)
    const replacement = this.#word('}', true, depth)
    return patterned(() => replace(this.#lookup(name) ?? '', pattern, replacement, all))
  }
}

function patterned(work: () => string): string {
  try {
    return work()
  } catch (error) {
    throw new ExpansionError(error instanceof Error ? error.message : String(error))
  }
}

/** The argument with its variables in place, and without quotes and escapes. Throws an `ExpansionError`. */
export function expandWord(text: string, lookup: Lookup, options: ExpansionOptions): string {
  const pieces: string[] = []
  new Expansion(text, lookup, options).run((piece) => pieces.push(piece))
  return pieces.join('')
}

/** The same, parted at white space that is not quoted, that of variables' values as well. */
export function splitWords(text: string, lookup: Lookup, options: ExpansionOptions): string[] {
  const words: string[] = []
  let word = ''
  new Expansion(text, lookup, options).run((piece, parts) => {
    const [first = '', ...others] = parts ? piece.split(/\s+/) : [piece]
    word += first
    for (const other of others) {
      if (word !== '') words.push(word)
      word = other
    }
  })
  if (word !== '') words.push(word)
  return words
}
