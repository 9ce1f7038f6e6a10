// Compiled, never run: what users may rely on in the declarations of errors.
import { type ErrorCode, StrakeError, type StrakeErrorOptions } from '../../lib/errors/error.ts'
import { assert, type Equal } from './equal.ts'

const error = new StrakeError('image_not_found', 'no such image', { hint: 'pull it', details: { reference: 'app:1' } })

assert<Equal<typeof error.code, ErrorCode>>()
const { hint, details } = error
assert<Equal<typeof hint, string | undefined>>()
assert<Equal<typeof details, Readonly<Record<string, unknown>> | undefined>>()
assert<Equal<ConstructorParameters<typeof StrakeError>, [code: ErrorCode, message: string, options?: StrakeErrorOptions | undefined]>>()
assert<Equal<typeof error extends Error ? true : false, true>>()

// @ts-expect-error A code that is not listed.
new StrakeError('no_such_code', 'x')

// @ts-expect-error A code is no longer changed once the error is made.
error.code = 'aborted'

// @ts-expect-error An error has a message.
new StrakeError('aborted')

// @ts-expect-error A hint is a sentence.
new StrakeError('aborted', 'x', { hint: 1 })

/** A switch over every code needs no default. */
export function isAboutImages(code: Extract<ErrorCode, `image_${string}`>): boolean {
  switch (code) {
    case 'image_in_use':
    case 'image_invalid':
    case 'image_not_found':
      return true
  }
}
