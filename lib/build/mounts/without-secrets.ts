import { StrakeError } from '../../errors/index.ts'
import { storeError } from '../../store/index.ts'
import type { Mask } from './mask.ts'

function masked(value: unknown, mask: Mask): unknown {
  if (typeof value === 'string') return mask.text(value)
  if (Array.isArray(value)) return value.map((each: unknown) => masked(each, mask))
  if (value instanceof Error) return maskedError(value, mask)
  if (typeof value !== 'object' || value === null || value.constructor !== Object) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, masked(each, mask)]))
}

/** A copy with stars in the place of secrets, in its details and causes as well. Its code is a word of ours. */
function maskedError(error: Error, mask: Mask): Error {
  const message = mask.text(error.message)
  const cause = error.cause === undefined ? {} : { cause: masked(error.cause, mask) }
  const { code, ...fields } = error as { readonly code?: unknown }
  const copy =
    error instanceof StrakeError ? new StrakeError(error.code, message, cause) : Object.assign(new Error(message, cause), { code })
  return Object.assign(copy, masked(fields, mask), { name: error.name, stack: mask.text(error.stack ?? message) })
}

/**
 * What `work` resolves to, or its error without the secrets that `mask` knows: an error may name what a command has made. Of an aborted signal the
 * reason is the caller's own, and stays as it is.
 */
export async function withoutSecrets<T>(mask: Mask, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (mask.isEmpty || (error instanceof StrakeError && error.code === 'aborted')) throw error
    throw masked(storeError(error), mask)
  }
}
