import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import vm from 'node:vm'
import type { Compiler } from './compiler.ts'
import type { Handles } from './handles.ts'
import type { CompiledInput, Problem } from './protocol.ts'
import { makeScope, type Scope } from './scope.ts'
import { rememberLines } from './stack.ts'

/** What an evaluation came to. */
export type Outcome =
  | { readonly status: 'incomplete' }
  | { readonly status: 'refused'; readonly problems: readonly Problem[] }
  | { readonly status: 'failed'; readonly error: unknown }
  /** `goesOn`: what it waited for has not ended by that. */
  | { readonly status: 'interrupted'; readonly goesOn: boolean }
  /** `hasValue` is false where the input was a statement. */
  | { readonly status: 'done'; readonly hasValue: boolean; readonly value: unknown }

export interface EvaluatorOptions {
  readonly compiler: Compiler
  readonly handles: Handles
  readonly cwd: string
  /** What the library is called in imports. */
  readonly specifier: string
  readonly library: () => Promise<object>
  /** `import()` as it works in the session's directory. */
  readonly load: (specifier: string, options?: ImportCallOptions) => Promise<unknown>
  /** Ctrl-C comes as a signal while the part of an input that blocks is running. */
  readonly interruptible?: boolean
  /** Called when the part of an input that blocks begins, and when it ends. */
  readonly onSynchronous?: (running: boolean) => void
}

type Ready = Extract<CompiledInput, { status: 'ready' }>

const unbegun = { status: 'interrupted', goesOn: false } as const
/** Milliseconds that what was given the session's `signal` has to end before it is said that it goes on. */
const patience = 300

const entrance = Symbol.for('strake.repl.input')
const entranceText = `globalThis[Symbol.for('strake.repl.input')]`
/** A `with` has the scope's names found and set as if they were variables; the function in it is strict all the same. */
const head = `(function strakeScope($scope, $import) { with ($scope) { return (async function strakeInput() { 'use strict'; `
const tail = `\n})() } })(${entranceText}.scope, ${entranceText}.load)`

/**
 * The running side of a session: the scope that inputs read and write, and their evaluation. Variables are no globals, so that a
 * `const process = …` of the user takes nothing from Node or the library.
 */
export class Evaluator {
  readonly scope: Scope
  readonly #options: EvaluatorOptions
  #base: Scope | undefined
  #controller = new AbortController()
  #abandoned = 0

  constructor(options: EvaluatorOptions) {
    this.#options = options
    const { scope, base } = makeScope(options.cwd, () => this.#controller.signal)
    this.scope = scope
    this.#base = base
  }

  /** An evaluation is about to follow: interruptions are for that one from now on. */
  begin(): void {
    this.#controller = new AbortController()
  }

  /** Something that an interrupted evaluation waited for has not ended yet. */
  get hasAbandoned(): boolean {
    return this.#abandoned > 0
  }

  /** Stops waiting for the evaluation that is under way, and aborts `signal`. */
  interrupt(): void {
    this.#controller.abort(new Error('Interrupted'))
  }

  /** Compiles and runs one input, after `begin`; what it declares stays. */
  async evaluate(code: string): Promise<Outcome> {
    const compiled = await this.#compile(code)
    if (compiled.status !== 'ready') return compiled
    const { outcome, kept } = await this.#attempt(compiled)
    if (outcome.status === 'done' || kept.length > 0) await this.#options.compiler.ask('commit', { id: compiled.id, names: kept })
    return this.#hold(compiled, kept) ?? outcome
  }

  /** The value of an expression, for a command: it leaves no name and no `_`. */
  async value(code: string): Promise<Outcome> {
    this.begin()
    const compiled = await this.#compile(code)
    if (compiled.status !== 'ready') return compiled
    const { outcome } = await this.#attempt({ ...compiled, names: [] })
    return outcome
  }

  /** Can be interrupted as well: the first input waits for the compiler and the library. */
  async #compile(code: string): Promise<CompiledInput | typeof unbegun> {
    const ready = this.#options.compiler.ask('input', { code }).then(async (compiled) => {
      if (compiled.status === 'ready') await this.#provideLibrary()
      return compiled
    })
    return await Promise.race([ready, aborted(this.#controller.signal).then(() => unbegun)])
  }

  /** Runs; of an input that broke off, only the names that it got to are kept. */
  async #attempt(compiled: Ready): Promise<{ outcome: Outcome; kept: readonly string[] }> {
    const { scope } = this
    const fresh = new Set(compiled.names.filter((name) => !Object.hasOwn(scope, name)))
    const before = new Map(compiled.names.map((name) => [name, fresh.has(name) ? undefined : scope[name]]))
    for (const name of fresh) scope[name] = undefined
    const outcome = await this.#runBody(compiled)
    const kept = outcome.status === 'done' ? compiled.names : compiled.names.filter((name) => scope[name] !== before.get(name))
    for (const name of fresh) if (!kept.includes(name)) delete scope[name]
    return { outcome, kept }
  }

  #hold({ held }: Ready, names: readonly string[]): Outcome | undefined {
    try {
      for (const { name, async } of held) if (names.includes(name)) this.#options.handles.use(name, this.scope[name], async)
    } catch (error) {
      return { status: 'failed', error }
    }
    for (const name of names) if (!held.some((each) => each.name === name)) this.#options.handles.notice(name, this.scope[name])
    return undefined
  }

  async #runBody({ body, id, lines }: Ready): Promise<Outcome> {
    rememberLines(id, lines)
    const { signal } = this.#controller
    this.#options.onSynchronous?.(true)
    let running: Promise<unknown>
    try {
      Reflect.set(globalThis, entrance, { scope: this.scope, load: this.#options.load })
      running = this.#run(head + body + tail, id) as Promise<unknown>
    } catch (error) {
      return isInterruption(error) ? unbegun : { status: 'failed', error }
    } finally {
      Reflect.deleteProperty(globalThis, entrance)
      this.#options.onSynchronous?.(false)
    }
    const failed = (error: unknown): Outcome => ({ status: 'failed', error })
    const ended = running.then(outcomeOf, failed)
    const interrupted = aborted(signal).then(async (): Promise<Outcome> => {
      // What was given `signal` ends in a moment.
      const goesOn = await Promise.race([ended.then(() => false), sleep(patience, true, { ref: false })])
      if (goesOn) {
        this.#abandoned += 1
        ended.then(() => {
          this.#abandoned -= 1
        })
      }
      return { status: 'interrupted', goesOn }
    })
    return Promise.race([ended.then((outcome) => (signal.aborted ? interrupted : outcome)), interrupted])
  }

  #run(code: string, id: number): unknown {
    const script = new vm.Script(code, { filename: join(this.#options.cwd, `strake-input-${id}.ts`), columnOffset: -head.length })
    return script.runInThisContext({ displayErrors: false, breakOnSigint: this.#options.interruptible === true })
  }

  async #provideLibrary(): Promise<void> {
    const base = this.#base
    if (base === undefined) return
    const exports = await this.#options.library()
    // An input that was interrupted meanwhile has come to this as well, maybe.
    if (this.#base === undefined) return
    for (const [name, value] of Object.entries(exports)) {
      Object.defineProperty(base, name, { value, writable: true, enumerable: true, configurable: true })
    }
    this.#base = undefined
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function outcomeOf(result: unknown): Outcome {
  const hasValue = typeof result === 'object' && result !== null && 'value' in result
  return { status: 'done', hasValue, value: hasValue ? result.value : undefined }
}

function isInterruption(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED'
}
