#!/usr/bin/env node
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread } from 'node:worker_threads'
import { usage } from './help.ts'
import { ownLibrary, packageVersion } from './library.ts'
import { showProgress } from './progress.ts'
import type { Script } from './script.ts'
import { showError } from './show.ts'
import { serveIfCompiler } from './worker.ts'

// Node 20 loads this very file in the thread of its module hooks, and looks for them here.
export { initialize, load, resolve } from './hooks.ts'

interface Invocation {
  readonly mode: 'help' | 'version' | 'repl' | 'stdin' | 'script'
  readonly script?: Script
  readonly argv: readonly string[]
  readonly check: boolean
}

class WrongUse extends Error {}

/** Options end where the script's name is: what follows is for the script. */
function readOptions(words: readonly string[]): { values: Record<string, string | boolean | undefined>; rest: readonly string[] } {
  const options = {
    eval: { type: 'string', short: 'e' },
    print: { type: 'string', short: 'p' },
    'no-check': { type: 'boolean' },
    version: { type: 'boolean', short: 'v' },
    help: { type: 'boolean', short: 'h' },
  } as const
  const own: string[] = []
  let rest = [...words]
  for (let word = rest[0]; word?.startsWith('-') && word !== '-'; word = rest[0]) {
    const takesValue = /^(-e|-p|-pe|--eval|--print)$/.test(word)
    own.push(word === '-pe' ? '-p' : word)
    if (takesValue && rest[1] !== undefined) own[own.length - 1] = `${/^(-p|-pe|--print)$/.test(word) ? '--print' : '--eval'}=${rest[1]}`
    rest = rest.slice(takesValue ? 2 : 1)
    if (word === '--') break
  }
  try {
    return { values: parseArgs({ args: own, options, allowPositionals: true }).values, rest }
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error))
  }
}

/** What the command line asks for. Throws WrongUse. */
function readInvocation(words: readonly string[]): Invocation {
  const { values, rest } = readOptions(words)
  const check = values['no-check'] !== true && !/^(1|true|yes)$/.test(process.env.STRAKE_NO_CHECK ?? '')
  const [file, ...others] = rest
  if (values.help) return { mode: 'help', argv: [], check }
  if (values.version) return { mode: 'version', argv: [], check }
  const code = values.print ?? values.eval
  if (typeof code === 'string') {
    return { mode: 'script', script: { kind: 'text', code, name: '[eval]', print: values.print !== undefined }, argv: rest, check }
  }
  if (file === '-') return { mode: 'stdin', argv: rest, check }
  if (file !== undefined) return { mode: 'script', script: { kind: 'file', path: file }, argv: [resolve(file), ...others], check }
  return { mode: process.stdin.isTTY ? 'repl' : 'stdin', argv: [], check }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks).toString()
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { mode, argv, check } = invocation
  if (mode === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if (mode === 'version') {
    process.stdout.write(`${packageVersion()}\n`)
    return 0
  }
  if (mode === 'repl') {
    const { startRepl } = await import('./server.ts')
    await startRepl({ check })
    process.exit()
  }
  const { runScript } = await import('./script.ts')
  showProgress()
  const script: Script = invocation.script ?? { kind: 'text', code: await readStdin(), name: '[stdin]', print: false }
  return runScript(script, { library: ownLibrary(), check, cwd: process.cwd(), argv })
}

async function main(): Promise<void> {
  try {
    const code = await run(readInvocation(process.argv.slice(2)))
    if (code !== undefined) process.exitCode = code
  } catch (error) {
    if (error instanceof WrongUse) {
      process.stderr.write(`strake: ${error.message}\nTry strake --help\n`)
      process.exitCode = 2
    } else {
      process.stderr.write(`${showError(error, process.stderr.isTTY === true && !process.env.NO_COLOR)}\n`)
      process.exit(1)
    }
  }
}

if (isMainThread) await main()
else await serveIfCompiler()
