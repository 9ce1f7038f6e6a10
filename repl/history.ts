import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { homeDirectory } from '../lib/store/index.ts'

/** `$XDG_STATE_HOME/strake/repl_history`, by default in `~/.local/state` (XDG Base Directory Specification); none for a user without a home. */
export function historyPath(env: NodeJS.ProcessEnv = process.env): string | false {
  const state = env.XDG_STATE_HOME
  // A relative path there is to be ignored, says the specification.
  if (state?.startsWith('/')) return join(state, 'strake', 'repl_history')
  const home = homeDirectory(env)
  return home !== undefined && join(home, '.local', 'state', 'strake', 'repl_history')
}

/** Makes the history file's directory, and takes the file from the eyes of others. What is typed at a prompt may be a secret. */
export function prepareHistory(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (existsSync(path)) chmodSync(path, 0o600)
}
