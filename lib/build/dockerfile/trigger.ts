import { StrakeError } from '../../errors/index.ts'
import type { LateStep } from '../step.ts'
import { lateStep } from './late.ts'
import { readInstructions } from './lines.ts'
import { parseStatement } from './statement.ts'

/** An ONBUILD instruction of a base image as a step of the build that starts from it. Undefined when it is no single instruction. */
export function triggerStep(instruction: string): LateStep | undefined {
  try {
    const [line, ...more] = readInstructions(instruction)
    if (!line || more.length > 0 || ['FROM', 'ONBUILD', 'MAINTAINER'].includes(line.keyword)) return undefined
    return lateStep(parseStatement(line), { lookup: () => undefined, given: () => undefined, base: () => ({ kind: 'scratch' }) }, new Map())
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'dockerfile_invalid') return undefined
    throw error
  }
}
