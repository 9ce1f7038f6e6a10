// What lib/index.ts exports says what it is for: a reader of a hover or of the declarations has no other page.

import ts from 'typescript'
import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'

const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
const program = ts.createProgram(['lib/index.ts'], ts.parseJsonConfigFileContent(config, ts.sys, '.').options)
const checker = program.getTypeChecker()

/** What the language gives a meaning to. */
const wellKnown = ['toString', 'toJSON', 'length', 'then', 'catch', 'finally', 'name', 'message', 'cause']

function isDocumented(symbol: ts.Symbol): boolean {
  return symbol.getDocumentationComment(checker).length > 0
}

function exported(): ts.Symbol[] {
  const source = program.getSourceFile('lib/index.ts')
  const face = source && checker.getSymbolAtLocation(source)
  assert.ok(face)
  return checker.getExportsOfModule(face).map((each) => (each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each))
}

/** Public members without a docstring, as `Owner.member`. */
function undocumentedMembers(symbol: ts.Symbol): string[] {
  const isHidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return (symbol.declarations ?? []).flatMap((declaration) =>
    ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)
      ? [...declaration.members].flatMap((member) => {
          if (!member.name || !ts.isIdentifier(member.name) || ts.getCombinedModifierFlags(member) & isHidden) return []
          const { text } = member.name
          const known = checker.getSymbolAtLocation(member.name)
          return known && !isDocumented(known) && !wellKnown.includes(text) ? [`${symbol.name}.${text}`] : []
        })
      : [],
  )
}

const all = exported()

test('every function, class and noun that is exported has a docstring', () => {
  assert.ok(all.length > 30, `${all.length} exports`)
  const values = all.filter(({ flags }) => flags & (ts.SymbolFlags.Function | ts.SymbolFlags.Class | ts.SymbolFlags.Variable))
  assert.ok(values.length >= 10, `${values.length} values`)
  assert.equal(
    values.filter((symbol) => !isDocumented(symbol)).map(({ name }) => name),
    [],
  )
})

test('so has every public method and property of a class', () => {
  const classes = all.filter(({ flags }) => flags & ts.SymbolFlags.Class)
  assert.ok(classes.length >= 5)
  assert.equal(classes.flatMap(undocumentedMembers), [])
})

test('so has every option', () => {
  const options = all.filter(({ name }) => name.endsWith('Options'))
  assert.ok(options.length >= 8)
  assert.equal(options.flatMap(undocumentedMembers), [])
})

test.run()
