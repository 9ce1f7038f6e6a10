import { StrakeError } from '../errors/index.ts'

/** What is told of work that the signal has ended. */
export function abortedBy(signal: AbortSignal, what: string): StrakeError {
  return new StrakeError('aborted', `${what} was aborted`, { cause: signal.reason })
}

/**
 * Throws `aborted` once the signal is.
 *
 * @param what is being done: `saving`
 */
export function checkAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw abortedBy(signal, what)
}

/** The pieces as they come, until the signal is aborted: then it fails with `aborted` in place of the next one. */
export async function* abortable<Piece>(
  pieces: AsyncIterable<Piece> | Iterable<Piece>,
  signal: AbortSignal | undefined,
  what: string,
): AsyncGenerator<Piece, void, void> {
  for await (const piece of pieces) {
    checkAborted(signal, what)
    yield piece
  }
  checkAborted(signal, what)
}
