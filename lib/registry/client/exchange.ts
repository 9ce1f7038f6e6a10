import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { onAbort, StrakeError } from '../../errors/index.ts'
import { after } from '../../process/index.ts'
import type { ByteStream } from '../../store/index.ts'
import { abortedError, networkFailure, throwIfAborted } from './failure.ts'
import type { RemoteTimeouts } from './options.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** A body that can be sent again: bytes, or what opens a stream of `size` bytes. */
export type RequestBody = Uint8Array | { readonly size: number; readonly open: () => Promise<ByteStream> }

export interface ExchangeRequest {
  readonly method: Method
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: RequestBody | undefined
  readonly signal?: AbortSignal | undefined
}

/** The answer to a request. Its body is read to the end by one of the methods, or dropped by `discard`. */
export interface Answer {
  readonly status: number
  readonly url: URL
  header(name: string): string | undefined
  /** Every header of that name. */
  headers(name: string): readonly string[]
  /** Rejects with the connection's own error when it breaks off. */
  stream(): AsyncGenerator<Buffer, void, void>
  /** The whole body; `limit_exceeded` beyond `most` bytes, `registry_unavailable` when the connection breaks off or stalls. */
  bytes(most: number): Promise<Buffer>
  /** The same answer with its body read already. Rejects as `stream` does, and with `limit_exceeded`. */
  whole(most: number): Promise<Answer>
  discard(): Promise<void>
}

/** Small pieces are joined up to here; as a rule one comes as large from the socket, and is passed on as it is. */
const pieceSize = 32 * 1024
/** What a body must bring within `timeouts.idle`. */
const leastBytes = 1024
/** An answer that nobody wants is read up to here, for the connection's sake. */
const discardLimit = 64 * 1024

/** An error with a code, as the network's own have. */
class SlowError extends Error {
  readonly code = 'ETIMEDOUT'
}

/** One request and its answer, redirects and refusals included. Rejects with the HTTP client's own errors, or `aborted`. */
export async function exchange(request: ExchangeRequest, dispatcher: Dispatcher, timeouts: RemoteTimeouts): Promise<Answer> {
  throwIfAborted(request.signal)
  const control = new AbortController()
  const forget = onAbort(request.signal, () => control.abort(request.signal && abortedError(request.signal)))
  const sending = request.body === undefined || request.body instanceof Uint8Array ? 0 : request.body.size
  const watch = new HeaderWatch(timeouts.headers, control)
  try {
    const { request: send } = await import('undici')
    const body = request.body && (request.body instanceof Uint8Array ? request.body : Readable.from(watch.sent(await request.body.open())))
    const answer = await send(request.url, {
      method: request.method,
      headers: sending > 0 ? { ...request.headers, 'content-length': String(sending) } : { ...request.headers },
      ...(body ? { body } : {}),
      dispatcher,
      signal: control.signal,
    })
    answer.body.once('close', forget)
    return new HttpAnswer(answer, request, timeouts)
  } catch (error) {
    forget()
    throw control.signal.aborted && control.signal.reason instanceof Error ? control.signal.reason : error
  } finally {
    watch.end()
  }
}

/** The time an answer has: it starts anew with each piece of the request's body that is taken. */
class HeaderWatch {
  #cancel: () => void
  #isOver = false
  readonly #arm: () => () => void

  constructor(milliseconds: number, control: AbortController) {
    this.#arm = () => after(milliseconds, () => control.abort(new SlowError(`no answer within ${milliseconds} ms`)))
    this.#cancel = this.#arm()
  }

  #startAnew(): void {
    this.#cancel()
    // A body may end after the answer has come.
    if (!this.#isOver) this.#cancel = this.#arm()
  }

  async *sent(body: ByteStream): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      this.#startAnew()
      yield piece
    }
    this.#startAnew()
  }

  end(): void {
    this.#isOver = true
    this.#cancel()
  }
}

class HttpAnswer implements Answer {
  readonly status: number
  readonly url: URL
  readonly #answer: Dispatcher.ResponseData
  readonly #request: ExchangeRequest
  readonly #timeouts: RemoteTimeouts

