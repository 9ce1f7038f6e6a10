import ts from 'typescript'
import { applyEdits, type Edit, valueName } from './source.ts'

/** Specifiers of imports that exist for the compiler only. */
export type IsInternal = (specifier: string) => boolean

function lineBreaks(text: string): string {
  return text.replace(/[^\n]+/g, '')
}

function attributesText(file: ts.SourceFile, statement: ts.ImportDeclaration | ts.ExportDeclaration): string {
  return statement.attributes ? `, { with: { ${statement.attributes.elements.map((each) => each.getText(file)).join(', ')} } }` : ''
}

/** `import d, { a as b } from 'x'` as assignments of what `$import('x')` gives. */
function importText(file: ts.SourceFile, statement: ts.ImportDeclaration): string {
  const module = `await $import(${statement.moduleSpecifier.getText(file)}${attributesText(file, statement)})`
  const clause = statement.importClause
  if (!clause) return `${module};`
  const parts = clause.name ? [`default: ${clause.name.text}`] : []
  const named = clause.namedBindings
  if (named && ts.isNamespaceImport(named)) {
    const members = parts.length > 0 ? ` ({ ${parts.join(', ')} } = ${named.name.text});` : ''
    return `${named.name.text} = ${module};${members}`
  }
  for (const each of named?.elements ?? []) parts.push(`${(each.propertyName ?? each.name).getText(file)}: ${each.name.text}`)
  return `({ ${parts.join(', ')} } = ${module});`
}

function variablesText(file: ts.SourceFile, statement: ts.VariableStatement): string {
  const parts = statement.declarationList.declarations.map((each) => {
    const value = each.initializer?.getText(file) ?? 'undefined'
    if (ts.isIdentifier(each.name) && each.name.text === valueName) return `return { value: ${value} };`
    return ts.isIdentifier(each.name) ? `${each.name.text} = ${value};` : `(${each.name.getText(file)} = ${value});`
  })
  return parts.join(' ')
}

/** TypeScript's own helpers (`__decorate`, …) stay variables of the input. */
function isHelper(statement: ts.VariableStatement): boolean {
  return statement.declarationList.declarations.every(
    (each) => ts.isIdentifier(each.name) && each.name.text.startsWith('__') && each.name.text !== valueName,
  )
}

function withoutModifiers(file: ts.SourceFile, statement: ts.FunctionDeclaration | ts.ClassDeclaration): string {
  const start = statement.modifiers?.filter((each) => each.kind !== ts.SyntaxKind.AsyncKeyword).at(-1)?.end
  return start === undefined ? statement.getText(file) : file.text.slice(start, statement.end).trimStart()
}

/**
 * `f()` as `(0, f)()`: of a name that a `with` finds, the object would become the `this` of the call. And `import()` as `$import()`,
 * which looks from the session's directory.
 */
function detachCalls(code: string): string {
  const file = ts.createSourceFile('input.js', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS)
  const edits: Edit[] = []
  const visit = (node: ts.Node): void => {
    const called = ts.isCallExpression(node) ? node.expression : ts.isTaggedTemplateExpression(node) ? node.tag : undefined
    if (called?.kind === ts.SyntaxKind.ImportKeyword) edits.push({ start: called.getStart(file), end: called.end, text: '$import' })
    else if (called && ts.isIdentifier(called)) edits.push({ start: called.getStart(file), end: called.end, text: `(0, ${called.text})` })
    node.forEachChild(visit)
  }
  visit(file)
  return applyEdits(code, edits).text
}

/**
 * Turns the JavaScript that TypeScript made of an input into the body of an async function inside `with (scope)`: top-level
 * declarations become assignments to the scope, imports become awaited, the value is returned as `{ value }` (so that a
 * thenable is not awaited on its way out). Lines stay where they were.
 */
export function rewrite(emitted: string, isInternal: IsInternal): string {
  const code = detachCalls(emitted)
  const file = ts.createSourceFile('input.js', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS)
  const edits: Edit[] = []
  const functions: string[] = []
  const replace = (statement: ts.Statement, text: string) => {
    const start = statement.getStart(file)
    // What was spread over lines and no longer is keeps its line count, so that stack traces tell the line that was typed.
    const missing = lineBreaks(file.text.slice(start, statement.end)).length - lineBreaks(text).length
    edits.push({ start, end: statement.end, text: text + '\n'.repeat(Math.max(0, missing)) })
  }
  for (const statement of file.statements) {
    if (ts.isImportDeclaration(statement)) {
      const specifier = ts.isStringLiteral(statement.moduleSpecifier) ? statement.moduleSpecifier.text : ''
      replace(statement, isInternal(specifier) ? '' : importText(file, statement))
    } else if (ts.isExportDeclaration(statement)) {
      const from = statement.moduleSpecifier
      replace(statement, from ? `await $import(${from.getText(file)}${attributesText(file, statement)});` : '')
    } else if (ts.isExportAssignment(statement)) {
      replace(statement, `return { value: ${statement.expression.getText(file)} };`)
    } else if (ts.isVariableStatement(statement) && !isHelper(statement)) {
      replace(statement, variablesText(file, statement))
    } else if (ts.isFunctionDeclaration(statement) && statement.name) {
      functions.push(statement.name.text)
      replace(statement, withoutModifiers(file, statement))
    } else if (ts.isClassDeclaration(statement) && statement.name) {
      replace(statement, `${statement.name.text} = ${withoutModifiers(file, statement)};`)
    }
  }
  const hoisted = functions.map((name) => `$scope.${name} = ${name}; `).join('')
  return hoisted + applyEdits(code, edits).text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
}
