// Starts a program from this Node process as any user would, and resolves when it has ended.
import { spawn } from 'node:child_process'

/** Milliseconds from the call to the close of its streams. Rejects when it fails. */
export function timeCommand(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(performance.now() - begin)
      else reject(new Error(`${command} ended with ${code ?? signal}: ${said.slice(-500)}`))
    })
  })
}
