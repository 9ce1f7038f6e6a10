import { argStep } from '../../steps/settings.ts'
import { noFlags } from '../flags.ts'
import { expanded, failAt, quotedWords, type Statement, type Word } from '../statement.ts'
import type { Translate } from '../surroundings.ts'

/** A variable that ARG names, and its default. */
export interface Argument {
  readonly name: string
  readonly value: Word | undefined
  readonly offset: number
}

/** `ARG name[=default] …`. */
export function argumentsOf(statement: Statement): Argument[] {
  noFlags(statement)
  const words = quotedWords(statement.rest, statement.line.escaper)
  if (words.length === 0) throw failAt(statement, 0, 'ARG needs a name')
  return words.map(({ text, offset }) => {
    const at = text.indexOf('=')
    if (at === 0) throw failAt(statement, offset, 'ARG has a default without a name')
    if (at < 0) return { name: text, value: undefined, offset }
    return { name: text.slice(0, at), value: { text: text.slice(at + 1), offset: offset + at + 1 }, offset }
  })
}

/** A value from outside wins over the default, which is not looked at then. A default sees the variables before it in the same ARG. */
export const arg: Translate = (statement, { lookup, given }) => {
  const found = new Map<string, string | undefined>()
  const known = (name: string): string | undefined => found.get(name) ?? lookup(name)
  for (const { name, value } of argumentsOf(statement)) {
    found.set(name, given(name, value !== undefined) ?? (value && expanded(statement, value, known)))
  }
  return [argStep(Object.fromEntries(found))]
}
