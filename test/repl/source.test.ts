import * as assert from 'uvu/assert'
import { applyEdits, isUnfinished, readAsTyped, readSource, syntaxProblems } from '../../repl/source.ts'
import { test } from '../support/uvu.ts'

const unfinished = (code: string) => isUnfinished(code, syntaxProblems(code))

for (const code of [
  'f(',
  'const x =',
  'if (a) {',
  'class A {',
  '`text',
  '/* why',
  'a +',
  '[1, 2',
  'function f(a: number) {\n  return a',
  '"a\\',
]) {
  test(`${JSON.stringify(code)} is to be continued`, () => assert.is(unfinished(code), true))
}

for (const code of ['f)', '"text', 'const = 1', 'a b', '1 +* 2', 'x', 'if (a) {}', '']) {
  test(`${JSON.stringify(code)} is not to be continued`, () => assert.is(unfinished(code), false))
}

test('an object literal is a value, a block stays a block', () => {
  assert.is(readAsTyped('{ a: 1 }'), '({ a: 1 })')
  assert.is(readAsTyped('{ a: 1, b: [2] }\n'), '({ a: 1, b: [2] })')
  assert.is(readAsTyped('{ const a = 1 }'), '{ const a = 1 }')
  assert.is(readAsTyped('{ a: 1 };'), '{ a: 1 };')
})

test('every kind of declaration is found', () => {
  const source = readSource(`
    import d, { a as b, type T } from 'x'
    import * as ns from 'y'
    const { c, e: [f, ...g], ...h } = d
    let i = 1, j
    var k
    function l() { const inner = 1 }
    class M {}
    enum N { A }
    interface O {}
    type P = number
    namespace Q { export const z = 1 }
  `)
  assert.equal([...source.declared.keys()], ['d', 'b', 'T', 'ns', 'c', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'M', 'N', 'O', 'P', 'Q'])
  assert.is(source.declared.get('c'), 'const')
  assert.is(source.declared.get('i'), 'let')
  assert.is(source.declared.get('k'), 'let')
  assert.is(source.declared.get('M'), 'alias')
})

test('the value is the last expression, without its semicolon and comments', () => {
  const source = readSource('let a = 1; a + 1 // why\n')
  assert.equal(source.value && source.text.slice(source.value.start, source.value.end), 'a + 1')
  assert.is(readSource('a; let b = 1').value, undefined)
})

test('members are no references', () => {
  assert.equal([...readSource('a.b.c(d)').referenced], ['a', 'd'])
})

test('using declarations are held, and read as constants of the same length', () => {
  const text = 'await using a = f(); using b = g()'
  const source = readSource(text)
  assert.equal(source.held, [
    { name: 'a', async: true },
    { name: 'b', async: false },
  ])
  const edited = applyEdits(text, source.usings).text
  assert.is(edited, 'const       a = f(); const b = g()')
  assert.is(edited.length, text.length)
})

test('places in an edited text are found again in the original', () => {
  const { text, original } = applyEdits('abc def', [
    { start: 4, end: 4, text: '>>' },
    { start: 7, end: 7, text: '<' },
  ])
  assert.is(text, 'abc >>def<')
  assert.equal([0, 3, 6, 8].map(original), [0, 3, 4, 6])
})

test.run()
