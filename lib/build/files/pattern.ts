import { invalidArgument } from '../argument.ts'
import { type BytePath, textPath } from './entry.ts'

/** Whether a name of a path is a pattern rather than a name. */
export function isPattern(name: string): boolean {
  return /[*?[\\]/.test(name)
}

/** Whether a path is one that may stand for others: what is escaped stands for itself. */
export function hasWildcard(path: string): boolean {
  return /[*?[]/.test(path.replace(/\\./g, ''))
}

/** A pattern that stands for this path alone. */
export function escapePattern(path: string): string {
  return path.replace(/[*?[\\]/g, '\\$&')
}

/** A range of characters: `[a-z]`, `[^0-9]`, `[\]x]`; `at` stands after the bracket. */
export function characterClass(pattern: string, start: number): { source: string; next: number } {
  let at = start
  let source = '['
  if (pattern[at] === '^') {
    source += '^/'
    at += 1
  }
  for (let isFirst = true; pattern[at] !== ']' || isFirst; isFirst = false) {
    if (pattern[at] === '\\') at += 1
    const each = pattern[at]
    if (each === undefined || (isFirst && each === ']' && pattern[at - 1] !== '\\')) throw badPattern(pattern)
    const isRange = each === '-' && pattern[at - 1] !== '\\'
    source += isRange ? '-' : each.replace(/[\\\]^-]/, '\\$&')
    at += 1
  }
  return { source: `${source}]`, next: at + 1 }
}

function badPattern(pattern: string): Error {
  return invalidArgument('copy', `has a malformed pattern: ${JSON.stringify(pattern)}`)
}

/** The meaning of one name of a pattern, as path.Match of Go has it (and so COPY): `*`, `?`, `[a-z]`, `[^a-z]`, `\` escapes. */
export function matcher(pattern: string): (name: BytePath) => boolean {
  let source = ''
  for (let at = 0; at < pattern.length; ) {
    const each = pattern[at] ?? ''
    at += 1
    if (each === '*') source += '[^/]*'
    else if (each === '?') source += '[^/]'
    else if (each === '[') {
      const found = characterClass(pattern, at)
      source += found.source
      at = found.next
    } else {
      if (each === '\\' && at >= pattern.length) throw badPattern(pattern)
      const literal = each === '\\' ? (pattern[at++] ?? '') : each
      source += literal.replace(/[.*+?^${}()|[\]\\/]/, '\\$&')
    }
  }
  const expression = compile(source, pattern)
  return (name) => expression.test(textPath(name))
}

function compile(source: string, pattern: string): RegExp {
  try {
    return new RegExp(`^${source}$`, 's')
  } catch {
    throw badPattern(pattern)
  }
}
