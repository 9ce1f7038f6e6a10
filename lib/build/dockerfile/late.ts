import type { Base, LateStep, Step } from '../step.ts'
import type { Lookup } from './expansion.ts'
import { quoteValue } from './quoting.ts'
import { parseStatement, positionOf, type Statement } from './statement.ts'
import type { Surroundings } from './surroundings.ts'
import { argumentsOf } from './translate/arg.ts'
import { translate } from './translate/index.ts'

/** ARG with the values that are known already in the place of their defaults. */
function argText(statement: Statement, around: Surroundings): string {
  const words = argumentsOf(statement).map(({ name, value }) => {
    const given = around.given(name, value !== undefined)
    if (given !== undefined) return `${name}=${quoteValue(given, statement.line.escaper)}`
    return value ? `${name}=${value.text}` : name
  })
  return `ARG ${words.join(' ')}`
}

/** An instruction that waits for the environment of its stage, and the images that it names. */
export function lateStep(statement: Statement, around: Surroundings, bases: ReadonlyMap<string, Base>): LateStep {
  const { line, keyword } = statement
  return Object.freeze({
    kind: 'late',
    text: keyword === 'ARG' ? argText(statement, around) : keyword + line.text.slice(keyword.length),
    ...(line.heredocs.length === 0 ? {} : { heredocs: Object.freeze(line.heredocs.map((heredoc) => Object.freeze(heredoc))) }),
    escaper: line.escaper,
    ...positionOf(statement, 0),
    ...(bases.size === 0 ? {} : { bases: Object.freeze(Object.fromEntries(bases)) }),
  })
}

/** What a late step says, parted into its words. */
export function lateStatement(step: LateStep): Statement {
  const { line, column, text, escaper, heredocs = [] } = step
  return parseStatement({ keyword: /^\S+/.exec(text)?.[0] ?? '', text, heredocs, escaper, at: () => ({ line, column }) })
}

/** The steps that a late one stands for, once the variables of its stage are known. Throws `dockerfile_invalid`. */
export function settleLate(step: LateStep, lookup: Lookup): readonly Step[] {
  return translate(lateStatement(step), {
    lookup,
    given: () => undefined,
    base: (name) => step.bases?.[name] ?? { kind: 'reference', reference: name },
  })
}
