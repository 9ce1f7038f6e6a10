import { EventEmitter, once } from 'node:events'
import type { REPLServer } from 'node:repl'

type Key = { readonly ctrl?: boolean; readonly name?: string } | undefined
type Write = (this: REPLServer, text: string, key: Key) => void

/**
 * Lets one input at a time into Node's REPL server. Its own guard serves only its own `eval`: with another that takes its time, a line
 * that arrives meanwhile (pasted, piped) would be evaluated beside the first, and keys would be echoed amid its output.
 */
export class Turns {
  readonly #server: REPLServer
  readonly #lines: string[] = []
  readonly #keys: [string, Key][] = []
  readonly #events = new EventEmitter()
  readonly #take: (line: string) => void
  readonly #write: Write | undefined
  #busy = false

  /** `intercept` is shown each line first, and says whether it has dealt with it. */
  constructor(server: REPLServer, intercept: (line: string) => boolean) {
    this.#server = server
    const take = server.listeners('line') as ((line: string) => void)[]
    server.removeAllListeners('line')
    this.#take = (line) => {
      if (!intercept(line)) for (const listener of take) Reflect.apply(listener, server, [line])
    }
    server.on('line', (line: string) => {
      if (this.#busy) this.#lines.push(line)
      else this.#take(line)
    })
    this.#write = this.#guardKeys()
  }

  get busy(): boolean {
    return this.#busy
  }

  begin(): void {
    this.#busy = true
  }

  /** The turn is over: what was typed or piped meanwhile follows. */
  end(): void {
    this.#busy = false
    while (!this.#busy) {
      const line = this.#lines.shift()
      if (line !== undefined) {
        this.#take(line)
        continue
      }
      const key = this.#keys.shift()
      if (!key || !this.#write) break
      Reflect.apply(this.#write, this.#server, key)
    }
    if (!this.#busy) this.#events.emit('idle')
  }

  /** Resolves once nothing is under way or waiting. */
  async idle(): Promise<void> {
    while (this.#busy || this.#lines.length > 0) await once(this.#events, 'idle')
  }

  #guardKeys(): Write | undefined {
    const write: unknown = Reflect.get(this.#server, '_ttyWrite')
    if (typeof write !== 'function') return undefined
    Reflect.set(this.#server, '_ttyWrite', (text: string, key: Key) => {
      const isInterrupt = key?.ctrl === true && key.name === 'c'
      if (this.#busy && !isInterrupt) this.#keys.push([text, key])
      else Reflect.apply(write, this.#server, [text, key])
    })
    return write as Write
  }
}
