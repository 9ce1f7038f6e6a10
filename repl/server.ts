import { EventEmitter, on } from 'node:events'
import { type REPLServer, Recoverable, start } from 'node:repl'
import type { Readable, Writable } from 'node:stream'
import { type Command, makeCommands, unknownCommand } from './commands.ts'
import { Compiler } from './compiler.ts'
import { type Completer, makeCompleter } from './completer.ts'
import { Evaluator, type Outcome } from './evaluate.ts'
import { Handles } from './handles.ts'
import { historyPath, prepareHistory } from './history.ts'
import { type Library, ownLibrary, packageVersion } from './library.ts'
import { Modules } from './modules.ts'
import { acceptPastes } from './paste.ts'
import { PromptProgress } from './progress.ts'
import { Turns } from './queue.ts'
import { showError, showProblems, showValue } from './show.ts'

export interface ReplOptions {
  readonly library?: Library
  readonly input?: Readable & { readonly isTTY?: boolean; setRawMode?(on: boolean): unknown }
  readonly output?: Writable & { readonly isTTY?: boolean }
  readonly terminal?: boolean
  readonly colors?: boolean
  readonly check?: boolean
  readonly cwd?: string
  /** A file, or `false` for none. Default: as `historyPath` says on a terminal, none elsewhere. */
  readonly history?: string | false
  readonly banner?: boolean
}

type Callback = (error: Error | null, value?: unknown) => void

/** A session at a prompt, from its first line to its end. */
class Session {
  readonly #options: Required<Omit<ReplOptions, 'library' | 'history'>> & { readonly library: Library; readonly history: string | false }
  readonly #server: REPLServer
  readonly #handles = new Handles()
  readonly #evaluator: Evaluator
  readonly #turns: Turns
  readonly #commands: Readonly<Record<string, Command>>
  readonly #compiler: Compiler
  readonly #modules: Modules
  readonly #jobs = new EventEmitter()
  readonly #progress = new PromptProgress()
  #pending = ''
  #value: unknown

