import { errnoNumbers } from '../sys/index.ts'

interface Waiting {
  readonly message: Buffer
  readonly fds: readonly number[]
  readonly done: (errno: number) => void
}

export interface OutboxOptions {
  /** sendmsg(2) without waiting: 0 or errno. */
  send(message: Buffer, fds: readonly number[]): number
  /** Whether `flush` is to be called when the socket can take more. */
  watch(wanted: boolean): void
  /** How long, in milliseconds, a message is tried for which the kernel has no memory. Default: 2000. */
  readonly patience?: number
}

/** Milliseconds between two attempts when the kernel has no memory: the socket says "writable" then. */
const pause = 10

/**
 * The socket is full, or this user has more fds on their way than it may have open (unix(7), ETOOMANYREFS): either ends as soon as the other
 * side reads.
 */
function isFull(errno: number): boolean {
  return errno === errnoNumbers.EAGAIN || errno === errnoNumbers.ETOOMANYREFS
}

/** The kernel has no memory for the message just now. */
function isShort(errno: number): boolean {
  return errno === errnoNumbers.ENOBUFS || errno === errnoNumbers.ENOMEM
}

/** Messages on their way to an agent, in their order. */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #queue: Waiting[] = []
  #timer: NodeJS.Timeout | undefined
  #shortUntil: number | undefined

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** `done` is called once, with 0 when the message has left, else with the errno; the bytes are read at once. */
  add(message: Buffer, fds: readonly number[], done: (errno: number) => void): void {
    if (this.isEmpty) {
      const errno = this.#options.send(message, fds)
      if (!this.#hasToWait(errno)) {
        done(errno)
        return
      }
    }
    this.#queue.push({ message: Buffer.from(message), fds, done })
  }

  /** Sends what can be sent. */
  flush(): void {
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      const errno = this.#options.send(next.message, next.fds)
      if (this.#hasToWait(errno)) return
      this.#queue.shift()
      next.done(errno)
    }
    this.#shortUntil = undefined
    this.#options.watch(false)
  }

  /** Nothing is sent any more: what waits is done with `errno`. */
  close(errno: number): void {
    clearTimeout(this.#timer)
    for (const { done } of this.#queue.splice(0)) done(errno)
  }

  #hasToWait(errno: number): boolean {
    if (isShort(errno)) {
      this.#shortUntil ??= performance.now() + (this.#options.patience ?? 2000)
      // What is behind one that was given up has waited as long.
      if (performance.now() >= this.#shortUntil) return false
      this.#options.watch(false)
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.flush(), pause)
      return true
    }
    this.#shortUntil = undefined
    if (!isFull(errno)) return false
    this.#options.watch(true)
    return true
  }
}
