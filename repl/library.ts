import { existsSync, readFileSync } from 'node:fs'
import * as module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The library whose exports a session has in scope: one instance of it, and where its types are told. */
export interface Library {
  /** What `import … from` calls it: `strake`. */
  readonly specifier: string
  /** URL of the module that is loaded for it. */
  readonly url: string
  /** Path of the TypeScript file, source or declarations, that tells its types. */
  readonly types: string
}

/** Do these files run from their sources (a clone, under a TypeScript loader), or as the built package? */
const fromSource = import.meta.url.endsWith('.ts')

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** The package's own folder. */
export const packageRoot = findRoot()

/**
 * The one file that runs as the command, as the compiler's worker thread and (Node 20) as the module hooks' thread: bundling moves
 * the room's other code between files, but never this.
 */
export const mainProgram = pathToFileURL(join(packageRoot, fromSource ? 'repl/main.ts' : 'dist/repl.js'))

/**
 * What a worker thread starts with to become `mainProgram`. From sources it needs the TypeScript loader of the main thread (tsx, a
 * development dependency), which threads of Node 20 do not inherit.
 */
export function threadProgram(): URL {
  if (!fromSource) return mainProgram
  const loader = import.meta.resolve('tsx/esm/api')
  const inherits = 'registerHooks' in module
  const code = `${inherits ? '' : `(await import(${JSON.stringify(loader)})).register(); `}await import(${JSON.stringify(mainProgram.href)})`
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`)
}

export function packageVersion(): string {
  const description: unknown = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))
  return String((description as { version?: unknown }).version)
}

/** Strake itself. A clone may be without declarations: its sources tell the types as well. */
export function ownLibrary(): Library {
  const code = fromSource ? 'lib/index.ts' : 'dist/index.js'
  const types = ['dist/index.d.ts', 'lib/index.ts'].map((path) => join(packageRoot, path))
  const [built = '', source = ''] = types
  return { specifier: 'strake', url: pathToFileURL(join(packageRoot, code)).href, types: fromSource || !existsSync(built) ? source : built }
}
