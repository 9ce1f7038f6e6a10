import type { Readable, Writable } from 'node:stream'
import { StrakeError } from '../lib/errors/index.ts'

/** A terminal that can be handed to a process for a while. */
export interface Terminal {
  readonly input: Readable & { setRawMode?(on: boolean): unknown }
  readonly output: Writable & { readonly rows?: number; readonly columns?: number }
}

interface ShellProcess extends PromiseLike<{ readonly exitCode: number | null; readonly signal: string | null }> {
  readonly stdin: Writable
  readonly stdout: Readable
  resize(size: { readonly rows: number; readonly columns: number }): void
}

interface HasExec {
  exec(argv: readonly string[], options: object): ShellProcess
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function hasExec(value: unknown): value is HasExec {
  return isObject(value) && 'exec' in value && typeof value.exec === 'function'
}

/** What a shell can be opened in: an image, a builder, a container; of a build's failure the image before the step that failed. */
export function shellTarget(value: unknown): HasExec {
  const target = isObject(value) && value instanceof Error ? Reflect.get(value, 'state') : value
  if (hasExec(target)) return target
  throw new StrakeError(
    'invalid_argument',
    value === undefined
      ? 'No build has failed yet: .debug EXPR opens a shell in an image, a builder or a container'
      : 'No shell can be opened in this: .debug takes the error of a build that failed, an image, a builder or a container',
  )
}

/** What the command of the failed step was, to be tried again; empty for anything else. */
export function failedStep(value: unknown): string {
  const details = value instanceof Error ? Reflect.get(value, 'details') : undefined
  const step = isObject(details) ? Reflect.get(details, 'step') : undefined
  return typeof step === 'string' ? step : ''
}

/** A container that runs: it has its network already, and keeps what is changed. */
function isRunning(target: HasExec): boolean {
  return 'stop' in target
}

const shell = ['/bin/sh', '-c', 'command -v bash > /dev/null && exec bash; exec sh']

/** Of a terminal that nobody has told its size (script(1) without a terminal of its own, say) the kernel says 0 × 0. */
function sizeOf({ output }: Terminal): { rows: number; columns: number } {
  return { rows: output.rows || 24, columns: output.columns || 80 }
}

/** Runs a shell of `target` on the terminal, all keys its own. Resolves, to how it ended, when the user has left it. */
export async function runShell(target: HasExec, terminal: Terminal): Promise<string> {
  const { input, output } = terminal
  const env = { TERM: globalThis.process.env.TERM ?? 'xterm' }
  // What is refused at once finds the terminal as it was.
  const process = target.exec(shell, { tty: sizeOf(terminal), env, ...(isRunning(target) ? {} : { network: 'host' }) })
  // A prompt that listens would answer the same keys.
  const listeners = input.listeners('keypress')
  input.removeAllListeners('keypress')
  const onKeys = (keys: Buffer | string): void => void process.stdin.write(keys)
  const onResize = (): void => process.resize(sizeOf(terminal))
  const onOutput = (data: Buffer): void => void output.write(data)
  input.setRawMode?.(true)
  input.on('data', onKeys)
  input.resume()
  output.on('resize', onResize)
  process.stdout.on('data', onOutput)
  try {
    const { exitCode, signal } = await process
    const ending = exitCode === null ? ` by ${signal}` : exitCode === 0 ? '' : ` with ${exitCode}`
    return `The shell has ended${ending}. What it changed ${isRunning(target) ? 'stays in the container' : 'is gone'}.`
  } finally {
    input.off('data', onKeys)
    output.off('resize', onResize)
    for (const each of listeners) input.on('keypress', each as (...keys: unknown[]) => void)
  }
}
