import { Readable, Writable } from 'node:stream'
import { binding, closeFd, type Watcher } from '../../native/binding.ts'
import { errnoNumbers } from '../sys/index.ts'

/** What a process reads: nothing, bytes, a stream, or (`'pipe'`) what is written to `stdin`. */
export type StdinSource = 'pipe' | string | Uint8Array | Readable

/** The writing end of a process's standard input. A reader that has gone is no error: it did not want more. */
export class Input {
  #fd = -1
  #watcher: Watcher | undefined
  #stream: Writable | undefined
  #waiting: (() => void) | undefined
  #closesEarly = false

  get isWanted(): boolean {
    return this.#stream !== undefined
  }

  get stream(): Writable {
    this.#stream ??= new Writable({
      write: (chunk: Buffer | string, encoding, done) => {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
        if (this.#fd >= 0 || this.#closesEarly) this.#write(bytes, done)
        else this.#waiting = () => this.#write(bytes, done)
      },
      final: (done) => {
        if (this.#fd < 0) this.#closesEarly = true
        this.#close()
        done()
      },
      destroy: (error, done) => {
        if (this.#fd < 0) this.#closesEarly = true
        this.#close()
        done(error)
      },
    })
    return this.#stream
  }

  /** Writes to `fd`, which does not block and is this object's from now on. */
  attach(fd: number): void {
    this.#fd = fd
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting()
    else if (this.#closesEarly) this.#close()
  }

  /** Sends a whole source. */
  feed(source: Exclude<StdinSource, 'pipe'>): void {
    if (source instanceof Readable) {
      source.on('error', (error) => this.stream.destroy(error))
      source.pipe(this.stream)
    } else {
      this.stream.end(source)
    }
    this.stream.on('error', () => undefined)
  }

  /** The process has ended: nothing will be read any more. */
  finish(): void {
    this.#closesEarly = true
    this.#close()
    this.#waiting?.()
    this.#waiting = undefined
    if (this.#stream && !this.#stream.destroyed && !this.#stream.writableFinished) this.#stream.destroy()
  }

  #write(bytes: Buffer, done: (error?: Error | null) => void): void {
    const native = binding()
    let rest = bytes
    while (rest.length > 0) {
      const count = this.#fd < 0 ? -errnoNumbers.EPIPE : native.write(this.#fd, rest)
      if (count >= 0) {
        rest = rest.subarray(count)
      } else if (-count === errnoNumbers.EAGAIN) {
        const left = rest
        this.#watcher = native.watch(this.#fd, 2, () => {
          this.#unwatch()
          this.#write(left, done)
        })
        this.#waiting = () => done()
        return
      } else if (-count !== errnoNumbers.EINTR) {
        break
      }
    }
    this.#waiting = undefined
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
