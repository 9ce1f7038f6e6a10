import { existsSync, readFileSync, statSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Compiler } from './compiler.ts'
import { registerHooks } from './hooks.ts'
import type { Library } from './library.ts'
import type { CompiledScript, ScriptRequest } from './protocol.ts'
import { showError, showProblems } from './show.ts'

/** What to run: a file, or text given on the command line or on standard input. */
export type Script =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'text'; readonly code: string; readonly name: '[eval]' | '[stdin]'; readonly print: boolean }

export interface ScriptOptions {
  readonly library: Library
  readonly check: boolean
  readonly cwd: string
  /** process.argv of the script, without Node's own path. */
  readonly argv: readonly string[]
}

const colors = () => process.stderr.isTTY === true && !process.env.NO_COLOR

class NoSuchFile extends Error {}

function requestFor(script: Script, cwd: string): ScriptRequest {
  if (script.kind === 'text') return { path: resolve(cwd, `${script.name}.ts`), code: script.code, inline: true, print: script.print }
  const path = resolve(cwd, script.path)
  if (!existsSync(path) || !statSync(path).isFile()) throw new NoSuchFile(`There is no file ${path}`)
  // A program without an extension, started by its #! line, is TypeScript too.
  return extname(path) === '' ? { path: `${path}.ts`, code: readFileSync(path, 'utf8') } : { path }
}

/** Modules of JavaScript and CommonJS are Node's affair; in them the library is imported by name. */
function isCompiled(path: string): boolean {
  return /\.[m]?tsx?$/.test(path)
}

async function compile(request: ScriptRequest, { library, check, cwd }: ScriptOptions): Promise<CompiledScript> {
  if (!isCompiled(request.path)) return { problems: [], outputs: [] }
  const compiler = new Compiler({ library, check, cwd })
  try {
    const names = check ? undefined : Object.keys(await import(library.url))
    return await compiler.ask('script', { ...request, ...(names ? { names } : {}) })
  } finally {
    // With the compiler goes its memory, before the script begins.
    await compiler.close()
  }
}

/** An uncaught error ends the program with 1, unless the script deals with those itself. */
function reportUncaught(): void {
  const before = process.listenerCount('uncaughtException')
  const report = (error: unknown) => {
    if (process.listenerCount('uncaughtException') > before + 1) return
    process.stderr.write(`${showError(error, colors())}\n`)
    process.exit(1)
  }
  process.on('uncaughtException', report)
}

/** As Node does it: the loop has nothing left to do, and the script still waits. */
function reportUnsettled(isSettled: () => boolean): void {
  process.on('exit', (code) => {
    if (isSettled() || code !== 0) return
    process.stderr.write('The script waits for something that will never come: nothing is left that could settle its await\n')
    process.exitCode = 13
  })
}

/** Runs a script in this process. Resolves to an exit code where it could not be started, and to undefined where its end is Node's affair. */
export async function runScript(script: Script, options: ScriptOptions): Promise<number | undefined> {
  let request: ScriptRequest
  try {
    request = requestFor(script, options.cwd)
  } catch (error) {
    if (!(error instanceof NoSuchFile)) throw error
    process.stderr.write(`strake: ${error.message}\n`)
    return 1
  }
  const { problems, outputs } = await compile(request, options)
  if (problems.length > 0) {
    process.stderr.write(`${showProblems(problems, request.code ?? '', colors())}\n`)
    return 1
  }
  registerHooks({ specifier: options.library.specifier, url: options.library.url, outputs })
  process.argv.splice(1, process.argv.length, ...options.argv)
  process.setSourceMapsEnabled(true)
  reportUncaught()
  let isSettled = false
  reportUnsettled(() => isSettled)
  const exports = (await import(pathToFileURL(request.path).href)) as { default?: unknown }
  if (script.kind === 'text' && script.print) console.log(await exports.default)
  isSettled = true
  return undefined
}
