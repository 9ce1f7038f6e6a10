import { spawn } from 'node:child_process'
import { onAbort, StrakeError } from '../../errors/index.ts'
import { abortedError } from './failure.ts'

export interface HelperAnswer {
  readonly username: string
  readonly secret: string
}

const longestAnswer = 64 * 1024
const notFound = /credentials not found|no credentials server URL|no usernames for|not found in native keychain/i

/**
 * Asks `docker-credential-NAME get` for a server's credentials (docker/docker-credential-helpers): the address on its standard input, JSON on its
 * output. No shell is run. undefined where it has none. Rejects with `registry_unauthorized` when it fails or takes longer than `timeout` ms.
 */
export async function askHelper(
  name: string,
  server: string,
  options: { readonly timeout?: number; readonly signal?: AbortSignal | undefined; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<HelperAnswer | undefined> {
  if (!/^[\w.-]{1,100}$/.test(name)) throw failed(name, 'that is not the name of a helper')
  const { exitCode, output } = await run(`docker-credential-${name}`, server, options)
  if (exitCode !== 0) {
    if (notFound.test(output)) return undefined
    throw failed(name, `it ended with ${exitCode}`)
  }
  return parseAnswer(name, output)
}

function parseAnswer(name: string, output: string): HelperAnswer | undefined {
  let value: unknown
  try {
    value = JSON.parse(output)
  } catch {
    // Its output may hold the secret: it goes into no error.
    throw failed(name, 'it did not answer with JSON')
  }
  const { Username, Secret } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  if (typeof Username !== 'string' || typeof Secret !== 'string') throw failed(name, 'its answer has no Username and Secret')
  return Secret === '' ? undefined : { username: Username, secret: Secret }
}

function failed(name: string, why: string, cause?: unknown): StrakeError {
  return new StrakeError('registry_unauthorized', `the credential helper ${JSON.stringify(name.slice(0, 100))} failed: ${why}`, {
    cause,
    hint: 'it is named by credsStore or credHelpers of the configuration; { auth } does without it',
    details: { helper: name.slice(0, 100) },
  })
}

function run(
  program: string,
  input: string,
  options: { readonly timeout?: number; readonly signal?: AbortSignal | undefined; readonly env?: NodeJS.ProcessEnv },
): Promise<{ exitCode: number | string | null; output: string }> {
  const { timeout = 10_000, signal, env = process.env } = options
  const name = program.replace('docker-credential-', '')
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], env })
    const pieces: Buffer[] = []
    let length = 0
    const stop = (error: StrakeError): void => {
      child.kill('SIGKILL')
      // A grandchild may hold the pipe open.
      child.stdout.destroy()
      reject(error)
    }
    const timer = setTimeout(() => stop(failed(name, `no answer within ${timeout} ms`)), timeout)
    const abort = (): void => signal && stop(abortedError(signal))
    if (signal?.aborted) abort()
    const forget = onAbort(signal, abort)
    child.stdout.on('data', (piece: Buffer) => {
      pieces.push(piece)
      length += piece.length
      if (length > longestAnswer) stop(failed(name, `its answer has more than ${longestAnswer} bytes`))
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const end = (): void => {
      clearTimeout(timer)
      forget()
    }
    child.on('error', (error) => {
      end()
      reject(failed(name, `${program} cannot be run`, error))
    })
    child.on('close', (exitCode, killer) => {
      end()
      resolve({ exitCode: exitCode ?? killer, output: Buffer.concat(pieces, length).toString() })
    })
  })
}
