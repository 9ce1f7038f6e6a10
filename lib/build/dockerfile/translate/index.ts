import { nearestName } from '../../../errors/index.ts'
import type { Step } from '../../step.ts'
import { located, quoted } from '../position.ts'
import { failAt, positionOf, type Statement } from '../statement.ts'
import type { Surroundings, Translate } from '../surroundings.ts'
import { arg } from './arg.ts'
import { add, copy } from './copy.ts'
import { healthcheck } from './healthcheck.ts'
import { onbuild } from './onbuild.ts'
import { run } from './run.ts'
import { cmd, entrypoint, env, expose, label, maintainer, shell, stopSignal, user, volume, workdir } from './settings.ts'

/** Every instruction but FROM, which begins a stage. */
const instructions: ReadonlyMap<string, Translate> = new Map<string, Translate>([
  ['ADD', add],
  ['ARG', arg],
  ['CMD', cmd],
  ['COPY', copy],
  ['ENTRYPOINT', entrypoint],
  ['ENV', env],
  ['EXPOSE', expose],
  ['HEALTHCHECK', healthcheck],
  ['LABEL', label],
  ['MAINTAINER', maintainer],
  ['ONBUILD', (statement, around) => onbuild(statement, around, translate)],
  ['RUN', run],
  ['SHELL', shell],
  ['STOPSIGNAL', stopSignal],
  ['USER', user],
  ['VOLUME', volume],
  ['WORKDIR', workdir],
])

/** The steps that an instruction stands for. Throws `dockerfile_invalid`, and `UnknownVariable` as its surroundings do. */
export function translate(statement: Statement, around: Surroundings): readonly Step[] {
  const { keyword } = statement
  const instruction = instructions.get(keyword)
  if (!instruction) {
    const near = nearestName(keyword.slice(0, 20), ['FROM', ...instructions.keys()])
    throw failAt(statement, 0, `the instruction ${quoted(keyword)} is unknown`, near && `is ${near} meant?`)
  }
  try {
    return instruction(statement, around)
  } catch (error) {
    throw located(error, positionOf(statement, statement.rest.offset))
  }
}
