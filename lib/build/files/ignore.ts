import { posix } from 'node:path'
import { StrakeError } from '../../errors/index.ts'
import { characterClass } from './pattern.ts'

interface Rule {
  readonly expression: RegExp
  /** `!`: takes back. */
  readonly isException: boolean
  /** What every path that it matches begins with. */
  readonly start: string
  /** Whether that is all of it. */
  readonly isLiteral: boolean
}

/** The meaning of a whole pattern as Moby's patternmatcher has it: that of Go's filepath.Match, and `**` for any number of directories. */
function compile(pattern: string): RegExp {
  let source = ''
  for (let at = 0; at < pattern.length; ) {
    const each = pattern[at] ?? ''
    at += 1
    if (each === '*' && pattern[at] === '*') {
      at += pattern[at + 1] === '/' ? 2 : 1
      source += at >= pattern.length ? '.*' : '(?:.*/)?'
    } else if (each === '*') source += '[^/]*'
    else if (each === '?') source += '[^/]'
    else if (each === '[') {
      const found = characterClass(pattern, at)
      source += found.source
      at = found.next
    } else {
      const literal = each === '\\' && at < pattern.length ? (pattern[at++] ?? '') : each
      source += literal.replace(/[.*+?^${}()|[\]\\/]/, '\\$&')
    }
  }
  return new RegExp(`^${source}$`, 's')
}

function ruleOf(line: string): Rule | undefined {
  const text = line.trim()
  if (text === '' || line.startsWith('#')) return undefined
  const isException = text.startsWith('!')
  const pattern = posix.normalize(isException ? text.slice(1).trim() : text).replace(/^\/+|\/+$/g, '')
  // "For historical reasons, the pattern . is ignored."
  if (pattern === '' || pattern === '.') return undefined
  try {
    const [start = ''] = /^[^*?[\\]*/.exec(pattern) ?? []
    return { expression: compile(pattern), isException, start, isLiteral: start === pattern }
  } catch (cause) {
    throw new StrakeError('context_invalid', `a pattern of what is left out is malformed: ${JSON.stringify(text)}`, { cause })
  }
}

/**
 * Patterns as a .dockerignore has them (Docker documentation, "Build context", .dockerignore files): the last that matches a path or a
 * directory above it decides, `!` takes back, `**` stands for any number of directories. What a directory matches is remembered, so that a path costs
 * one look at each pattern, however deep it lies.
 */
export class IgnorePatterns {
  readonly #rules: readonly Rule[]
  readonly #directories = new Map<string, readonly boolean[]>()

  /** Throws `context_invalid` for a pattern that is none. */
  constructor(lines: readonly string[]) {
    this.#rules = lines.flatMap((line) => ruleOf(line) ?? [])
  }

  /** The lines of a .dockerignore. Throws `context_invalid` for a pattern that is none. */
  static parse(text: string): IgnorePatterns {
    return new IgnorePatterns(text.replace(/^\uFEFF/, '').split(/\r?\n/))
  }

  /** @param path relative to where the patterns start, without `./` */
  ignores(path: string): boolean {
    const matches = this.#matches(path)
    const last = matches.lastIndexOf(true)
    return last >= 0 && this.#rules[last]?.isException === false
  }

  /** @param directory ignored; of what is taken back only what is below it counts */
  mayHold(directory: string): boolean {
    const path = `${directory}/`
    return this.#rules.some(
      ({ isException, start, isLiteral }) => isException && (start.startsWith(path) || (!isLiteral && path.startsWith(start))),
    )
  }

  /** For each pattern, whether it matches the path or a directory above it. */
  #matches(path: string): readonly boolean[] {
    const end = path.lastIndexOf('/')
    const above = end > 0 ? this.#ofDirectory(path.slice(0, end)) : undefined
    return this.#rules.map(({ expression }, index) => above?.[index] === true || expression.test(path))
  }

  #ofDirectory(path: string): readonly boolean[] {
    const known = this.#directories.get(path)
    if (known) return known
    const found = this.#matches(path)
    this.#directories.set(path, found)
    return found
  }
}
