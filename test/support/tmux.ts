import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

let sessions = 0

/** A terminal with a program on it, whose screen is read and keys are typed by tmux. */
export class Screen implements Disposable {
  /** A server of its own: one that is told to go takes a while, and must not be given the next session. */
  readonly #server: string

  constructor(command: string) {
    sessions += 1
    this.#server = `strake-test-${process.pid}-${sessions}`
    this.#tmux('new-session', '-d', '-x', '100', '-y', '40', command)
  }

  #tmux(...args: string[]): string {
    return spawnSync('tmux', ['-L', this.#server, '-f', '/dev/null', ...args], { encoding: 'utf8' }).stdout
  }

  text(): string {
    return this.#tmux('capture-pane', '-p', '-J', '-S', '-200').trimEnd()
  }

  /** Resolves, to the screen, once it shows what is looked for. */
  async see(what: RegExp, seconds = 30): Promise<string> {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(50)) {
      const text = this.text()
      if (what.test(text)) return text
    }
    throw new Error(`${what} did not appear:\n${this.text()}`)
  }

  /** Keys by tmux's names: `Enter`, `C-c`. */
  press(...keys: string[]): void {
    this.#tmux('send-keys', ...keys)
  }

  write(text: string): void {
    this.#tmux('send-keys', '-l', text)
  }

  /** What a paste brings, brackets and all. */
  paste(text: string): void {
    this.#tmux('set-buffer', text)
    this.#tmux('paste-buffer', '-p')
  }

  /** Types a line into an empty prompt. */
  async enter(line: string, prompt = /strake> ?$/): Promise<void> {
    await this.see(prompt)
    this.write(line)
    this.press('Enter')
  }

  [Symbol.dispose](): void {
    this.#tmux('kill-server')
  }
}
