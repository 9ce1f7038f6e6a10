import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const examples = fileURLToPath(new URL('../../examples/', import.meta.url))

export interface ProgramEnd {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs an example as a user does, in a Node of its own, on the store of `root`. */
export async function runExample(name: string, root: string): Promise<ProgramEnd> {
  const child = spawn(process.execPath, ['--import', 'tsx', `${examples}${name}`], {
    env: { ...process.env, STRAKE_ROOT: root },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (piece) => (said.stdout += piece))
  child.stderr.on('data', (piece) => (said.stderr += piece))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { code, ...said }
}
