import type { BuildEvent } from '../../build/index.ts'
import { fit, printable, seconds, type View } from '../../terminal/index.ts'
import { TransferView } from './transfer-view.ts'

/** Lines of a running step's output that are shown. */
const tailLines = 6
/** Those that stay when it fails. */
const keptLines = 20
/** Characters of a step's name, so that the time after it is seen. */
const longestName = 64

/** A step under way. */
class RunningStep {
  readonly #begin = performance.now()
  readonly #name: string
  readonly #decoder = new TextDecoder()
  readonly #pulls = new Map<string, TransferView>()
  #log: string[] = []
  #open = ''

  constructor({ index, total, name }: { readonly index: number; readonly total: number; readonly name: string }) {
    this.#name = fit(`[${index}/${total}] ${printable(name)}`, longestName)
  }

  log(data: Uint8Array): void {
    const lines = (this.#open + this.#decoder.decode(data, { stream: true })).split('\n')
    this.#open = (lines.pop() ?? '').slice(-4096)
    this.#log = [...this.#log, ...lines.map(printable).filter((line) => line !== '')].slice(-keptLines)
  }

  pull({ reference, transfer }: Extract<BuildEvent, { readonly type: 'pull' }>): void {
    const view = this.#pulls.get(reference) ?? new TransferView('pull', reference)
    this.#pulls.set(reference, view)
    view.tell(transfer)
  }

  lines(width: number): string[] {
    const pulls = [...this.#pulls.values()].flatMap((view) => view.lines(width))
    const tail = [...pulls, ...this.#tail(tailLines)]
    return [`▸ ${this.#name}  ${seconds(performance.now() - this.#begin)}`, ...tail.map((line) => `  │ ${line}`)]
  }

  done(note: string): string[] {
    const pulls = [...this.#pulls.values()].flatMap((view) => view.summary())
    return [...pulls.map((line) => `  ${line}`), `✔ ${this.#name}  ${note}`]
  }

  failed(hasLog: boolean): string[] {
    return [
      `✘ ${this.#name}  ${seconds(performance.now() - this.#begin)}`,
      ...(hasLog ? this.#tail(keptLines).map((line) => `  │ ${line}`) : []),
    ]
  }

  #tail(most: number): string[] {
    const open = printable(this.#open)
    return [...this.#log, ...(open === '' ? [] : [open])].slice(-most)
  }
}

/** A build: the steps that are over stay above, the one that runs is shown with the end of its output. */
export class BuildView implements View {
  readonly #print: (lines: readonly string[]) => void
  readonly #running = new Map<string, RunningStep>()

  /** @param print gets the lines that stay */
  constructor(print: (lines: readonly string[]) => void) {
    this.#print = print
  }

  tell(event: BuildEvent): void {
    const key = `${event.index} ${event.name}`
    if (event.type === 'start') this.#running.set(key, new RunningStep(event))
    const step = this.#running.get(key)
    if (event.type === 'log') step?.log(event.data)
    else if (event.type === 'pull') step?.pull(event)
    else if (event.type === 'step') {
      this.#running.delete(key)
      if (step) this.#print(step.done(event.cached ? 'cached' : seconds(event.durationMs)))
    }
  }

  lines(width: number): string[] {
    return [...this.#running.values()].flatMap((step) => step.lines(width))
  }

  /** The step that was under way when the build failed, with the end of its output unless somebody else shows that. */
  failure(hasLog: boolean): string[] {
    return [...this.#running.values()].slice(-1).flatMap((step) => step.failed(hasLog))
  }
}
