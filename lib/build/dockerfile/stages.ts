import { mostSteps } from '../limits.ts'
import { Flags } from './flags.ts'
import type { InstructionLine } from './lines.ts'
import { quoted } from './position.ts'
import { failAt, parseStatement, plainWords, type Statement, type Word } from './statement.ts'
import { type Argument, argumentsOf } from './translate/arg.ts'

/** From one FROM to the next, not yet understood. */
export interface StageSource {
  readonly index: number
  /** In small letters; undefined for a stage without a name. */
  readonly name: string | undefined
  readonly from: Statement
  readonly base: Word
  readonly platform: Word | undefined
  readonly instructions: readonly Statement[]
}

/** A Dockerfile parted into its stages. */
export interface Outlines {
  /** ARGs before the first FROM, in their order, each with its instruction. */
  readonly globals: readonly { readonly statement: Statement; readonly argument: Argument }[]
  readonly stages: readonly StageSource[]
}

/** FROM [--platform=…] image [AS name]. */
function beginStage(statement: Statement, index: number): Omit<StageSource, 'instructions'> {
  const flags = new Flags(statement, { platform: 'text' })
  const [base, as, name, ...more] = plainWords(statement.rest)
  const isNamed = as !== undefined
  if (!base || more.length > 0 || (isNamed && (!name || as.text.toLowerCase() !== 'as'))) {
    throw failAt(
      statement,
      (isNamed ? as.offset : statement.rest.offset) || 0,
      'FROM needs an image, and may have AS and a name',
      'FROM image AS name',
    )
  }
  const lower = name?.text.toLowerCase()
  if (name && !/^[a-z][a-z0-9_.-]*$/.test(lower ?? ''))
    throw failAt(
      statement,
      name.offset,
      `a stage cannot be named ${quoted(name.text)}`,
      'a name is a letter, then letters, digits, "-", "_" and "."',
    )
  return { index, name: lower, from: statement, base, platform: flags.text('platform') }
}

/** Parts the instructions into stages. Throws `dockerfile_invalid` for one that stands before the first FROM and is no ARG. */
export function stagesOf(lines: readonly InstructionLine[]): Outlines {
  const globals: { statement: Statement; argument: Argument }[] = []
  const stages: (StageSource & { instructions: Statement[] })[] = []
  for (const [index, line] of lines.entries()) {
    const statement = parseStatement(line)
    if (index >= mostSteps) throw failAt(statement, 0, `there are more than ${mostSteps} instructions`)
    const stage = stages.at(-1)
    if (statement.keyword === 'FROM') stages.push({ ...beginStage(statement, stages.length), instructions: [] })
    else if (stage) stage.instructions.push(statement)
    else if (statement.keyword === 'ARG') globals.push(...argumentsOf(statement).map((argument) => ({ statement, argument })))
    else throw failAt(statement, 0, `${quoted(statement.keyword)} stands before the first FROM`, 'only ARG may')
  }
  return { globals, stages }
}
