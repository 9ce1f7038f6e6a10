import { existsSync, readFileSync, statSync } from 'node:fs'
import * as module from 'node:module'
import { createRequire, type LoadFnOutput, type LoadHookContext, type ResolveFnOutput, type ResolveHookContext } from 'node:module'
import { sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { mainProgram, packageRoot } from './library.ts'

/** What the hooks go by; plain data, as on Node 20 they run in another thread. */
export interface HookOptions {
  /** The specifier that means the library, and the module it stands for. */
  readonly specifier: string
  readonly url: string
  /** JavaScript that the check has made already, by path. */
  readonly outputs: readonly (readonly [path: string, code: string])[]
}

let options: HookOptions = { specifier: 'strake', url: '', outputs: [] }
let outputs: ReadonlyMap<string, string> = new Map()

/** Called by Node in the hooks' thread. */
export function initialize(given: HookOptions): void {
  options = given
  outputs = new Map(given.outputs)
}

const typescript = /\.[mc]?tsx?$/
const ownFolders = ['lib', 'repl', 'native', 'node_modules'].map((folder) => packageRoot + sep + folder + sep)

/** Is this a file that the session compiles? Those of packages, and of this package itself, come as they are. */
function isOurs(path: string): boolean {
  if (outputs.has(path)) return true
  return typescript.test(path) && !path.includes(`${sep}node_modules${sep}`) && !ownFolders.some((folder) => path.startsWith(folder))
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile()
}

/** The TypeScript file that a relative import means: itself, or what `./x` and `./x.js` stand for. */
function typescriptFile(specifier: string, parent: string | undefined): string | undefined {
  if (!/^(\.{1,2}\/|\/|file:)/.test(specifier)) return undefined
  const url = new URL(specifier, parent ?? pathToFileURL(`${process.cwd()}/`))
  if (url.protocol !== 'file:') return undefined
  const path = fileURLToPath(url)
  if (outputs.has(path)) return url.href
  const other = path.replace(/\.([mc]?)js(x?)$/, '.$1ts$2')
  const candidates = other === path ? [`${path}.ts`, `${path}.tsx`, `${path}/index.ts`] : [other]
  if (isFile(path)) return typescript.test(path) ? url.href : undefined
  const found = candidates.find(isFile)
  return found && pathToFileURL(found).href
}

type Next<C, R> = (specifier: string, context?: Partial<C>) => R

export function resolve<R extends ResolveFnOutput | Promise<ResolveFnOutput>>(
  specifier: string,
  context: ResolveHookContext,
  next: Next<ResolveHookContext, R>,
): R | ResolveFnOutput {
  if (specifier === options.specifier) return next(options.url, context)
  // Its other faces, `strake/sys`, are found by the package itself, wherever the script is.
  if (specifier.startsWith(`${options.specifier}/`)) return next(specifier, { ...context, parentURL: mainProgram.href })
  const url = typescriptFile(specifier, context.parentURL)
  return url && isOurs(fileURLToPath(url)) ? { url, format: 'module', shortCircuit: true } : next(specifier, context)
}

function compiled(path: string): string {
  const known = outputs.get(path)
  if (known !== undefined) return known
  const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript')
  const isCommonJs = /\.ctsx?$/.test(path)
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: isCommonJs ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext,
    esModuleInterop: true,
    inlineSourceMap: true,
    inlineSources: true,
  }
  return ts.transpileModule(readFileSync(path, 'utf8'), { fileName: path, compilerOptions }).outputText
}

export function load<R extends LoadFnOutput | Promise<LoadFnOutput>>(
  url: string,
  context: LoadHookContext,
  next: Next<LoadHookContext, R>,
): R | LoadFnOutput {
  const path = url.startsWith('file:') ? fileURLToPath(url.replace(/[?#].*$/, '')) : undefined
  if (path === undefined || !isOurs(path)) return next(url, context)
  return { format: /\.ctsx?$/.test(path) ? 'commonjs' : 'module', source: compiled(path), shortCircuit: true }
}

interface SynchronousHooks {
  readonly resolve: typeof resolve<ResolveFnOutput>
  readonly load: typeof load<LoadFnOutput>
}

type RegisterHooks = (hooks: SynchronousHooks) => unknown

/** Has TypeScript files and the library's name understood by every `import` in this process from now on. */
export function registerHooks(given: HookOptions): void {
  const inThread = Reflect.get(module, 'registerHooks') as RegisterHooks | undefined
  if (inThread && isMainThread) {
    initialize(given)
    inThread({ resolve, load })
  } else {
    // Node 20: the hooks run in a thread of Node's own, which loads this package's program anew and finds them exported there.
    module.register(mainProgram, { data: given })
  }
}