  constructor(options: ReplOptions) {
    const input = options.input ?? process.stdin
    const output = options.output ?? process.stdout
    const terminal = options.terminal ?? (input.isTTY === true && output.isTTY === true)
    const colors = options.colors ?? (terminal && !process.env.NO_COLOR)
    this.#options = {
      library: options.library ?? ownLibrary(),
      input,
      output,
      terminal,
      colors,
      check: options.check ?? true,
      cwd: options.cwd ?? process.cwd(),
      banner: options.banner ?? true,
      history: options.history ?? (terminal ? historyPath() : false),
    }
    const { library, check, cwd } = this.#options
    this.#compiler = new Compiler({ cwd, library, check })
    if (this.#options.banner) output.write(`strake ${packageVersion()} on Node ${process.versions.node}. .help helps.\n`)
    this.#server = start({
      prompt: 'strake> ',
      input,
      output,
      terminal,
      useColors: colors,
      ignoreUndefined: true,
      preview: false,
      eval: (code, _context, _file, callback) => this.#evaluate(code, callback as Callback),
      writer: (value: unknown) => showValue(value, colors),
    })
    this.#turns = new Turns(this.#server, (line) => this.#intercept(line))
    this.#modules = new Modules(library, cwd)
    const load = () => this.#modules.library()
    this.#evaluator = new Evaluator({
      compiler: this.#compiler,
      handles: this.#handles,
      cwd,
      specifier: library.specifier,
      library: load,
      load: this.#modules.load,
      interruptible: terminal,
      onSynchronous: (running) => this.#setRaw(!running),
    })
    this.#commands = makeCommands({
      evaluator: this.#evaluator,
      compiler: this.#compiler,
      library: load,
      colors,
      terminal: terminal ? { input, output } : undefined,
    })
  }

  /** Resolves when the session is over and what it held is disposed of. */
  async run(): Promise<void> {
    const over = new Promise<void>((resolve) => this.#server.once('exit', () => resolve()))
    const onError = (error: unknown) => this.#tell(showError(error, this.#options.colors))
    // Of a timer, of a promise that nobody waited for.
    const onUncaught = (error: unknown): void => {
      this.#evaluator.scope._error = error
      onError(error)
    }
    process.on('uncaughtException', onUncaught)
    const work = this.#work()
    this.#mind()
    // After the prompt is there: what takes a second works in a thread, and the library is loaded while the first line is typed.
    setImmediate(() => {
      this.#compiler.ask('warmUp', {}).catch(onError)
      this.#modules.library().catch(() => {})
    })
    await over
    await this.#turns.idle()
    this.#jobs.emit('end')
    await work
    await this.#handles.dispose((name, error) => this.#write(`${name}: ${showError(error, this.#options.colors)}\n`))
    await this.#compiler.close()
    process.off('uncaughtException', onUncaught)
  }

  /** Sets up what Node's server leaves to others. */
  #mind(): void {
    const server = this.#server
    const display = server.displayPrompt.bind(server)
    let closed = false
    server.once('close', () => {
      closed = true
    })
    server.displayPrompt = (keepCursor) => {
      if (!closed) display(keepCursor)
    }
    const interrupts = server.listeners('SIGINT')
    server.removeAllListeners('SIGINT')
    server.on('SIGINT', () => {
      if (this.#turns.busy) return this.#evaluator.interrupt()
      this.#pending = ''
      for (const listener of interrupts) Reflect.apply(listener, server, [])
    })
    for (const [name, command] of Object.entries(this.#commands)) {
      server.defineCommand(name, { help: '', action: (argument) => this.#command(command, argument.trim()) })
    }
    const completer = Reflect.get(server, 'completer') as Completer
    const list = (text: string) => {
      this.#write(`\n${text}\n`)
      server.displayPrompt(true)
    }
    const complete = makeCompleter({
      compiler: this.#compiler,
      scope: this.#evaluator.scope,
      pending: () => this.#pending,
      list,
      colors: this.#options.colors,
      fallback: (line, callback) => Reflect.apply(completer, server, [line, callback]),
    })
    const inTurn: Completer = (line, callback) => {
      this.#turns.begin()
      complete(line, (error, result) => {
        callback(error, result)
        this.#turns.end()
      })
    }
    Reflect.set(server, 'completer', inTurn)
    if (this.#options.terminal) acceptPastes(server, this.#options.output)
    this.#setUpHistory()
  }

  #setUpHistory(): void {
    const path = this.#options.history
    if (path === false) return
    try {
      prepareHistory(path)
      this.#server.setupHistory(path, () => {})
    } catch (error) {
      this.#tell(`No history: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #evaluate(code: string, callback: Callback): void {
    if (code.trim() === '') {
      callback(null)
      return
    }
    this.#turns.begin()
    this.#evaluator.begin()
    this.#jobs.emit('job', code, callback)
  }

  /**
   * Node's server calls `eval` in a domain, where an error that comes later, from a timer say, would be shown its way. The session's
   * own loop was begun outside of it.
   */
  async #work(): Promise<void> {
    for await (const [code, callback] of on(this.#jobs, 'job', { close: ['end'] })) await this.#carryOut(String(code), callback as Callback)
  }

  async #carryOut(code: string, callback: Callback): Promise<void> {
    // What goes on from before would be drawn over what this one prints.
    this.#progress.set(this.#options.terminal && !this.#evaluator.hasAbandoned)
    const settle = (error: Error | null, value?: unknown) => {
      this.#progress.set(false)
      callback(error, value)
      this.#turns.end()
    }
    try {
      const outcome = await this.#evaluator.evaluate(code)
      if (outcome.status === 'interrupted' && outcome.goesOn) await this.#progress.hide()
      this.#settle(outcome, code, settle)
    } catch (error) {
      this.#progress.set(false)
      this.#write(`${showError(error, this.#options.colors)}\n`)
      settle(null)
    }
  }

  #settle(outcome: Outcome, code: string, settle: Callback): void {
    const { colors } = this.#options
    this.#pending = outcome.status === 'incomplete' ? code : ''
    switch (outcome.status) {
      case 'incomplete':
        settle(new Recoverable(new SyntaxError('Unfinished')))
        return
      case 'refused':
        this.#write(`${showProblems(outcome.problems, code, colors)}\n`)
        break
      case 'failed':
        this.#evaluator.scope._error = outcome.error
        this.#write(`${showError(outcome.error, colors)}\n`)
        break
      case 'interrupted':
        this.#write(
          outcome.goesOn ? 'Interrupted. What was awaited goes on: a call that is given { signal } is ended by Ctrl-C.\n' : 'Interrupted\n',
        )
        break
      case 'done':
        if (outcome.hasValue) this.#remember(outcome.value)
    }
    settle(null, outcome.status === 'done' ? outcome.value : undefined)
  }

  /** The last value is `_`, until the user makes something else of that name. */
  #remember(value: unknown): void {
    const { scope } = this.#evaluator
    if (scope._ !== this.#value) return
    scope._ = value
    this.#value = value
  }

  #command(command: Command, argument: string): void {
    this.#turns.begin()
    command(argument)
      .catch((error: unknown) => showError(error, this.#options.colors))
      .then((text) => {
        this.#write(`${text}\n`)
        this.#server.displayPrompt()
        this.#turns.end()
      })
  }

  #intercept(line: string): boolean {
    const name = /^\s*\.([a-zA-Z]\w*)/.exec(line)?.[1]
    const isEditing = Reflect.get(this.#server, 'editorMode') === true
    if (name === undefined || isEditing || this.#pending !== '' || Object.hasOwn(this.#server.commands, name)) return false
    this.#write(`${unknownCommand(name, Object.keys(this.#server.commands))}\n`)
    this.#server.displayPrompt()
    return true
  }

  #write(text: string): void {
    this.#options.output.write(text)
  }

  /** For what happens while the user may be typing. */
  #tell(text: string): void {
    this.#write(`\n${text}\n`)
    if (!this.#turns.busy) this.#server.displayPrompt(true)
  }

  /** Out of raw mode Ctrl-C is a signal, which is what stops code that never lets go. */
  #setRaw(on: boolean): void {
    const { input, terminal } = this.#options
    if (terminal && input.isTTY) input.setRawMode?.(on)
  }
}

/** The prompt. Resolves when the user has left it. */
export function startRepl(options: ReplOptions = {}): Promise<void> {
  return new Session(options).run()
}
