import ts from 'typescript'
import type { Inputs } from './inputs.ts'
import type { Candidate, Completion } from './protocol.ts'

const nothing: Completion = { prefix: '', candidates: [] }
const typeLength = 72

/** The innermost node whose end the cursor touches. */
function nodeAt(file: ts.SourceFile, position: number): ts.Node {
  let found: ts.Node = file
  const visit = (node: ts.Node): void => {
    if (node.pos <= position && position <= node.end) {
      found = node
      node.forEachChild(visit)
    }
  }
  file.forEachChild(visit)
  return found
}

function isOpen(symbol: ts.Symbol): boolean {
  const declaration = symbol.valueDeclaration
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return (
    !symbol.name.startsWith('__') &&
    !symbol.name.startsWith('#') &&
    (declaration === undefined || (ts.getCombinedModifierFlags(declaration) & hidden) === 0)
  )
}

function described(checker: ts.TypeChecker, symbols: readonly ts.Symbol[], node: ts.Node): Candidate[] {
  return symbols.filter(isOpen).map((symbol) => {
    const type = checker.typeToString(checker.getTypeOfSymbolAtLocation(symbol, node), undefined, ts.TypeFormatFlags.None)
    return { name: symbol.name, type: type.length > typeLength ? `${type.slice(0, typeLength)}…` : type }
  })
}

function starting(candidates: readonly Candidate[], prefix: string): Completion {
  const fitting = candidates.filter((each) => each.name.startsWith(prefix) && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(each.name))
  return { prefix, candidates: fitting.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

/** Options of the object literal that is being typed, where the context says which there are. */
function optionsOf(checker: ts.TypeChecker, literal: ts.ObjectLiteralExpression): Candidate[] {
  const type = checker.getContextualType(literal)
  if (!type) return []
  const given = new Set(
    literal.properties.flatMap((each) => (each.name && ts.isIdentifier(each.name) && each.end < literal.end ? [each.name.text] : [])),
  )
  const members = (type.isUnion() ? type.types : [type]).flatMap((each) => checker.getPropertiesOfType(each))
  const once = [...new Map(members.map((each) => [each.name, each])).values()]
  return described(checker, once, literal).filter((each) => !given.has(each.name))
}

/** What a string may be, where its context says so: `network: 'ho`. */
function literalsOf(checker: ts.TypeChecker, literal: ts.StringLiteralLike, prefix: string): Completion {
  const type = checker.getContextualType(literal)
  const members = type === undefined ? [] : type.isUnion() ? type.types : [type]
  const values = members.flatMap((each) => (each.isStringLiteral() && each.value.startsWith(prefix) ? [each.value] : []))
  return { prefix, candidates: values.sort().map((name) => ({ name, type: '' })) }
}

/** Values that a bare name can mean; without a prefix only those of the session, as JavaScript's own are a hundred. */
function namesInScope(inputs: Inputs, checker: ts.TypeChecker, node: ts.Node, prefix: string): Candidate[] {
  const own = new Set(inputs.names())
  const symbols = checker.getSymbolsInScope(node, ts.SymbolFlags.Value | ts.SymbolFlags.Alias).filter((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    return (target.flags & ts.SymbolFlags.Value) !== 0 && (prefix !== '' || own.has(symbol.name))
  })
  return described(checker, symbols, node)
}

/** What may follow at the end of `code`, which need not be complete. */
export function complete(inputs: Inputs, code: string): Completion {
  const prefix = /[\p{ID_Continue}$]*$/u.exec(code)?.[0] ?? ''
  if (/^\d/.test(prefix)) return nothing
  const before = code.slice(0, code.length - prefix.length)
  // A name at the cursor, so that the parser sees an expression where none has been typed yet.
  const marker = `${prefix}$strake`
  const prepared = inputs.prepare(before + marker, 0, !before.endsWith('.'))
  const { program, file } = inputs.service.compile(prepared.path, prepared.text)
  const checker = program.getTypeChecker()
  const node = nodeAt(file, prepared.text.lastIndexOf(marker) + marker.length)
  // A string that nothing closes yet goes on to the end of its line.
  if (ts.isStringLiteralLike(node) && node.text.includes(marker)) return literalsOf(checker, node, node.text.replace(/\$strake.*$/s, ''))
  if (!ts.isIdentifier(node) || node.text !== marker) return nothing
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    const type = checker.getApparentType(checker.getNonNullableType(checker.getTypeAtLocation(parent.expression)))
    return starting(described(checker, checker.getPropertiesOfType(type), parent), prefix)
  }
  if ((ts.isShorthandPropertyAssignment(parent) || ts.isPropertyAssignment(parent)) && parent.name === node) {
    return starting(optionsOf(checker, parent.parent), prefix)
  }
  return starting(namesInScope(inputs, checker, node, prefix), prefix)
}
