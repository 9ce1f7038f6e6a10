import { StrakeError } from '../../errors/index.ts'
import { familiarReference, type Reference } from '../../images/index.ts'
import { storeError } from '../../store/index.ts'
import { abortedError } from './failure.ts'
import type { TransferOptions } from './options.ts'

const usualParallel = 4

/** On an image of the store's index: the digest that its name had in the registry, where that is an index with this image in it. */
export const sourceAnnotation = 'io.strake.source.digest'
/** Beside it: the platform that was asked for, for which that index had this image. */
export const platformAnnotation = 'io.strake.source.platform'

export function parallelOf({ parallel }: TransferOptions): number {
  if (parallel === undefined) return usualParallel
  if (Number.isInteger(parallel) && parallel > 0) return parallel
  throw new StrakeError('invalid_argument', `parallel must be a whole number from 1 on, not ${String(parallel)}`)
}

export function oneOf<T extends string>(name: string, value: T | undefined, allowed: readonly T[], usual: T): T {
  if (value === undefined) return usual
  if (allowed.includes(value)) return value
  throw new StrakeError('invalid_argument', `${name} is one of ${allowed.join(', ')}, not ${JSON.stringify(value)}`)
}

/** What a manifest is asked for by: a digest goes before a tag. */
export function manifestName({ tag, digest }: Reference): string {
  return digest ?? tag ?? 'latest'
}

/** The name in the store's index of what was pulled by a reference. That of a digest has the digest in it. */
export function storeName(reference: Reference): string {
  return familiarReference(reference.digest === undefined ? reference : { ...reference, tag: undefined })
}

/** What a call of this room rejects with: always a StrakeError, `aborted` whenever its signal was. */
export function rejection(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return abortedError(signal)
  return storeError(error)
}
