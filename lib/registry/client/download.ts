import { StrakeError } from '../../errors/index.ts'
import type { Descriptor } from '../../store/index.ts'
import type { Answer } from './exchange.ts'
import { networkFailure, protocolError, throwIfAborted } from './failure.ts'
import type { Repository } from './repository.ts'
import { pause, pauseBefore } from './retry.ts'

/** Bytes after which a connection that breaks counts as the first one to do so. */
const worthwhile = 1024 * 1024

/**
 * The bytes of a blob in their order. Where the connection breaks, the rest is asked for (RFC 9110, 14: Range); a registry that sends all of it anew, or
 * from an earlier place, is listened to until it comes to where it broke off. Whoever reads checks digest and size.
 */
export async function* download(
  repository: Repository,
  blob: Descriptor,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<Buffer, void, void> {
  let received = 0
  let breaks = 0
  let since = 0
  let fromStart = false
  while (received < blob.size || blob.size === 0) {
    throwIfAborted(repository.session.signal)
    const answer = await repository.blob(blob.digest, fromStart ? 0 : received)
    const start = startOf(answer, blob, fromStart ? 0 : received)
    if (start === undefined || start > received) {
      await answer.discard()
      // It cannot say what it sends: all of it, then, or nothing.
      if (fromStart)
        throw protocolError(`${repository.host} sends another part of ${blob.digest} than was asked for`, { digest: blob.digest })
      fromStart = true
      continue
    }
    let skip = received - start
    try {
      for await (const piece of answer.stream()) {
        const wanted = skip === 0 ? piece : piece.subarray(skip)
        skip -= piece.length - wanted.length
        if (wanted.length === 0) continue
        received += wanted.length
        since += wanted.length
        onBytes?.(received)
        yield wanted
      }
      if (received >= blob.size || blob.size === 0) return
      // Ended in good order and too early: asking once more shows whether there is no more.
      throw new ShortBody(received, blob.size)
    } catch (error) {
      throwIfAborted(repository.session.signal)
      if (since >= worthwhile) breaks = 0
      since = 0
      breaks += 1
      if (error instanceof ShortBody && breaks > 1) throw error.mismatch()
      const failure = networkFailure(error, answer.url)
      if (failure.isFinal || breaks > repository.session.retries) throw failure.error
      await pause(pauseBefore(breaks), repository.session.signal)
    }
  }
}

class ShortBody extends Error {
  readonly #received: number
  readonly #size: number

  constructor(received: number, size: number) {
    super(`ended after ${received} of ${size} bytes`)
    this.#received = received
    this.#size = size
  }

  mismatch(): StrakeError {
    return new StrakeError('size_mismatch', `a blob ended after ${this.#received} bytes instead of ${this.#size}`, {
      details: { expected: this.#size, actual: this.#received },
    })
  }
}

/** Where an answer's body starts; undefined when it does not fit the blob or does not say. Rejects at once where the whole has another size. */
function startOf(answer: Answer, blob: Descriptor, asked: number): number | undefined {
  if (answer.status === 200) {
    const length = answer.header('content-length')
    if (length !== undefined && Number(length) !== blob.size)
      throw new StrakeError('size_mismatch', `a blob is announced with ${length} bytes instead of ${blob.size}`, {
        details: { expected: blob.size, actual: Number(length) },
      })
    return 0
  }
  if (answer.status !== 206) return undefined
  const match = /^bytes ([0-9]{1,16})-([0-9]{1,16})\/([0-9]{1,16}|\*)$/.exec(answer.header('content-range') ?? '')
  if (match === null) return undefined
  const [start, end, total] = [Number(match[1]), Number(match[2]), match[3] === '*' ? blob.size : Number(match[3])]
  return total === blob.size && start <= end && end < total && start <= asked ? start : undefined
}
