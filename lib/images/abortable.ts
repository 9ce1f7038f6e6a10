import { StrakeError } from '../errors/index.ts'

/**
 * Throws `aborted` once the signal is.
 *
 * @param what is being done: `saving`
 */
export function checkAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw new StrakeError('aborted', `${what} was aborted`, { cause: signal.reason })
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
