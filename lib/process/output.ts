import { Readable } from 'node:stream'
import { binding, closeFd, type Watcher } from '../../native/binding.ts'
import { errnoNumbers } from '../sys/index.ts'

const chunkSize = 65_536
/** One for all readers: a read is copied out at its true size before the next. */
const scratch = Buffer.allocUnsafeSlow(chunkSize)
/** How many reads in a row before others get their turn. */
const readsInARow = 16
const readsToDrain = 32
/** Milliseconds from its start. A command that has ended by then is read at its end only: to watch its pipes would cost more than to read them. */
const watchedAfter = 4

const unwatched = new Set<Output>()
let isWaiting = false

/** One timer for all that have just started. */
function watchSoon(output: Output): void {
  unwatched.add(output)
  if (isWaiting) return
  isWaiting = true
  setTimeout(() => {
    isWaiting = false
    for (const each of unwatched) each.watch()
    unwatched.clear()
  }, watchedAfter).unref()
}

/**
 * What a process writes to one of its outputs: collected, until somebody asks for the stream; from then on it flows
 * there, and what nobody reads stays in the pipe (the writer waits).
 */
export class Output {
  readonly #limit: number
  readonly #onOverflow: () => void
  #chunks: Buffer[] = []
  #size = 0
  #fd = -1
  #watcher: Watcher | undefined
  #stream: Readable | undefined
  #isPaused = false
  #hasEnded = false
  #isTaken = false
  #resolveEnd!: () => void
  #tap: ((chunk: Buffer) => void) | undefined
  /** Resolves when the last writer has closed, or at `finish`. */
  readonly ended: Promise<void>

  constructor(limit: number, onOverflow: () => void) {
    this.#limit = limit
    this.#onOverflow = onOverflow
    this.ended = new Promise((resolve) => {
      this.#resolveEnd = resolve
    })
  }

  /** The stream; what was collected so far comes first. */
  get stream(): Readable {
    if (this.#stream) return this.#stream
    this.#isTaken = true
    const stream = new Readable({
      read: () => this.#resume(),
      destroy: (error, done) => {
        this.#stop()
        done(error)
      },
    })
    this.#stream = stream
    for (const chunk of this.#chunks) stream.push(chunk)
    this.#chunks = []
    this.#size = 0
    if (this.#hasEnded) stream.push(null)
    else this.watch()
    return stream
  }

  /** Whether the stream was asked for: then nothing is collected. */
  get isTaken(): boolean {
    return this.#isTaken
  }

  /** Gives every chunk to `tap` instead of collecting it. */
  tap(tap: (chunk: Buffer) => void): void {
    this.#tap = tap
    this.watch()
  }

  /** Reads from `fd`, which does not block and is this object's from now on. */
  attach(fd: number): void {
    // Destroyed, or finished, before the pipe was there.
    if (this.#hasEnded) {
      closeFd(fd)
      return
    }
    this.#fd = fd
    if (this.#stream || this.#tap) this.watch()
  }

  /** The process runs: from now on it may write. */
  started(): void {
    if (this.#fd >= 0 && !this.#watcher && !this.#hasEnded) watchSoon(this)
  }

  /** Reads what comes, as it comes. */
  watch(): void {
    if (this.#fd < 0 || this.#watcher || this.#hasEnded) return
    this.#watcher = binding().watch(this.#fd, 1, () => this.#read(readsInARow))
  }

  /** What was collected. */
  collected(): Buffer {
    const [first] = this.#chunks
    return this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks, this.#size)
  }

  /**
   * Once the process has ended: takes what is in the pipe, then stops, whoever else may still hold it open. A stream that
   * somebody reads slowly keeps its pipe until all of it has been read.
   */
  finish(): void {
    if (this.#hasEnded) return
    this.#finishes = true
    if (!(this.#stream && this.#isPaused)) this.#drain()
  }

  #finishes = false

  #resume(): void {
    if (!this.#isPaused || this.#hasEnded) return
    this.#isPaused = false
    if (this.#finishes) this.#drain()
    else if (this.#watcher) binding().rewatch(this.#watcher, 1)
  }

  /** What is in the pipe now, which is 1 MB at most; whoever holds it open and goes on writing is not waited for. */
  #drain(): void {
    this.#read(readsToDrain)
    if (!this.#isPaused) this.#stop()
  }

  #read(most: number): void {
    const native = binding()
    for (let count = 0; count < most && !this.#hasEnded && !this.#isPaused && this.#fd >= 0; count += 1) {
      const length = native.read(this.#fd, scratch)
      if (length > 0) {
        this.#take(Buffer.from(scratch.subarray(0, length)))
      } else if (-length === errnoNumbers.EAGAIN) {
        return
      } else if (-length !== errnoNumbers.EINTR) {
        // A terminal whose last process is gone says EIO.
        this.#stop()
      }
    }
  }

  #take(chunk: Buffer): void {
    if (this.#stream) {
      if (this.#stream.push(chunk) || this.#stream.destroyed) return
      this.#isPaused = true
      if (this.#watcher) binding().rewatch(this.#watcher, 0)
      return
    }
    if (this.#tap) {
      this.#tap(chunk)
      return
    }
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size > this.#limit) {
      this.#onOverflow()
      this.#stop()
    }
  }

  #stop(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    unwatched.delete(this)
    if (this.#watcher) binding().unwatch(this.#watcher)
    this.#watcher = undefined
    if (this.#fd >= 0) closeFd(this.#fd)
    this.#fd = -1
    if (this.#stream && !this.#stream.destroyed) this.#stream.push(null)
    this.#resolveEnd()
  }
}
