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
const instructions: ReadonlyMap<string, Translate> = new Map([
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
  ['ONBUILD', onbuild],
  ['RUN', run],
  ['SHELL', shell],
  ['STOPSIGNAL', stopSignal],
  ['USER', user],
  ['VOLUME', volume],
  ['WORKDIR', workdir],
])

/** How many letters have to change to make one word of the other, roughly: those that are not at their place. */
function isNear(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 2) return false
  const letters = [...other]
  const missing = [...one].filter((letter) => {
    const at = letters.indexOf(letter)
    if (at >= 0) letters.splice(at, 1)
    return at < 0
  })
  return missing.length + letters.length <= 2
}

/** The steps that an instruction stands for. Throws `dockerfile_invalid`, and `UnknownVariable` as its surroundings do. */
export function translate(statement: Statement, around: Surroundings): readonly Step[] {
  const { keyword } = statement
  const instruction = instructions.get(keyword)
  if (!instruction) {
    const near = ['FROM', ...instructions.keys()].find((name) => isNear(keyword.slice(0, 20), name))
    throw failAt(statement, 0, `the instruction ${quoted(keyword)} is unknown`, near && `is ${near} meant?`)
  }
  try {
    return instruction(statement, around)
  } catch (error) {
    throw located(error, positionOf(statement, 0))
  }
}
