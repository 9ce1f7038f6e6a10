const name = 'STRAKE_PROGRESS'

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
}
