import { readFileSync } from 'node:fs'
import { relative, sep } from 'node:path'
import ts from 'typescript'
import { isBuiltin } from './inputs.ts'
import type { CompiledScript, CompilerOptions, Problem, ScriptRequest } from './protocol.ts'
import { Service, toProblem, virtualPath } from './service.ts'
import { applyEdits, type Edit, readSource, syntaxProblems } from './source.ts'

interface Prepared {
  readonly text: string
  readonly original: (position: number) => number
}

/** The library's value and type exports. */
function libraryNames(service: Service, specifier: string): ReadonlySet<string> {
  const path = virtualPath(service.cwd, 'strake-scope')
  const compiled = service.compile(path, `import * as library from '${specifier}'\nexport const it = library\n`)
  const checker = compiled.program.getTypeChecker()
  const [first] = compiled.file.statements
  const module = first && ts.isImportDeclaration(first) ? checker.getSymbolAtLocation(first.moduleSpecifier) : undefined
  return new Set(module ? checker.getExportsOfModule(module).map((each) => each.name) : [])
}

/** Adds imports for the names of the library that the script uses and does not declare. */
function prepare(text: string, request: ScriptRequest, specifier: string, names: ReadonlySet<string>): Prepared {
  const source = readSource(text)
  const edits: Edit[] = []
  if (request.print && source.value) {
    edits.push({ start: source.value.start, end: source.value.start, text: 'export default (' })
    edits.push({ start: source.value.end, end: source.value.end, text: ')' })
  }
  const edited = applyEdits(text, edits)
  const missing = [...source.referenced].filter((name) => !source.declared.has(name))
  const imports = missing.filter((name) => names.has(name)).map((name) => `import { ${name} } from '${specifier}';`)
  const builtins = request.inline ? missing.filter((name) => !names.has(name) && isBuiltin(name)) : []
  imports.push(...builtins.map((name) => `import * as ${name} from 'node:${name}';`))
  return { text: `${edited.text}\n;${imports.join(' ')}export {}\n`, original: edited.original }
}

function isOwnFile(program: ts.Program, file: ts.SourceFile): boolean {
  return !file.isDeclarationFile && !program.isSourceFileFromExternalLibrary(file) && !file.fileName.includes('/node_modules/')
}

function placeIn(text: string): (position: number) => { line: number; column: number } | undefined {
  const file = ts.createSourceFile('script.ts', text, ts.ScriptTarget.ESNext)
  return (position) => {
    if (position > text.length) return undefined
    const { line, character } = file.getLineAndCharacterOfPosition(position)
    return { line: line + 1, column: character + 1 }
  }
}

function stripped(path: string, source: string): string {
  return ts.transpileModule(source, { fileName: path, compilerOptions: strippedOptions }).outputText
}

/** Checks a script and the files that it imports, and makes JavaScript of them. With `names`, the script is made JavaScript unchecked. */
export function compileScript(options: CompilerOptions, request: ScriptRequest, isLibrary: (path: string) => boolean): CompiledScript {
  const text = (request.code ?? readFileSync(request.path, 'utf8')).replace(/^#!.*/, '')
  const shown = relative(options.cwd, request.path).startsWith(`..${sep}`) ? request.path : relative(options.cwd, request.path)
  const syntax = syntaxProblems(text)
  const place = placeIn(text)
  const label = (problem: Problem): Problem => (request.inline ? problem : { ...problem, file: shown })
  if (syntax.length > 0) return { problems: syntax.map((each) => label(toProblem(each, place))), outputs: [] }
  const { specifier } = options.library
  if (request.names) {
    const { text: whole } = prepare(text, request, specifier, new Set(request.names))
    return { problems: [], outputs: [[request.path, stripped(request.path, whole)]] }
  }
  const service = new Service(options, false)
  const prepared = prepare(text, request, specifier, libraryNames(service, specifier))
  const entry = service.compile(request.path, prepared.text)
  const problems = entry.problems.map((each) => label(toProblem(each, (position) => place(prepared.original(position)))))
  const outputs: [string, string][] = []
  outputs.push([request.path, entry.code ?? ''])
  for (const file of entry.program.getSourceFiles()) {
    if (file.fileName === entry.file.fileName || !isOwnFile(entry.program, file) || isLibrary(file.fileName)) continue
    if (!/\.[mc]?tsx?$/.test(file.fileName) || file.fileName === virtualPath(options.cwd, 'strake-scope')) continue
    const compiled = service.compile(file.fileName, file.text)
    const other = relative(options.cwd, file.fileName)
    problems.push(...compiled.problems.map((each) => ({ ...toProblem(each, placeIn(file.text)), file: other })))
    outputs.push([file.fileName, compiled.code ?? ''])
  }
  return { problems, outputs }
}

const strippedOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  inlineSourceMap: true,
  inlineSources: true,
}
