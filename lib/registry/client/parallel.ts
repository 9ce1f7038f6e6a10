import { onAbort } from '../../errors/index.ts'

/**
 * Runs tasks in their order, at most `limit` at a time. The first error ends it: it aborts `control`, and all that had begun have ended when it
 * is rejected with.
 */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  control: AbortController,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries()
  let failure: { readonly error: unknown } | undefined
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failure) return
      try {
        await task(item, index)
      } catch (error) {
        failure ??= { error }
        control.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(limit, items.length)) }, work))
  if (failure) throw failure.error
}

/** A controller that is aborted when `signal` is, for the same reason. `unlink` when it is of no more use. */
export function linked(signal: AbortSignal | undefined): { readonly control: AbortController; readonly unlink: () => void } {
  const control = new AbortController()
  const abort = (): void => control.abort(signal?.reason)
  if (signal?.aborted) abort()
  return { control, unlink: onAbort(signal, abort) }
}
