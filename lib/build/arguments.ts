import type { BuildOptions } from './context.ts'
import { environmentOf } from './settings.ts'
import type { Stage } from './stage.ts'
import type { ArgStep } from './step.ts'

/** The variables that need no `arg` (Dockerfile reference, "Predefined ARGs"): how this machine reaches others is no part of what a step means. */
const predefined = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()])

/** The stage after an `arg`: what the build was given for a name counts, else its default, else what it had. */
export function withArguments(stage: Stage, step: ArgStep, options: BuildOptions): Stage {
  const entries = Object.entries(step.defaults).flatMap(([name, value]): [string, string][] => {
    const given = options.args?.[name] ?? value
    return given === null ? [] : [[name, given]]
  })
  return { ...stage, args: { ...stage.args, ...Object.fromEntries(entries) } }
}

/** The variables of a `run`: arguments, then those of the image, which win. */
export function variablesOf(stage: Stage): Record<string, string> {
  return { ...stage.args, ...environmentOf(stage.settings) }
}

/** The proxies that the build was given and that no `arg` or `env` speaks of: the command has them, and neither the cache nor the history knows. */
export function unkeyedVariables(stage: Stage, options: BuildOptions): Record<string, string> {
  const known = variablesOf(stage)
  return Object.fromEntries(Object.entries(options.args ?? {}).filter(([name]) => predefined.includes(name) && !(name in known)))
}
