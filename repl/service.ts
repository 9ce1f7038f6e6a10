import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type CreateOptions, create, type Service as TsNodeService } from 'ts-node'
import ts from 'typescript'
import type { CompilerOptions, Problem } from './protocol.ts'

/** The library as the inputs' own preludes import it: not by the name that a user writes, so that the two can be told apart. */
export const scopeSpecifier = 'strake:scope'

/** What a session lets pass that a project would not: parameters without a type, type imports without the word `type`. */
const leniency = [1205, 1448, 1484, 7005, 7006, 7008, 7010, 7011, 7016, 7018, 7019, 7022, 7031, 7034, 7053]

export interface Compiled {
  readonly problems: readonly ts.Diagnostic[]
  /** undefined where there are problems. */
  readonly code: string | undefined
  readonly program: ts.Program
  readonly file: ts.SourceFile
}

const require = createRequire(import.meta.url)

/** Where @types/node is: beside this package, whether or not the user's own project has it. */
function typeRoots(): string[] {
  try {
    return [dirname(dirname(require.resolve('@types/node/package.json')))]
  } catch {
    return []
  }
}

interface ReportedError extends Error {
  readonly diagnostics: readonly ts.Diagnostic[]
}

function isReported(error: unknown): error is ReportedError {
  return error instanceof Error && Array.isArray((error as Partial<ReportedError>).diagnostics)
}

/** ts-node's compiler with this project's settings, files of no disk, and a view of the program behind it. */
export class Service {
  readonly cwd: string
  readonly #options: CompilerOptions
  /** Imports that are kept although nothing uses them yet, as the next input may. */
  readonly #keepImports: boolean
  readonly #files = new Map<string, string>()
  #service: TsNodeService
  #program: ts.Program | undefined

  constructor(options: CompilerOptions, keepImports: boolean) {
    this.#options = options
    this.#keepImports = keepImports
    this.cwd = options.cwd
    this.#service = create(this.#settings())
  }

  /** Starts anew, so that files which have appeared or changed on disk since are seen. */
  refresh(): void {
    this.#service = create(this.#settings())
    this.#program = undefined
  }

  /** Checks and compiles a file of no disk. */
  compile(path: string, text: string): Compiled {
    this.#files.set(path, text)
    const { code, problems } = this.#compile(path, text)
    const program = this.#program
    const file = program?.getSourceFile(path)
    if (!program || !file) throw new Error(`The compiler did not read ${path}`)
    return { problems, code, program, file }
  }

  /** What the compiler has to say about the thing at `position`: its declaration, and its documentation. */
  typeInfo(path: string, position: number): { name: string; comment: string } {
    return this.#service.getTypeInfo(this.#files.get(path) ?? '', path, position)
  }

  #compile(path: string, text: string): { code: string | undefined; problems: readonly ts.Diagnostic[] } {
    try {
      return { code: this.#service.compile(text, path), problems: [] }
    } catch (error) {
      if (!isReported(error)) throw error
      return { code: undefined, problems: error.diagnostics }
    }
  }

  #settings(): CreateOptions {
    const { cwd, library } = this.#options
    return {
      cwd,
      skipProject: true,
      compiler: require.resolve('typescript'),
      pretty: false,
      ignoreDiagnostics: leniency,
      fileExists: (path) => this.#files.has(path) || ts.sys.fileExists(path),
      readFile: (path) => this.#files.get(path) ?? ts.sys.readFile(path),
      // ts-node shows its program to nobody else, and completion needs it. It is told before problems are looked for.
      transformers: (program) => {
        this.#program = program
        return {}
      },
      compilerOptions: {
        target: 'es2022',
        module: 'esnext',
        moduleResolution: 'bundler',
        moduleDetection: 'force',
        lib: ['es2023', 'esnext.disposable'],
        typeRoots: typeRoots(),
        types: typeRoots().length > 0 ? ['node'] : [],
        strict: true,
        skipLibCheck: true,
        resolveJsonModule: true,
        allowImportingTsExtensions: true,
        preserveConstEnums: true,
        verbatimModuleSyntax: this.#keepImports,
        paths: {
          [library.specifier]: [library.types],
          [`${library.specifier}/*`]: [join(dirname(library.types), '*')],
          [scopeSpecifier]: [library.types],
        },
      },
    }
  }
}

/** A path for text that is on no disk, where relative imports mean what they mean in `cwd`. */
export function virtualPath(cwd: string, name: string): string {
  return join(cwd, `${name}.ts`)
}

/** A diagnostic as plain data; `place` maps a position to line and column, or says that it has none. */
export function toProblem(diagnostic: ts.Diagnostic, place: (position: number) => { line: number; column: number } | undefined): Problem {
  const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')
  const { line, column } = (diagnostic.start === undefined ? undefined : place(diagnostic.start)) ?? { line: 0, column: 0 }
  return { message, code: diagnostic.code, line, column }
}
