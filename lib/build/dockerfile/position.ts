import { StrakeError } from '../../errors/index.ts'

/** A place in a Dockerfile, both counted from 1; columns in UTF-16 code units. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** The error for a Dockerfile that cannot be understood: `dockerfile_invalid`, its details saying where. */
export function dockerfileError(
  position: Position,
  why: string,
  options: { hint?: string | undefined; cause?: unknown } = {},
): StrakeError {
  const { line, column } = position
  return new StrakeError('dockerfile_invalid', `Dockerfile, line ${line}, column ${column}: ${why}`, {
    ...options,
    details: { line, column },
  })
}

/** A word in a message: quoted, and cut when it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

/** Says where in the Dockerfile a step's own refusal comes from; errors that say so already pass. */
export function located(error: unknown, position: Position): unknown {
  if (!(error instanceof StrakeError) || error.code === 'dockerfile_invalid') return error
  if (!['invalid_argument', 'path_escapes', 'invalid_reference'].includes(error.code)) return error
  return dockerfileError(position, error.message, { hint: error.hint, cause: error })
}
