import { StrakeError } from '../errors/index.ts'
import type { ExecutionConfig } from '../images/index.ts'
import { variablesOf } from './arguments.ts'
import type { BuildContext } from './context.ts'
import { settleLate } from './dockerfile/late.ts'
import { triggerStep } from './dockerfile/trigger.ts'
import { defaultEnvironment, defaultPath } from './settings.ts'
import type { Stage } from './stage.ts'
import type { FromStep, LateStep, Step } from './step.ts'

/**
 * A stage on an image, and the steps that the image's ONBUILD instructions ask for: they come first, and are no part of the new image's
 * config. ARGs of a stage are those of the stages on it, too.
 */
export function beginStage(base: Stage, from: FromStep): { readonly stage: Stage; readonly triggers: readonly Step[] } {
  const { OnBuild = [], ...settings } = withPath(base.settings)
  return { stage: { ...base, settings, hasOwnCmd: false, begun: from }, triggers: OnBuild.map(trigger) }
}

/** Docker gives PATH to every image that it builds, those on `scratch` as well. */
function withPath(settings: ExecutionConfig): ExecutionConfig {
  const { Env = [] } = settings
  return Env.some((line) => line.startsWith('PATH=')) ? settings : { ...settings, Env: [...Env, ...defaultEnvironment] }
}

function trigger(instruction: string): Step {
  const step = triggerStep(instruction)
  if (step) return step
  throw new StrakeError('image_invalid', `an ONBUILD of the image is no instruction: ${JSON.stringify(instruction.slice(0, 200))}`)
}

/** The build, as the steps of a stage see it: with the context and the values that its `from` came with. */
export function contextOf({ begun }: Stage, context: BuildContext): BuildContext {
  if (begun?.context === undefined && begun?.args === undefined) return context
  const { options } = context
  const args = { ...begun.args, ...options.args }
  return { ...context, options: { ...options, context: begun.context ?? options.context, args } }
}

/** What a late step is, on this stage: variables are those of its environment and its ARGs. PATH is set on any image. */
export function settledSteps(step: LateStep, stage: Stage): readonly Step[] {
  const variables = new Map(Object.entries({ PATH: defaultPath, ...variablesOf(stage) }))
  return settleLate(step, (name) => variables.get(name))
}
