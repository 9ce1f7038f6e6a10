/** The stable codes of a StrakeError; `docs/errors.md` says what each means and what to do. */
export const errorCodes = [
  'unsupported_platform',
  'kernel_refused',
  'command_not_found',
  'user_not_found',
  'process_failed',
  'input_failed',
  'timed_out',
  'aborted',
  'invalid_argument',
  'invalid_reference',
  'image_not_found',
  'image_invalid',
  'layer_invalid',
  'digest_mismatch',
  'size_mismatch',
  'limit_exceeded',
  'path_escapes',
  'build_failed',
  'context_invalid',
  'registry_unauthorized',
  'registry_denied',
  'registry_not_found',
  'registry_unavailable',
  'registry_protocol',
  'container_not_found',
  'name_in_use',
  'zygote_lost',
  'container_not_running',
  'store_busy',
  'store_invalid',
  'not_delegated',
  'address_in_use',
  'store_full',
  'image_in_use',
  'dockerfile_invalid',
  'download_failed',
  'output_failed',
] as const

export type ErrorCode = (typeof errorCodes)[number]

export interface StrakeErrorOptions {
  /** What a person can do about it, in one sentence. */
  readonly hint?: string | undefined
  readonly cause?: unknown
  /** Facts about the failure, of a shape that the code decides. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/** The classes of an error, by name. Shared by all copies of this module in a process: the package has one for `import` and one for `require`. */
export const classesOf = Symbol.for('strake.error.classes')

/** Whether an error is of the class of this name, of whatever copy. */
export function hasClass(value: unknown, name: string): boolean {
  if (!(value instanceof Error) || !(classesOf in value)) return false
  const classes = value[classesOf]
  return Array.isArray(classes) && classes.includes(name)
}

/**
 * Every error that the library throws or rejects with. `code` is stable and made to be compared;
 * `message` and `hint` are for people and may change.
 */
export class StrakeError extends Error {
  /** Stable, and made to be compared; docs/errors.md lists them. */
  readonly code: ErrorCode
  /** What a person can do about it, in one sentence. */
  declare readonly hint?: string
  /** Facts about the failure, of a shape that the code decides. */
  declare readonly details?: Readonly<Record<string, unknown>>

  /** @internal */
  get [classesOf](): readonly string[] {
    return ['StrakeError']
  }

  /** Of an error of any copy of the library; of subclasses, as of any class. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: it is the class that is asked, a derived one perhaps
    return this === StrakeError ? hasClass(value, 'StrakeError') : Function.prototype[Symbol.hasInstance].call(this, value)
  }

  constructor(code: ErrorCode, message: string, options: StrakeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StrakeError'
    this.code = code
    if (options.hint !== undefined) this.hint = options.hint
    if (options.details !== undefined) this.details = options.details
  }
}
