import { pipeline, Readable, Writable } from 'node:stream'
import { binding, closeFd, type Watcher } from '../../native/binding.ts'
import { errnoNumbers } from '../sys/index.ts'

/** What a process reads: nothing, bytes, a stream, or (`'pipe'`) what is written to `stdin`. */
export type StdinSource = 'pipe' | string | Uint8Array | Readable

/** How much is written in one turn of the event loop: others get theirs, however fast the source and the reader are. */
const bytesInARow = 1024 * 1024
const endOfTransmission = 4
const lineFeed = 10

const brokenPipes = new WeakSet<Error>()

/** Of a stream of objects, those that can be written. */
async function* onlyBytes(source: AsyncIterable<unknown>): AsyncGenerator<string | Uint8Array, void, undefined> {
  for await (const chunk of source) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
      throw new TypeError(`A stream for stdin gives strings and bytes; this gave a value of type ${typeof chunk}.`)
    }
    yield chunk
  }
}

function brokenPipe(): Error {
  const error = Object.assign(new Error('The process reads no more.'), { code: 'EPIPE', errno: -errnoNumbers.EPIPE, syscall: 'write' })
  brokenPipes.add(error)
  return error
}

/**
 * The writing end of a process's standard input. A reader that has gone is no failure of the process, which did not want more; who writes on
 * gets EPIPE in the callback, and an 'error' event that need not be listened to.
 */
export class Input {
  #fd = -1
  #watcher: Watcher | undefined
  #stream: Writable | undefined
  #waiting: ((error?: Error) => void) | undefined
  #closesEarly = false
  #hasEnded = false
  #isTerminal = false
  #endsLine = true
  #inARow = 0

  get isWanted(): boolean {
    return this.#stream !== undefined
  }

  get stream(): Writable {
    if (this.#stream) return this.#stream
    const stream = new Writable({
      write: (chunk: Buffer | string, encoding, done) => {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
        this.#whenAttached(() => this.#write(bytes, done), done)
      },
      final: (done) => {
        if (this.#isTerminal && this.#fd >= 0) this.#endTerminal(done)
        else this.#end(done)
      },
      destroy: (error, done) => {
        this.#end(() => done(error))
      },
    })
    stream.on('error', () => undefined)
    this.#stream = stream
    if (this.#hasEnded) stream.destroy()
    return stream
  }

  /** Writes to `fd`, which does not block and is this object's from now on. Of a terminal the end is told by a character (VEOF, termios(3)). */
  attach(fd: number, { isTerminal = false }: { readonly isTerminal?: boolean } = {}): void {
    this.#fd = fd
    this.#isTerminal = isTerminal
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting()
    else if (this.#closesEarly && isTerminal && !this.#hasEnded) this.#endTerminal(() => undefined)
    else if (this.#closesEarly) this.#close()
  }

  /** Sends a whole source. `onFailure` hears of an error of the source, not of a reader that has gone. */
  feed(source: Exclude<StdinSource, 'pipe'>, onFailure: (error: Error) => void = () => undefined): void {
    if (!(source instanceof Readable)) {
      this.stream.end(source)
      return
    }
    if (source === process.stdin) {
      // The program's own input is there for others, too.
      source.pipe(this.stream)
      this.stream.once('close', () => source.unpipe(this.stream))
    } else {
      const done = (error: unknown): void => {
        // A source that is destroyed because nobody reads any more tells the reason as its own error.
        if (error instanceof Error && !brokenPipes.has(error) && !this.#hasEnded) onFailure(error)
      }
      if (source.readableObjectMode) pipeline(source, onlyBytes, this.stream, done)
      else pipeline(source, this.stream, done)
    }
  }

  /** The process has ended: nothing will be read any more. */
  finish(): void {
    this.#hasEnded = true
    this.#closesEarly = true
    this.#close()
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(brokenPipe())
    if (this.#stream && !this.#stream.destroyed && !this.#stream.writableFinished) this.#stream.destroy()
  }

  /** Now, or once there is something to write to. */
  #whenAttached(work: () => void, done: (error?: Error | null) => void): void {
    if (this.#fd >= 0) work()
    else if (this.#closesEarly) done(brokenPipe())
    else this.#waiting = (error) => (error ? done(error) : work())
  }

  #write(bytes: Buffer, done: (error?: Error | null) => void): void {
    const native = binding()
    let rest = bytes
    this.#waiting = undefined
    while (rest.length > 0) {
      const count = this.#fd < 0 ? -errnoNumbers.EPIPE : native.write(this.#fd, rest)
      if (count >= 0) {
        rest = rest.subarray(count)
        this.#inARow += count
      } else if (-count === errnoNumbers.EAGAIN) {
        this.#inARow = 0
        const left = rest
        this.#watcher = native.watch(this.#fd, 2, () => {
          this.#unwatch()
          this.#write(left, done)
        })
        this.#waiting = (error) => done(error ?? null)
        return
      } else if (-count !== errnoNumbers.EINTR) {
        this.#end(() => done(brokenPipe()))
        return
      }
    }
    this.#endsLine = bytes.length === 0 ? this.#endsLine : bytes.at(-1) === lineFeed
    if (this.#inARow < bytesInARow) {
      done()
      return
    }
    this.#inARow = 0
    setImmediate(done)
  }

  /** The character ends a line that is not finished, and only at the beginning of one the input. */
  #endTerminal(done: (error?: Error | null) => void): void {
    const ends = Buffer.alloc(this.#endsLine ? 1 : 2, endOfTransmission)
    this.#write(ends, () => this.#end(done))
  }

  #end(done: () => void): void {
    if (this.#fd < 0) this.#closesEarly = true
    this.#close()
    done()
  }

  #unwatch(): void {
    if (this.#watcher) binding().unwatch(this.#watcher)
    this.#watcher = undefined
  }

  #close(): void {
    this.#unwatch()
    if (this.#fd >= 0) closeFd(this.#fd)
    this.#fd = -1
  }
}
