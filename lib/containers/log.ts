import { StringDecoder } from 'node:string_decoder'
import { onAbort } from '../errors/index.ts'

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

/** Bytes kept, what holding them costs included; the oldest go first. */
const standardLimit = 16 * 1024 * 1024
const entryCost = 256
/** Small writes that follow each other closely share a block. */
const blockSize = 4096
const togetherWithin = 5
const longestLine = 64 * 1024
/** Bytes turned into lines between two turns of the event loop. */
const bytesInARow = 512 * 1024

interface Entry {
  readonly stream: LogStream
  /** Milliseconds since 1970. */
  readonly time: number
  readonly block: Buffer
  length: number
}

/** Cuts what one stream wrote into lines. */
class Lines {
  readonly #stream: LogStream
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''
  #time = new Date(0)

  constructor(stream: LogStream) {
    this.#stream = stream
  }

  add(bytes: Buffer, time: Date): LogLine[] {
    this.#time = time
    const found: LogLine[] = []
    const text = this.#rest + this.#decoder.write(bytes)
    let start = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#cut(text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end), found)
      start = end + 1
    }
    this.#rest = text.slice(start)
    while (this.#rest.length > longestLine) {
      found.push(this.#line(this.#rest.slice(0, longestLine)))
      this.#rest = this.#rest.slice(longestLine)
    }
    return found
  }

  /** What came after the last line's end. */
  end(): LogLine[] {
    const found: LogLine[] = []
    const rest = this.#rest + this.#decoder.end()
    this.#rest = ''
    if (rest !== '') this.#cut(rest, found)
    return found
  }

  #cut(text: string, into: LogLine[]): void {
    if (text.length <= longestLine) into.push(this.#line(text))
    else for (let at = 0; at < text.length; at += longestLine) into.push(this.#line(text.slice(at, at + longestLine)))
  }

  #line(text: string): LogLine {
    return { stream: this.#stream, text, time: this.#time }
  }
}

function ofStream(lines: readonly LogLine[], stream: LogStream): LogLine[] {
  return lines.filter((line) => line.stream === stream)
}

function unfinished(lines: Readonly<Record<LogStream, Lines>>, stream: LogStream | undefined): LogLine[] {
  const all = [...lines.stdout.end(), ...lines.stderr.end()]
  return stream === undefined ? all : ofStream(all, stream)
}

/**
 * What a container's command wrote. It is kept as it came, so that a command that writes much costs little time, and bounded, so that it
 * costs no more memory than this; it becomes lines when it is read. A line longer than 65,536 characters comes in pieces.
 */
export class Log {
  #entries: Entry[] = []
  readonly #limit: number
  /** The number of the first entry that is still there. */
  #first = 0
  #size = 0
  #hasEnded = false
  #waiting: (() => void)[] = []

  constructor(limit = standardLimit) {
    this.#limit = limit
  }

  write(stream: LogStream, chunk: Buffer): void {
    if (chunk.length === 0) return
    const time = Date.now()
    const last = this.#entries.at(-1)
    if (last?.stream === stream && time - last.time <= togetherWithin && last.length + chunk.length <= last.block.length) {
      chunk.copy(last.block, last.length)
      last.length += chunk.length
    } else {
      // A block that is not shared with others: a slice of Node's pool would keep the whole pool.
      const isBusy = last !== undefined && time - last.time <= togetherWithin
      const block = Buffer.allocUnsafeSlow(isBusy ? Math.max(blockSize, chunk.length) : chunk.length)
      chunk.copy(block)
      this.#entries.push({ stream, time, block, length: chunk.length })
      this.#size += block.length + entryCost
      this.#bound()
    }
    this.#wake()
  }

  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  async *read(options: LogOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    const { follow = false, tail, stream, signal } = options
    const position = { entry: this.#first, offset: 0 }
    const lines = { stdout: new Lines('stdout'), stderr: new Lines('stderr') }
    const isOver = (): boolean => !follow || this.#hasEnded || signal?.aborted === true
    if (tail !== undefined) yield* await this.#last(tail, isOver, stream, position, lines)
    for (;;) {
      for await (const batch of this.#from(position, lines)) yield* stream === undefined ? batch : ofStream(batch, stream)
      if (isOver()) break
      await this.#change(signal)
    }
    // The line that is not complete yet is told as far as it is there.
    yield* unfinished(lines, stream)
  }

  /** The last lines so far, the unfinished ones only when nothing is to follow; reading goes on from `position`. */
  async #last(
    count: number,
    isOver: () => boolean,
    stream: LogStream | undefined,
    position: { entry: number; offset: number },
    lines: Readonly<Record<LogStream, Lines>>,
  ): Promise<LogLine[]> {
    let kept: LogLine[] = []
    for await (const batch of this.#from(position, lines)) {
      const wanted = stream === undefined ? batch : ofStream(batch, stream)
      kept = count < wanted.length ? wanted : [...kept, ...wanted]
      if (kept.length > 2 * count) kept = count > 0 ? kept.slice(-count) : []
    }
    if (isOver()) kept.push(...unfinished(lines, stream))
    return count > 0 ? kept.slice(-count) : []
  }

  /** Lines from a position to the end of what is there, which the position is then at. */
  async *#from(
    position: { entry: number; offset: number },
    lines: Readonly<Record<LogStream, Lines>>,
  ): AsyncGenerator<LogLine[], void, undefined> {
    let inARow = 0
    for (;;) {
      if (position.entry < this.#first) Object.assign(position, { entry: this.#first, offset: 0 })
      const entry = this.#entries[position.entry - this.#first]
      if (!entry) return
      if (position.offset < entry.length) {
        const bytes = entry.block.subarray(position.offset, entry.length)
        position.offset = entry.length
        yield lines[entry.stream].add(bytes, new Date(entry.time))
        inARow += bytes.length
        if (inARow > bytesInARow) {
          inARow = 0
          await new Promise(setImmediate)
        }
      } else if (position.entry - this.#first + 1 < this.#entries.length) {
        position.entry += 1
        position.offset = 0
      } else {
        return
      }
    }
  }

  /** A quarter at a time: to drop an entry from the front moves all the others. */
  #bound(): void {
    if (this.#size < this.#limit * 1.25) return
    let dropped = 0
    while (this.#size > this.#limit && dropped < this.#entries.length - 1) {
      this.#size -= (this.#entries[dropped]?.block.length ?? 0) + entryCost
      dropped += 1
    }
    this.#entries = this.#entries.slice(dropped)
    this.#first += dropped
  }

  #wake(): void {
    if (this.#waiting.length > 0) for (const wake of this.#waiting.splice(0)) wake()
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const forget = onAbort(signal, resolve)
      this.#waiting.push(() => {
        forget()
        resolve()
      })
    })
  }
}
