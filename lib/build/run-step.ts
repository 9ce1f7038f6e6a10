import { posix } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { unkeyedVariables, variablesOf } from './arguments.ts'
import type { BuildContext, PreparedStep } from './context.ts'
import { checkAborted } from './failure.ts'
import { LogTail } from './progress.ts'
import type { BuildCommand, BuildCommandResult } from './runtime.ts'
import { argvOf, defaultPath, workdirOf } from './settings.ts'
import { type Stage, snapshotsOf, stageLayer } from './stage.ts'
import type { RunStep } from './step.ts'

function commandOf(step: RunStep, stage: Stage): BuildCommand {
  const { settings } = stage
  return {
    argv: argvOf(settings, step.command),
    env: { PATH: defaultPath, ...variablesOf(stage), ...step.env },
    cwd: posix.resolve('/', workdirOf(settings), step.cwd ?? ''),
    user: step.user ?? settings.User ?? '',
    network: step.network,
    userns: step.userns,
    timeout: step.timeout,
  }
}

function failure(step: RunStep, result: BuildCommandResult, log: string): StrakeError {
  const command = typeof step.command === 'string' ? step.command : step.command.join(' ')
  const shown = command.length > 200 ? `${command.slice(0, 200)}…` : command
  const why = result.timedOut
    ? `did not end within ${step.timeout} ms`
    : result.oomKilled
      ? 'ran out of memory and was killed'
      : result.signal
        ? `was ended by ${result.signal}`
        : `ended with exit code ${result.exitCode}`
  const lastLine = log.trimEnd().split('\n').at(-1)
  return new StrakeError('build_failed', `run: ${shown} ${why}${lastLine ? `: ${lastLine.slice(0, 500)}` : ''}`, {
    hint: "the error's details.log has the end of its output, and its state is the image as it was before this step",
    details: { exitCode: result.exitCode, signal: result.signal, timedOut: result.timedOut, log },
  })
}

/** A command that could not be started is a failed step as well, with the exit code of a shell that does not find one. */
function notStarted(error: unknown): unknown {
  if (!(error instanceof StrakeError) || !['command_not_found', 'user_not_found', 'invalid_argument'].includes(error.code)) return error
  const exitCode = error.code === 'command_not_found' ? 127 : null
  return new StrakeError('build_failed', `run: ${error.message}`, { cause: error, details: { exitCode, log: '' } })
}

/** A command as a step with a layer. */
export async function prepareRun(step: RunStep, stage: Stage, context: BuildContext): Promise<PreparedStep> {
  const { signal } = context.options
  const command = commandOf(step, stage)
  const unkeyed = unkeyedVariables(stage, context.options)
  return {
    async *keys() {
      const { argv, env, cwd, user, network } = command
      // Names in the order of the alphabet: the order in which they were set has no effect on the command.
      yield { kind: 'run', argv, env: Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1)), cwd, user, network }
    },
    async carryOut(emit) {
      const log = new LogTail()
      const layer = await context.runtime.openLayer(snapshotsOf(stage), { signal })
      try {
        const onOutput = (stream: 'stdout' | 'stderr', data: Uint8Array): void => {
          log.add(data)
          emit(stream, data)
        }
        const result = await layer.run({ ...command, env: { ...unkeyed, ...command.env }, signal, onOutput }).catch((error: unknown) => {
          throw notStarted(error)
        })
        checkAborted(signal)
        if (result.exitCode !== 0) throw failure(step, result, log.toString())
        return stageLayer(await layer.commit())
      } finally {
        await layer.discard()
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
