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
  #duration: number | undefined

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
    return [`▸ ${this.#name}  ${this.#time()}`, ...tail.map((line) => `  │ ${line}`)]
  }

  done(note: string): string[] {
    const pulls = [...this.#pulls.values()].flatMap((view) => view.summary())
    return [...pulls.map((line) => `  ${line}`), `✔ ${this.#name}  ${note}`]
  }

  /** @param duration milliseconds */
  end(duration: number): void {
    this.#duration = duration
  }

  failed(hasLog: boolean): string[] {
    return [`✘ ${this.#name}  ${this.#time()}`, ...(hasLog ? this.#tail(keptLines).map((line) => `  │ ${line}`) : [])]
  }

  #time(): string {
    return seconds(this.#duration ?? performance.now() - this.#begin)
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
  #failed: RunningStep | undefined

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
    } else if (event.type === 'failed') {
      step?.end(event.durationMs)
      // Those that fail after it were ended because of it.
      if (this.#failed) this.#running.delete(key)
      this.#failed ??= step
    }
  }

  lines(width: number): string[] {
    return [...this.#running.values()].flatMap((step) => step.lines(width))
  }

  /** The step that the build failed with, and the end of its output unless somebody else shows that. */
  failure(hasLog: boolean): string[] {
    return this.#failed?.failed(hasLog) ?? []
  }
}
