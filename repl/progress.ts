import { setTimeout as sleep } from 'node:timers/promises'

const name = 'STRAKE_PROGRESS'
/** Milliseconds: more than the library takes from one frame to the next. */
const clearTime = 250

/** Has the library draw the progress of pulls, pushes and builds from now on, unless the user has said otherwise. */
export function showProgress(): void {
  process.env[name] ??= 'terminal'
}

/** Progress at a prompt: drawn while an input is carried out, and never over a line that is being typed. */
export class PromptProgress {
  readonly #isOurs = process.env[name] === undefined

  /** @param working an input is being carried out */
  set(working: boolean): void {
    if (this.#isOurs) process.env[name] = working ? 'terminal' : 'none'
  }

  /** Resolves once what is drawn of something that goes on is gone: it would be taken away later, with what is written below it. */
  async hide(): Promise<void> {
    this.set(false)
    await sleep(clearTime)
  }
}
