import { dockerfileError, quoted } from './position.ts'

/** The character that escapes others, and at a line's end the line's end. */
export type Escape = '\\' | '`'

/** What the comments at the top of a Dockerfile say to its reader. */
export interface Directives {
  readonly escaper: Escape
  /** How many lines they take. */
  readonly lines: number
}

const known = new Set(['syntax', 'escape', 'check'])

/** Front-ends whose language this one speaks: Docker's own, from wherever it is mirrored. */
const frontend = /(^|\/)dockerfile(-upstream)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$/

function escapeOf(value: string, line: number, column: number): Escape {
  if (value === '\\' || value === '`') return value
  throw dockerfileError({ line, column }, `the escape character is \\ or \`, not ${quoted(value)}`)
}

/**
 * Parser directives: lines `# name=value` before anything else, each at most once (Dockerfile reference, "Parser directives"). `check`
 * sets up a linter, which there is none of.
 */
export function readDirectives(lines: readonly string[]): Directives {
  const seen = new Set<string>()
  let escaper: Escape = '\\'
  for (const [index, line] of lines.entries()) {
    const [, before = '', key = '', rest = ''] = /^([\t ]*#[\t ]*)([a-zA-Z][a-zA-Z0-9]*)[\t ]*=(.*)$/s.exec(line) ?? []
    const name = key.toLowerCase()
    const value = rest.trim()
    if (!known.has(name) || value === '') return { escaper, lines: index }
    const place = { line: index + 1, column: before.length + 1 }
    if (seen.has(name)) throw dockerfileError(place, `the directive ${name} is given twice`)
    seen.add(name)
    const column = line.length - rest.trimStart().length + 1
    if (name === 'escape') escaper = escapeOf(value, place.line, column)
    if (name === 'syntax' && !frontend.test(value)) {
      throw dockerfileError({ line: place.line, column }, `the syntax ${quoted(value)} is none that is known here`, {
        hint: 'only that of docker/dockerfile is; other front-ends are programs that BuildKit runs',
      })
    }
  }
  return { escaper, lines: lines.length }
}
