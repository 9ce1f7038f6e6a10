import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Refusal } from './refusal.ts'

/** A body that was not read is taken in up to this many bytes, so that the client comes to read why; then the connection ends. */
const politeBytes = 1024 * 1024
const politeMilliseconds = 2000

/** One request and its answer. */
export class Exchange {
  readonly method: string
  readonly query: URLSearchParams
  readonly response: ServerResponse
  readonly #request: IncomingMessage
  readonly #path: string

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.response = response
    this.method = request.method ?? ''
    // Whole URLs are for proxies, and every server takes them (RFC 9112, 3.2.2). Its host plays no part here, nor does the Host header.
    const url = (request.url ?? '').replace(/^https?:\/\/[^/?#]*/i, '')
    const mark = url.indexOf('?')
    this.query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
    this.#path = mark < 0 ? url : url.slice(0, mark)
  }

  /** Decoded once; nothing in it is a path of a file. NAME_INVALID for what cannot be decoded. */
  get path(): string {
    try {
      return decodeURIComponent(this.#path)
    } catch {
      throw new Refusal(400, 'NAME_INVALID', 'the path is not percent-encoded UTF-8')
    }
  }

  /** undefined when it is absent or sent twice. */
  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return typeof value === 'string' ? value : undefined
  }

  /** Content-Length; undefined for a body of unknown length. */
  get length(): number | undefined {
    const text = this.header('content-length')
    return text === undefined ? undefined : Number(text)
  }

  get hasBody(): boolean {
    return this.#request.headers['transfer-encoding'] !== undefined || (this.length ?? 0) > 0
  }

  /** The body. Breaking off its reading does not end the connection, since an answer is still to be sent. */
  body(): AsyncIterable<Uint8Array> {
    return this.#request.iterator({ destroyOnReturn: false })
  }

  /** The whole body in memory. */
  async bytes(maximum: number): Promise<Buffer> {
    const tooLarge = new Refusal(413, 'SIZE_INVALID', `more than ${maximum} bytes`, { detail: { maximum } })
    if ((this.length ?? 0) > maximum) throw tooLarge
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of this.body()) {
      size += piece.length
      if (size > maximum) throw tooLarge
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  }

  /** The body is in, and what remains to be done may take long (a large file is synced): nothing on the wire is no sign of a stall now. */
  haveTime(): void {
    this.#request.socket.setTimeout(0)
  }

  /** Answers; to HEAD with what GET would say, without the body. */
  send(status: number, headers: OutgoingHttpHeaders = {}, body: string | Uint8Array = ''): void {
    const length = status === 204 ? {} : { 'Content-Length': Buffer.byteLength(body) }
    this.response.writeHead(status, { ...length, ...headers })
    this.response.end(this.method === 'HEAD' ? undefined : body)
  }

  json(value: unknown, headers: OutgoingHttpHeaders = {}): void {
    this.send(200, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(value))
  }

  refuse(refusal: Refusal): void {
    if (this.response.headersSent || this.response.destroyed) {
      this.response.destroy()
      return
    }
    if (this.hasBody && !this.#request.readableEnded) this.#leave()
    this.send(refusal.status, { 'Content-Type': 'application/json', ...refusal.headers }, refusal.body)
  }

  #leave(): void {
    this.response.setHeader('Connection', 'close')
    let left = politeBytes
    const end = (): void => void this.#request.destroy()
    const timer = setTimeout(end, politeMilliseconds)
    this.#request.on('data', (piece: Buffer) => {
      left -= piece.length
      if (left < 0) end()
    })
    this.#request.on('error', () => {})
    this.#request.once('close', () => clearTimeout(timer))
    this.#request.resume()
  }
}
