import { StrakeError } from '../../errors/index.ts'
import { checkText } from '../argument.ts'
import type { LateStep, Step } from '../step.ts'
import { lateStep } from './late.ts'
import { readInstructions } from './lines.ts'
import { dockerfileError } from './position.ts'
import { parseStatement } from './statement.ts'
import type { Surroundings } from './surroundings.ts'
import { translate } from './translate/index.ts'

/** What an instruction finds that waits for a build which nobody knows yet. */
const nowhere: Surroundings = { lookup: () => undefined, given: () => undefined, base: () => ({ kind: 'scratch' }) }

/** An ONBUILD instruction of a base image as a step of the build that starts from it. Undefined when it is no single instruction. */
export function triggerStep(instruction: string): LateStep | undefined {
  try {
    const [line, ...more] = readInstructions(instruction)
    if (!line || more.length > 0 || ['FROM', 'ONBUILD', 'MAINTAINER'].includes(line.keyword)) return undefined
    return lateStep(parseStatement(line), nowhere, new Map())
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'dockerfile_invalid') return undefined
    throw error
  }
}

/** The verb ONBUILD: its instruction is looked at as in a Dockerfile. Throws `invalid_argument`. */
export function onbuildSteps(instruction: string): readonly Step[] {
  const text = checkText('onbuild', instruction).trim()
  try {
    const [line, next] = readInstructions(`ONBUILD ${text}`)
    if (!line) return []
    if (next)
      throw dockerfileError(next.at(0), 'here begins another instruction', { hint: 'each is an argument of its own: onbuild(one, other)' })
    return translate(parseStatement(line), nowhere)
  } catch (error) {
    if (!(error instanceof StrakeError) || error.code !== 'dockerfile_invalid') throw error
    const why = error.message.replace(/^Dockerfile, line \d+, column \d+: /, '')
    throw new StrakeError('invalid_argument', `onbuild ${JSON.stringify(text.slice(0, 80))}: ${why}`, {
      hint: error.hint,
      cause: error,
      details: { argument: 'onbuild' },
    })
  }
}
