import type { Step } from '../../step.ts'
import { onbuildStep } from '../../steps/settings.ts'
import { noFlags } from '../flags.ts'
import { failAt, parseStatement, type Statement } from '../statement.ts'
import { type Surroundings, type Translate, UnknownVariable } from '../surroundings.ts'

/** Kept as text for the build that starts from this image; what can be checked of it now is, by `translate`. */
export const onbuild = (statement: Statement, around: Surroundings, translate: Translate): readonly Step[] => {
  noFlags(statement)
  const { rest, line } = statement
  const keyword = (/^\S+/.exec(rest.text)?.[0] ?? '').toUpperCase()
  if (keyword === '') throw failAt(statement, 0, 'ONBUILD needs an instruction')
  if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(keyword)) throw failAt(statement, rest.offset, `ONBUILD cannot have ${keyword}`)
  const text = rest.text
  const trigger = parseStatement({
    ...line,
    keyword,
    text,
    at: (offset) => line.at(rest.offset + offset),
  })
  try {
    translate(trigger, {
      ...around,
      lookup: () => {
        throw new UnknownVariable()
      },
    })
  } catch (error) {
    if (!(error instanceof UnknownVariable)) throw error
  }
  const heredocs = line.heredocs.map(({ content, name }) => `\n${content}${name}`)
  return [onbuildStep(text + heredocs.join(''))]
}
