import { builtinModules, SourceMap } from 'node:module'
import { isAbsolute } from 'node:path'
import ts from 'typescript'
import type { CompiledInput, CompilerOptions, Problem, TypeAnswer } from './protocol.ts'
import { rewrite } from './rewrite.ts'
import { type Compiled, Service, scopeSpecifier, toProblem, virtualPath } from './service.ts'
import { applyEdits, type Declared, isUnfinished, readAsTyped, readSource, type Source, syntaxProblems, valueName } from './source.ts'

const inputName = 'strake-input-'
/** "Cannot find module": the file may have appeared since the compiler looked. */
const moduleNotFound = 2307

interface KnownName {
  readonly id: number
  readonly kind: Declared
}

/** An input, ready for the compiler: its own text, then what it refers to. */
export interface Prepared {
  readonly path: string
  readonly text: string
  readonly source: Source
  /** From a position in `text` to one in the text as typed. */
  readonly original: (position: number) => number
}

/**
 * The inputs of a session as the compiler sees them: each a module of its own, that gets the names of earlier ones by importing
 * them. So a name may be declared again with another type, and an input that was refused leaves nothing behind.
 */
export class Inputs {
  readonly service: Service
  readonly #options: CompilerOptions
  readonly #known = new Map<string, KnownName>()
  #libraryNames: ReadonlySet<string> | undefined
  #next = 1
  #lastValue: number | undefined

  constructor(options: CompilerOptions) {
    this.#options = options
    this.service = new Service(options, true)
  }

  /** Loads what the first input would otherwise wait for. */
  warmUp(): void {
    this.#names()
  }

  /** Names in scope, apart from JavaScript's globals. */
  names(): string[] {
    return [...this.#names(), ...this.#known.keys()]
  }

  compile(code: string): CompiledInput {
    const typed = readAsTyped(code)
    const syntax = syntaxProblems(typed)
    if (isUnfinished(typed, syntax)) return { status: 'incomplete' }
    if (syntax.length > 0) return { status: 'refused', problems: problemsOf(syntax, typed, (position) => position) }
    const prepared = this.prepare(typed, this.#next)
    const answer = this.#options.check ? this.#checked(prepared) : undefined
    if (answer && answer.code === undefined) return { status: 'refused', problems: problemsOf(answer.problems, typed, prepared.original) }
    const emitted = answer?.code ?? this.#stripped(prepared)
    const isInternal = (specifier: string) => specifier === scopeSpecifier || specifier.startsWith(`./${inputName}`)
    const names = [...prepared.source.declared.keys()]
    const body = rewrite(emitted, isInternal)
    return { status: 'ready', id: this.#next, body, lines: linesOf(emitted), names, held: prepared.source.held }
  }

  /** An input has run; of the names it declares, `names` are those to count on from now on. */
  commit(id: number, names: readonly string[]): void {
    if (id !== this.#next) return
    const text = this.#texts.get(id)
    for (const name of names) {
      const kind = text?.source.declared.get(name)
      if (kind) this.#known.set(name, { id, kind })
    }
    if (text?.source.value) this.#lastValue = id
    this.#next += 1
  }

  type(code: string): TypeAnswer {
    const syntax = syntaxProblems(code)
    const refused = (problems: readonly ts.Diagnostic[], original: (position: number) => number): TypeAnswer => ({
      status: 'refused',
      problems: problemsOf(problems, code, original),
    })
    if (syntax.length > 0) return refused(syntax, (position) => position)
    const prepared = this.prepare(code, 0)
    const compiled = this.service.compile(prepared.path, prepared.text)
    const checker = compiled.program.getTypeChecker()
    const value = expressionOf(compiled.file)
    const isNonsense = compiled.problems.length > 0
    if (isNonsense || !value) return refused(compiled.problems, prepared.original)
    const flags = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope
    const type = checker.typeToString(checker.getTypeAtLocation(value), undefined, flags)
    const isNamed = ts.isIdentifier(value) || ts.isPropertyAccessExpression(value)
    const info = isNamed ? this.service.typeInfo(prepared.path, value.end - 1) : { name: '', comment: '' }
    const declaration = info.name.replace(/^\(alias\) /, '').replace(/\nimport \w+$/, '')
    return { status: 'known', description: { type: declaration || type, documentation: info.comment } }
  }

  /** Adds to an input's text the names it needs and exports those it makes. `id` 0 is a text that is only looked at, with
   *  `everything` in reach and not just what it names. */
  prepare(typed: string, id: number, everything = false): Prepared {
    const source = readSource(typed)
    const edits = [...source.usings]
    if (source.value) {
      edits.push({ start: source.value.start, end: source.value.start, text: `const ${valueName} = (` })
      edits.push({ start: source.value.end, end: source.value.end, text: ')' })
    }
    const { text, original } = applyEdits(typed, edits)
    const exports = [...source.declared.keys()].filter((name) => !source.exported.has(name))
    if (source.value) exports.push(valueName)
    const path = virtualPath(this.service.cwd, `${inputName}${id}`)
    const prepared = {
      path,
      source,
      original,
      text: `${text}\n;${this.#prelude(source, everything ? new Set(this.names()) : source.referenced)}\nexport { ${exports.join(', ')} }\n`,
    }
    this.#texts.set(id, prepared)
    return prepared
  }

  readonly #texts = new Map<number, Prepared>()

  #prelude(source: Source, wanted: ReadonlySet<string>): string {
    const lines: string[] = []
    for (const name of wanted) {
      if (source.declared.has(name)) continue
      const known = this.#known.get(name)
      if (known) {
        const module = `'./${inputName}${known.id}.ts'`
        lines.push(
          known.kind === 'alias'
            ? `import { ${name} } from ${module};`
            : `declare ${known.kind} ${name}: typeof import(${module}).${name};`,
        )
      } else if (name === '_' && this.#lastValue !== undefined) {
        lines.push(`declare const _: typeof import('./${inputName}${this.#lastValue}.ts').${valueName};`)
      } else if (name === '_error') {
        lines.push('declare const _error: any;')
      } else if (name === 'signal') {
        lines.push('declare const signal: AbortSignal;')
      } else if (this.#names().has(name)) {
        lines.push(`import { ${name} } from '${scopeSpecifier}';`)
      } else if (isBuiltin(name)) {
        lines.push(`declare const ${name}: typeof import('node:${name}');`)
      }
    }
    return lines.join(' ')
  }

  #checked(prepared: Prepared): Compiled {
    const compiled = this.service.compile(prepared.path, prepared.text)
    if (!compiled.problems.some((each) => each.code === moduleNotFound)) return compiled
    this.service.refresh()
    return this.service.compile(prepared.path, prepared.text)
  }

  #stripped(prepared: Prepared): string {
    const compilerOptions: ts.CompilerOptions = {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    }
    return ts.transpileModule(prepared.text, { fileName: prepared.path, compilerOptions }).outputText
  }

  /** The library's exports, types included. */
  #names(): ReadonlySet<string> {
    this.#libraryNames ??= this.#readNames()
    return this.#libraryNames
  }

