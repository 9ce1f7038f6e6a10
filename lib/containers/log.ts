import { StringDecoder } from 'node:string_decoder'

export type LogStream = 'stdout' | 'stderr'

/** One line that a container wrote, without its end. */
export interface LogLine {
  readonly stream: LogStream
  readonly text: string
  readonly time: Date
}

export interface LogOptions {
  /** Goes on until the container has ended. Default false. */
  readonly follow?: boolean | undefined
  /** Only the last lines. */
  readonly tail?: number | undefined
  /** Lines of this output only. Default: both. */
  readonly stream?: LogStream | undefined
  /** Ends the following. */
  readonly signal?: AbortSignal | undefined
}

/** Characters kept; the oldest lines go first. */
const standardLimit = 16 * 1024 * 1024
const longestLine = 64 * 1024

/** What a container's command wrote, line by line; bounded, so that a chatty one costs no more memory than this. */
export class Log {
  readonly #lines: LogLine[] = []
  readonly #limit: number
  #first = 0
  #size = 0
  #hasEnded = false
  readonly #rest = { stdout: '', stderr: '' }
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
  #waiting: (() => void)[] = []

  constructor(limit = standardLimit) {
    this.#limit = limit
  }

  write(stream: LogStream, chunk: Buffer): void {
    const text = this.#rest[stream] + this.#decoders[stream].write(chunk)
    const parts = text.split('\n')
    let rest = parts.pop() ?? ''
    for (const part of parts) this.#add(stream, part.endsWith('\r') ? part.slice(0, -1) : part)
    while (rest.length > longestLine) {
      this.#add(stream, rest.slice(0, longestLine))
      rest = rest.slice(longestLine)
    }
    this.#rest[stream] = rest
    this.#wake()
  }

  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#rest[stream] + this.#decoders[stream].end()
      if (rest !== '') this.#add(stream, rest)
      this.#rest[stream] = ''
    }
    this.#hasEnded = true
    this.#wake()
  }

  async *read(options: LogOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    const { follow = false, tail, stream, signal } = options
    const fits = (line: LogLine): boolean => stream === undefined || line.stream === stream
    let next = this.#first
    if (tail !== undefined) {
      const all = this.#lines.filter(fits)
      const start = all[Math.max(0, all.length - tail)]
      next = start && tail > 0 ? this.#first + this.#lines.indexOf(start) : this.#first + this.#lines.length
    }
    for (;;) {
      if (next < this.#first) next = this.#first
      const line = this.#lines[next - this.#first]
      if (line) {
        next += 1
        if (fits(line)) yield line
      } else if (!follow || this.#hasEnded || signal?.aborted) {
        return
      } else {
        await this.#change(signal)
      }
    }
  }

  #add(stream: LogStream, text: string): void {
    this.#lines.push({ stream, text, time: new Date() })
    this.#size += text.length
    // A quarter at a time: to drop a line from the front moves all the others.
    if (this.#size < this.#limit * 1.25) return
    let dropped = 0
    while (this.#size > this.#limit && dropped < this.#lines.length - 1) {
      this.#size -= this.#lines[dropped]?.text.length ?? 0
      dropped += 1
    }
    if (dropped > 0) {
      this.#lines.splice(0, dropped)
      this.#first += dropped
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}