  constructor(answer: Dispatcher.ResponseData, request: ExchangeRequest, timeouts: RemoteTimeouts) {
    this.status = answer.statusCode
    this.url = request.url
    this.#answer = answer
    this.#request = request
    this.#timeouts = timeouts
    // Whoever reads the body gets its error; that of one that is dropped is nobody's.
    answer.body.on('error', () => {})
  }

  headers(name: string): readonly string[] {
    const value = this.#answer.headers[name]
    return value === undefined ? [] : typeof value === 'string' ? [value] : value
  }

  header(name: string): string | undefined {
    return this.headers(name)[0]
  }

  async *stream(): AsyncGenerator<Buffer, void, void> {
    const { body } = this.#answer
    const { signal } = this.#request
    const chunks = body[Symbol.asyncIterator]()
    let waited = 0
    let since = 0
    let held: Buffer[] = []
    let length = 0
    try {
      for (;;) {
        // Only the time spent waiting for the network counts, not that which the reader takes.
        const started = performance.now()
        const cancel = after(Math.max(1, this.#timeouts.idle - waited), () => {
          body.destroy(new SlowError(`less than ${leastBytes} bytes within ${this.#timeouts.idle} ms`))
        })
        const next = await chunks.next().finally(cancel)
        waited += performance.now() - started
        if (next.done) break
        const chunk = next.value as Buffer
        held.push(chunk)
        length += chunk.length
        since += chunk.length
        if (since >= leastBytes) waited = since = 0
        if (length < pieceSize) continue
        const piece = held.length === 1 ? chunk : Buffer.concat(held, length)
        held = []
        length = 0
        yield piece
      }
      if (length > 0) yield Buffer.concat(held, length)
    } catch (error) {
      // What came before the connection broke is of use still: the next request asks for the rest.
      if (length > 0 && !signal?.aborted) yield Buffer.concat(held, length)
      throw signal?.aborted ? abortedError(signal) : error
    } finally {
      body.destroy()
    }
  }

  async bytes(most: number): Promise<Buffer> {
    try {
      return await this.#read(most)
    } catch (error) {
      throw networkFailure(error, this.url).error
    }
  }

  async whole(most: number): Promise<Answer> {
    return new WholeAnswer(this, await this.#read(most))
  }

  async #read(most: number): Promise<Buffer> {
    const announced = Number(this.header('content-length') ?? 0)
    const pieces: Buffer[] = []
    let length = announced > most ? announced : 0
    if (length === 0)
      for await (const piece of this.stream()) {
        pieces.push(piece)
        length += piece.length
        if (length > most) break
      }
    if (length <= most) return Buffer.concat(pieces, length)
    this.#answer.body.destroy()
    throw tooLong(this.url, most)
  }

  async discard(): Promise<void> {
    if (this.#request.method === 'HEAD' || Number(this.header('content-length') ?? Number.POSITIVE_INFINITY) <= discardLimit) {
      await this.bytes(discardLimit).catch(() => undefined)
      return
    }
    this.#answer.body.destroy()
  }
}

/** An answer whose body is in memory. */
class WholeAnswer implements Answer {
  readonly status: number
  readonly url: URL
  readonly #answer: Answer
  readonly #body: Buffer

  constructor(answer: Answer, body: Buffer) {
    this.status = answer.status
    this.url = answer.url
    this.#answer = answer
    this.#body = body
  }

  header(name: string): string | undefined {
    return this.#answer.header(name)
  }

  headers(name: string): readonly string[] {
    return this.#answer.headers(name)
  }

  async *stream(): AsyncGenerator<Buffer, void, void> {
    yield this.#body
  }

  async bytes(most: number): Promise<Buffer> {
    if (this.#body.length > most) throw tooLong(this.url, most)
    return this.#body
  }

  async whole(): Promise<Answer> {
    return this
  }

  async discard(): Promise<void> {}
}

function tooLong(url: URL, most: number): StrakeError {
  return new StrakeError('limit_exceeded', `${url.host} answered with more than ${most} bytes`, {
    details: { limit: 'answerBytes', maximum: most },
  })
}
