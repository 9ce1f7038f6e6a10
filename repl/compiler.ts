import { Worker } from 'node:worker_threads'
import { threadProgram } from './library.ts'
import type { CompilerOptions, RequestKind, Requests } from './protocol.ts'
import type { Answered, Asked, CompilerThread } from './worker.ts'

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** The TypeScript compiler in a thread of its own, which starts with the first question. */
export class Compiler {
  readonly #options: CompilerOptions
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #count = 0

  constructor(options: CompilerOptions) {
    this.#options = options
  }

  /** Rejects only where the compiler itself broke: what is wrong with the code asked about is part of the answer. */
  ask<K extends RequestKind>(kind: K, ask: Requests[K]['ask']): Promise<Requests[K]['answer']> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    const number = this.#count
    this.#count += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve: (answer) => resolve(answer as Requests[K]['answer']), reject })
      worker.ref()
      worker.postMessage({ number, kind, ask } satisfies Asked<K>)
    })
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const data: CompilerThread = { strakeCompiler: this.#options }
    const worker = new Worker(threadProgram(), { workerData: data, argv: [] })
    worker.on('message', (answered: Answered) => this.#settle(answered))
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', () => this.#fail(new Error('The compiler has ended')))
    return worker
  }

  #settle(answered: Answered): void {
    const waiting = this.#waiting.get(answered.number)
    this.#waiting.delete(answered.number)
    if (this.#waiting.size === 0) this.#worker?.unref()
    if ('failure' in answered) waiting?.reject(new Error(answered.failure))
    else waiting?.resolve(answered.answer)
  }

  #fail(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error instanceof Error ? error : new Error(String(error)))
    this.#waiting.clear()
    this.#worker = undefined
  }
}