  #readNames(): ReadonlySet<string> {
    const path = virtualPath(this.service.cwd, 'strake-scope')
    const compiled = this.service.compile(path, `import * as library from '${scopeSpecifier}'\nexport { library }\n`)
    const checker = compiled.program.getTypeChecker()
    const [first] = compiled.file.statements
    const module = first && ts.isImportDeclaration(first) ? checker.getSymbolAtLocation(first.moduleSpecifier) : undefined
    return new Set(module ? checker.getExportsOfModule(module).map((each) => each.name) : [])
  }
}

export function isBuiltin(name: string): boolean {
  return builtinModules.includes(name) && /^[a-z]\w*$/.test(name) && name !== 'console' && name !== 'process' && name !== 'sys'
}

function expressionOf(file: ts.SourceFile): ts.Expression | undefined {
  for (const statement of file.statements) {
    if (!ts.isVariableStatement(statement)) continue
    const [first] = statement.declarationList.declarations
    if (!first || !ts.isIdentifier(first.name) || first.name.text !== valueName || !first.initializer) continue
    return ts.isParenthesizedExpression(first.initializer) ? first.initializer.expression : first.initializer
  }
  return undefined
}

/** For each line of emitted JavaScript, the line that it was made of, as its inline source map tells. */
function linesOf(emitted: string): number[] {
  const data = /\n\/\/# sourceMappingURL=data:[^,]*;base64,(.*)\s*$/.exec(emitted)?.[1]
  if (data === undefined) return []
  const map = new SourceMap(JSON.parse(Buffer.from(data, 'base64').toString()))
  return emitted.split('\n').map((text, index) => {
    const entry = map.findEntry(index, Math.max(0, text.search(/\S/)))
    return 'originalLine' in entry ? entry.originalLine + 1 : index + 1
  })
}

/** Diagnostics as a person that typed `typed` should see them: those about what was added to it have no place. */
function problemsOf(diagnostics: readonly ts.Diagnostic[], typed: string, original: (position: number) => number): Problem[] {
  const starts = ts.createSourceFile('input.ts', typed, ts.ScriptTarget.ESNext)
  return diagnostics.map((diagnostic) => {
    const file = diagnostic.file?.fileName
    const isElsewhere = file !== undefined && isAbsolute(file) && !file.includes(inputName)
    const problem = toProblem(diagnostic, (position) => {
      const there = original(position)
      if (there > typed.length) return undefined
      const { line, character } = starts.getLineAndCharacterOfPosition(there)
      return { line: line + 1, column: character + 1 }
    })
    return isElsewhere ? { ...problem, file } : problem
  })
}
