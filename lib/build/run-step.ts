import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { printable } from '../terminal/index.ts'
import { unkeyedVariables, variablesOf } from './arguments.ts'
import type { BuildContext, PreparedStep } from './context.ts'
import { checkAborted } from './failure.ts'
import type { Mask } from './mounts/mask.ts'
import { startRefused } from './mounts/refused.ts'
import { RunMounts } from './mounts/run-mounts.ts'
import { withoutSecrets } from './mounts/without-secrets.ts'
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

/** How many processes the kernel has killed for want of memory, in any control group (proc_vmstat(5)). */
function oomKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Killed, itself or its last child as shells tell it (128 + 9), while the kernel was killing for want of memory. */
function ranOutOfMemory(result: BuildCommandResult, killsBefore: number): boolean {
  if (result.oomKilled) return true
  return (result.signal === 'SIGKILL' || result.exitCode === 137) && !result.timedOut && oomKills() > killsBefore
}

function failure(step: RunStep, result: BuildCommandResult, log: string, isOom: boolean): StrakeError {
  const command = typeof step.command === 'string' ? step.command : step.command.join(' ')
  const shown = command.length > 200 ? `${command.slice(0, 200)}…` : command
  const why = result.timedOut
    ? `did not end within ${step.timeout} ms`
    : isOom
      ? 'ran out of memory and was killed'
      : result.signal
        ? `was ended by ${result.signal}`
        : `ended with exit code ${result.exitCode}`
  const lastLine = printable(log.trimEnd().split('\n').at(-1) ?? '')
  return new StrakeError('build_failed', `run: ${shown} ${why}${lastLine ? `: ${lastLine.slice(0, 500)}` : ''}`, {
    hint: `${log === '' ? '' : "the error's details.log has the end of its output, and "}its state is the image as it was before this step: error.state.start()`,
    details: { exitCode: result.exitCode, signal: result.signal, timedOut: result.timedOut, oomKilled: isOom, log },
  })
}

/** A command that could not be started is a failed step as well, with the exit code of a shell that does not find one. */
function notStarted(error: unknown): unknown {
  if (!(error instanceof StrakeError) || !['command_not_found', 'user_not_found', 'invalid_argument'].includes(error.code)) return error
  const exitCode = error.code === 'command_not_found' ? 127 : null
  return new StrakeError('build_failed', `run: ${error.message}`, { cause: error, details: { exitCode, log: '' } })
}

/** What a command left that no layer can hold is its failure. */
function notKept(error: unknown, log: string): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'layer_invalid' || error.details?.path === undefined) return error
  const { message, hint, details } = error
  return new StrakeError('build_failed', `run: ${message}`, { hint, cause: error, details: { exitCode: 0, log, path: details.path } })
}

type Emit = (stream: 'stdout' | 'stderr', data: Uint8Array) => void

/** What a command prints, without its secrets: shown as it comes, and its end kept. */
class CommandOutput {
  readonly log = new LogTail()
  readonly #streams: Readonly<Record<'stdout' | 'stderr', ReturnType<Mask['stream']>>> | undefined
  readonly #emit: Emit

  constructor(mask: Mask, emit: Emit) {
    this.#streams = mask.isEmpty ? undefined : { stdout: mask.stream(), stderr: mask.stream() }
    this.#emit = emit
  }

  add(stream: 'stdout' | 'stderr', data: Uint8Array): void {
    this.#show(stream, this.#streams ? this.#streams[stream].add(data) : data)
  }

  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) if (this.#streams) this.#show(stream, this.#streams[stream].end())
  }

  #show(stream: 'stdout' | 'stderr', data: Uint8Array): void {
    if (data.length === 0) return
    this.log.add(data)
    this.#emit(stream, data)
  }
}

/** A command as a step with a layer. */
export async function prepareRun(step: RunStep, stage: Stage, context: BuildContext): Promise<PreparedStep> {
  const { signal } = context.options
  const command = commandOf(step, stage)
  const unkeyed = unkeyedVariables(stage, context.options)
  const mounts = await RunMounts.prepare(step, stage, context)
  return {
    async *keys() {
      const { argv, env, cwd, user, network } = command
      // Names in the order of the alphabet: the order in which they were set has no effect on the command.
      const variables = Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1))
      const plain = { kind: 'run', argv, env: variables, cwd, user, network }
      for await (const each of mounts.keys()) yield each === undefined ? plain : { ...plain, mounts: each }
    },
    async carryOut(emit) {
      const layer = await context.runtime.openLayer(snapshotsOf(stage), { signal })
      try {
        const open = await mounts.open(layer)
        const output = new CommandOutput(open.mask, emit)
        try {
          const { points } = open
          const killsBefore = oomKills()
          const running = layer.run({
            ...command,
            env: { ...unkeyed, ...command.env, ...open.env },
            mounts: open.mounts,
            points,
            signal,
            onOutput: (stream, data) => output.add(stream, data),
          })
          const ended = running.catch((error: unknown) => {
            throw notStarted(startRefused(error, open.mounts))
          })
          const result = await withoutSecrets(open.mask, ended)
          output.end()
          checkAborted(signal)
          if (result.exitCode !== 0) throw failure(step, result, output.log.toString(), ranOutOfMemory(result, killsBefore))
        } finally {
          await withoutSecrets(open.mask, open.release())
        }
        const committed = layer.commit().catch((error: unknown) => {
          throw notKept(error, output.log.toString())
        })
        const made = await withoutSecrets(open.mask, committed)
        return stageLayer(made)
      } finally {
        await layer.discard()
      }
    },
    [Symbol.asyncDispose]: () => mounts[Symbol.asyncDispose](),
  }
}
