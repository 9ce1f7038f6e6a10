import { classesOf, hasClass, StrakeError, type StrakeErrorOptions } from '../errors/index.ts'
import { storeError } from '../store/index.ts'

export interface BuildErrorOptions<State> extends StrakeErrorOptions {
  readonly state: State
}

/**
 * A step failed. `details` has `{ step, exitCode, log }`: the step on one line, the exit code of its command (null when a
 * signal ended it), and the last 64 KB of its output. `state` is the image as it was before the step, to start and look around in.
 *
 * @example
 * try {
 *   await app.build()
 * } catch (error) {
 *   if (error instanceof BuildError) await using container = await error.state.start()
 * }
 */
export class BuildError<State> extends StrakeError {
  /** The image as it was before the step, to start and look around in. */
  declare readonly state: State
  /** The message without the hint. */
  declare readonly reason: string

  /** @internal */
  override get [classesOf](): readonly string[] {
    return ['BuildError', 'StrakeError']
  }

  /** As of StrakeError. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return hasClass(value, 'BuildError')
  }

  constructor(message: string, { state, ...options }: BuildErrorOptions<State>) {
    super('build_failed', message, options)
    this.name = 'BuildError'
    // Not enumerable: Node prints all that is, below the message of an error that nobody caught.
    Object.defineProperty(this, 'reason', { value: message })
    Object.defineProperty(this, 'state', { value: state })
  }
}

/** What an aborted signal rejects with: `aborted`, its reason the cause. */
export function abortedError(signal: AbortSignal): StrakeError {
  return new StrakeError('aborted', 'the build was aborted', { cause: signal.reason })
}

/** What a step failed with, of whatever code, with the step in its details; that which a step within it failed with has its own. */
export function failureOf(step: string, error: unknown): unknown {
  const told = storeError(error)
  if (!(told instanceof StrakeError) || told.code === 'aborted' || told.details?.step !== undefined) return told
  const { code, message, hint, cause, details } = told
  return new StrakeError(code, message, { hint, cause, details: { ...details, step } })
}

export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal)
}
