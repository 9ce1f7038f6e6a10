import { ExpansionError, expandWord, type Lookup, splitWords } from './expansion.ts'
import type { InstructionLine } from './lines.ts'
import { dockerfileError, type Position } from './position.ts'

/** A piece of an instruction, and where in its text it begins. */
export interface Word {
  readonly text: string
  readonly offset: number
}

/** `--name=value`, `--name`. */
export interface Flag {
  readonly name: string
  readonly value: string | undefined
  readonly offset: number
}

/** An instruction parted into its name, its flags and the rest, which each instruction reads in its own way. */
export interface Statement {
  readonly line: InstructionLine
  readonly keyword: string
  readonly flags: readonly Flag[]
  readonly rest: Word
}

/** White space between words, as BuildKit parts them. */
const space = /[\t\v\f\r ]/

/** The error at a place of an instruction. */
export function failAt(statement: Statement, offset: number, why: string, hint?: string): Error {
  return dockerfileError(positionOf(statement, offset), why, { hint })
}

export function positionOf(statement: Statement, offset: number): Position {
  return statement.line.at(offset)
}

/** One flag from `start` on, without its quotes and escapes, and where it ends. */
function readFlag(text: string, start: number, escaper: string): { word: string; end: number } {
  let word = ''
  let quote = ''
  let at = start
  for (; at < text.length; at += 1) {
    const each = text.charAt(at)
    if (quote ? each === quote : each === '"' || each === "'") quote = quote ? '' : each
    else if (!quote && space.test(each)) break
    else if (each === escaper) {
      at += 1
      word += text.charAt(at)
    } else word += each
  }
  return { word, end: at }
}

/** Parts an instruction. The flags end at the first word that is none, or at `--`. */
export function parseStatement(line: InstructionLine): Statement {
  const { text, escaper, keyword } = line
  const flags: Flag[] = []
  let at = keyword.length
  for (;;) {
    while (at < text.length && space.test(text.charAt(at))) at += 1
    if (!text.startsWith('--', at)) break
    const { word, end } = readFlag(text, at, escaper)
    if (word === '--') {
      at = end
      while (at < text.length && space.test(text.charAt(at))) at += 1
      break
    }
    const equals = word.indexOf('=')
    flags.push({
      name: equals < 0 ? word.slice(2) : word.slice(2, equals),
      value: equals < 0 ? undefined : word.slice(equals + 1),
      offset: at,
    })
    at = end
  }
  return { line, keyword, flags, rest: { text: text.slice(at), offset: at } }
}

/** The rest's words, parted at white space; quotes mean nothing yet. */
export function plainWords(rest: Word): Word[] {
  return [...rest.text.matchAll(/[^\t\v\f\r ]+/g)].map((match) => ({ text: match[0], offset: rest.offset + match.index }))
}

/** The rest's words, parted at white space that is neither quoted nor escaped; quotes and escapes stay. */
export function quotedWords(rest: Word, escaper: string): Word[] {
  const words: Word[] = []
  const { text } = rest
  let start = -1
  let quote = ''
  for (let at = 0; at <= text.length; at += 1) {
    const each = text.charAt(at)
    if (at === text.length || (!quote && /\s/.test(each))) {
      if (start >= 0) words.push({ text: text.slice(start, at), offset: rest.offset + start })
      start = -1
      continue
    }
    if (start < 0) start = at
    if (each === escaper && quote !== "'") at = Math.min(at + 1, text.length - 1)
    else if (quote ? each === quote : each === '"' || each === "'") quote = quote ? '' : each
  }
  return words
}

function expanding<Result>(statement: Statement, word: Word, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (error instanceof ExpansionError) throw failAt(statement, word.offset, `${statement.keyword} ${error.message}`)
    throw error
  }
}

/** A word with its variables in place. */
export function expanded(statement: Statement, word: Word, lookup: Lookup): string {
  return expanding(statement, word, () => expandWord(word.text, lookup, { escaper: statement.line.escaper }))
}

/** The words that a word becomes once its variables are in place. */
export function expandedWords(statement: Statement, word: Word, lookup: Lookup): string[] {
  return expanding(statement, word, () => splitWords(word.text, lookup, { escaper: statement.line.escaper }))
}

/** A heredoc's content with its variables in place: quotes are characters like others, and the escape is always a backslash. */
export function expandedContent(statement: Statement, content: string, lookup: Lookup): string {
  return expanding(statement, { text: content, offset: 0 }, () => expandWord(content, lookup, { escaper: '\\', ignoresQuotes: true }))
}
