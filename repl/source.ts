import ts from 'typescript'
import type { Held } from './protocol.ts'

/** The name under which an input's value is known to the compiler; the next inputs call it `_`. */
export const valueName = '__strake_value'

/** A declared name: `alias` for what must be imported to keep its type side (class, enum, interface, import, …). */
export type Declared = 'let' | 'const' | 'alias'

export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** What a look at the syntax of an input tells. */
export interface Source {
  readonly text: string
  readonly declared: ReadonlyMap<string, Declared>
  /** Declared names that carry `export` already. */
  readonly exported: ReadonlySet<string>
  /** Every identifier that might refer to something outside. */
  readonly referenced: ReadonlySet<string>
  readonly held: readonly Held[]
  /** The last statement's expression. */
  readonly value: { readonly start: number; readonly end: number } | undefined
  /** Keywords `using` to be read as `const`. */
  readonly usings: readonly Edit[]
}

export function syntaxProblems(code: string): readonly ts.Diagnostic[] {
  const options: ts.CompilerOptions = { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext }
  return ts.transpileModule(code, { reportDiagnostics: true, fileName: 'input.ts', compilerOptions: options }).diagnostics ?? []
}

const unterminatedTemplate = 1160
const unterminatedComment = 1010
const unterminatedString = 1002

/** Is all that is wrong with this text that it is not finished yet? */
export function isUnfinished(code: string, problems: readonly ts.Diagnostic[]): boolean {
  const [first] = problems
  if (!first) return false
  if (first.code === unterminatedTemplate || first.code === unterminatedComment) return true
  if (first.code === unterminatedString) return /\\\s*$/.test(code)
  return (first.start ?? 0) >= code.trimEnd().length
}

function isObject(code: string): boolean {
  return code.startsWith('{') && !code.endsWith(';') && syntaxProblems(`(${code})`).length === 0
}

/** An object literal is meant as a value, though a statement that starts with `{` is a block. */
export function readAsTyped(code: string): string {
  return isObject(code.trim()) ? `(${code.trim()})` : code
}

function bindingNames(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text]
  return name.elements.flatMap((each) => (ts.isBindingElement(each) ? bindingNames(each.name) : []))
}

function importedNames(statement: ts.ImportDeclaration): string[] {
  const clause = statement.importClause
  if (!clause) return []
  const named = clause.namedBindings
  const others = named === undefined ? [] : ts.isNamespaceImport(named) ? [named.name.text] : named.elements.map((each) => each.name.text)
  return clause.name ? [clause.name.text, ...others] : others
}

function hasModifier(statement: ts.Statement, kind: ts.SyntaxKind): boolean {
  return ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some((each) => each.kind === kind) ?? false)
}

function declaredBy(statement: ts.Statement): [string, Declared][] {
  if (ts.isVariableStatement(statement)) {
    const isConstant =
      (statement.declarationList.flags & ts.NodeFlags.BlockScoped) !== ts.NodeFlags.Let &&
      (statement.declarationList.flags & ts.NodeFlags.BlockScoped) !== 0
    const names = statement.declarationList.declarations.flatMap((each) => bindingNames(each.name))
    return names.map((name) => [name, isConstant ? 'const' : 'let'])
  }
  if (ts.isImportDeclaration(statement)) return importedNames(statement).map((name) => [name, 'alias'])
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isModuleDeclaration(statement) ||
    ts.isImportEqualsDeclaration(statement)
  return isNamed && statement.name && ts.isIdentifier(statement.name) && statement.name.text !== 'global'
    ? [[statement.name.text, 'alias']]
    : []
}

function references(node: ts.Node, into: Set<string>): void {
  if (ts.isIdentifier(node)) {
    const parent = node.parent
    const isMember =
      (ts.isPropertyAccessExpression(parent) && parent.name === node) || (ts.isQualifiedName(parent) && parent.right === node)
    if (!isMember) into.add(node.text)
  }
  node.forEachChild((child) => references(child, into))
}

function usingEdit(file: ts.SourceFile, list: ts.VariableDeclarationList): Edit | undefined {
  const kind = list.flags & ts.NodeFlags.BlockScoped
  if (kind !== ts.NodeFlags.Using && kind !== ts.NodeFlags.AwaitUsing) return undefined
  const [first] = list.declarations
  const start = list.getStart(file)
  const end = (first ?? list).getStart(file)
  return { start, end, text: 'const'.padEnd(end - start) }
}

/** Reads the syntax of one input (or script). */
export function readSource(text: string): Source {
  const file = ts.createSourceFile('input.ts', text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS)
  const declared = new Map<string, Declared>()
  const exported = new Set<string>()
  const held: Held[] = []
  const usings: Edit[] = []
  for (const statement of file.statements) {
    for (const [name, kind] of declaredBy(statement)) {
      declared.set(name, kind)
      if (hasModifier(statement, ts.SyntaxKind.ExportKeyword)) exported.add(name)
    }
    if (!ts.isVariableStatement(statement)) continue
    const edit = usingEdit(file, statement.declarationList)
    if (!edit) continue
    usings.push(edit)
    const async = (statement.declarationList.flags & ts.NodeFlags.BlockScoped) === ts.NodeFlags.AwaitUsing
    held.push(...statement.declarationList.declarations.flatMap((each) => bindingNames(each.name)).map((name) => ({ name, async })))
  }
  const referenced = new Set<string>()
  references(file, referenced)
  const last = file.statements.at(-1)
  const expression = last && ts.isExpressionStatement(last) ? last.expression : undefined
  const value = expression && { start: expression.getStart(file), end: expression.end }
  return { text, declared, exported, referenced, held, value, usings }
}

/** The text with its edits made, and a way back from a place in the new text to the old. */
export function applyEdits(text: string, edits: readonly Edit[]): { text: string; original: (position: number) => number } {
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end)
  let result = ''
  let at = 0
  const shifts: { from: number; by: number }[] = []
  for (const edit of sorted) {
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
    shifts.push({ from: result.length, by: edit.text.length - (edit.end - edit.start) })
  }
  result += text.slice(at)
  const original = (position: number) => shifts.reduce((sum, shift) => (position >= shift.from ? sum - shift.by : sum), position)
  return { text: result, original }
}
