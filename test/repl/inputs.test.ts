import * as assert from 'uvu/assert'
import { complete } from '../../repl/complete.ts'
import { Inputs } from '../../repl/inputs.ts'
import { test } from '../support/uvu.ts'
import { standIn } from './fixtures/stand-in.ts'

const inputs = new Inputs({ cwd: process.cwd(), library: standIn, check: true })

/** Compiles and keeps an input; its JavaScript, or the compiler's objections. */
function enter(code: string): string {
  const compiled = inputs.compile(code)
  if (compiled.status === 'incomplete') return 'incomplete'
  if (compiled.status === 'refused') return compiled.problems.map((each) => `${each.line}:${each.column} TS${each.code}`).join(' ')
  inputs.commit(compiled.id, compiled.names)
  return compiled.body.trim()
}

const names = (code: string) => complete(inputs, code).candidates.map((each) => each.name)

test('declarations become assignments to the session', () => {
  assert.is(enter('const a: number = 1'), 'a = 1;')
  assert.is(enter('let { b, ...c } = { b: 1, d: 2 }'), '({ b, ...c } = { b: 1, d: 2 });')
  assert.match(enter('class D { x = 1 }'), /^D = class D \{/)
  assert.match(enter('function e() { return 1 }'), /^\$scope\.e = e; function e\(\)/)
  assert.is(enter(`import fs, { join as j } from 'x'`), '1:31 TS2307')
  assert.is(enter(`import path, { join as j } from 'node:path'`), `({ default: path, join: j } = await $import('node:path'));`)
  assert.is(enter(`import * as util from 'node:util'`), `util = await $import('node:util');`)
})

test('the last expression is what an input returns', () => {
  assert.is(enter('1 + 1'), 'return { value: (1 + 1) };')
  assert.is(enter('let z = 1; z'), 'z = 1;\nreturn { value: (z) };')
})

test('a call does not make the scope the this of the function', () => {
  assert.is(enter('e()'), 'return { value: ((0, e)()) };')
})

test('types are remembered from input to input', () => {
  enter('const typed = [1, 2, 3]')
  assert.is(enter('typed.push("x")'), '1:12 TS2345')
  enter('interface Shape { side: number }')
  assert.is(enter('const square: Shape = { side: "x" }'), '1:25 TS2322')
  assert.match(enter('const square: Shape = { side: 1 }'), /^square = /)
  enter('function generic<T>(it: T): T[] { return [it] }')
  assert.is(enter('const twice: string[] = generic(1)'), '1:7 TS2322')
})

test('a name may be declared again, with another type', () => {
  enter('const again = 1')
  enter('const again = "text"')
  assert.match(enter('again.toUpperCase()'), /^return/)
  enter('interface Again { a: 1 }')
  enter('interface Again { b: 1 }')
  assert.is(enter('const it: Again = { a: 1 }'), '1:21 TS2353')
})

test('a constant cannot be assigned to, a variable can', () => {
  enter('const fixed = 1')
  assert.is(enter('fixed = 2'), '1:1 TS2588')
  enter('let free = 1')
  assert.is(enter('free = 2'), 'return { value: (free = 2) };')
})

test('_ has the type of the last value', () => {
  enter('"text".length')
  assert.is(enter('_.toUpperCase()'), '1:3 TS2339')
  assert.match(enter('_.toFixed()'), /^return/)
})

test('a refused input leaves nothing behind', () => {
  assert.is(enter('const refused: string = 1'), '1:7 TS2322')
  assert.is(enter('refused'), '1:1 TS2304')
})

test('a problem is told at the line that was typed', () => {
  assert.is(enter('const one = 1\nconst two: string = one\ntwo'), '2:7 TS2322')
  assert.is(enter('const p = 1\np.nothing'), '2:3 TS2339')
})

test("the library's values and types need no import", () => {
  assert.match(enter('const builder: Builder = image("a")'), /^builder = /)
  assert.is(enter('builder.start({ nome: "x" })'), '1:17 TS2353')
  assert.match(enter(`import { image as same, type Container } from 'strake'`), /await \$import\('strake'\)/)
})

test("Node's modules are there by name, until the name is the user's", () => {
  assert.match(enter('os.cpus().length'), /^return/)
  enter('const os = 5')
  assert.is(enter('os.cpus()'), '1:4 TS2339')
})

test('parameters need no types at a prompt', () => {
  assert.match(enter('function loose(a) { return a }'), /^\$scope/)
})

test('members are completed with their types', () => {
  enter('const box = await image("x").start({ name: "n" })')
  assert.equal(complete(inputs, 'box.na').candidates, [{ name: 'name', type: 'string' }])
  assert.equal(names('box.'), ['name', 'plan'])
  assert.equal(names('console.log(box.p'), ['plan'])
  assert.is(complete(inputs, '"x".to').prefix, 'to')
  assert.ok(names('"x".to').includes('toUpperCase'))
})

test('options are completed where the function says what it takes', () => {
  assert.equal(names('image("x").start({ '), ['memory', 'name', 'network'])
  assert.equal(names('image("x").start({ name: "n", '), ['memory', 'network'])
  assert.equal(names('image("x").start({ network: "'), ['host', 'host-only', 'none'])
  assert.equal(complete(inputs, `image("x").start({ network: 'host-`), { prefix: 'host-', candidates: [{ name: 'host-only', type: '' }] })
})

test('names are completed from the session, the library and JavaScript', () => {
  assert.equal(names('imag'), ['image'])
  assert.ok(names('squ').includes('square'))
  assert.ok(names('Arr').includes('Array'))
  assert.not(names('').includes('Shape'), 'a type is no value')
})

test('the type of an expression is told with its documentation', () => {
  const answer = inputs.type('image("x").run')
  assert.equal(answer, {
    status: 'known',
    description: { type: '(method) Builder.run(command: string): Builder', documentation: 'Adds a step that runs a command.' },
  })
  assert.equal(inputs.type('1 + 1'), { status: 'known', description: { type: 'number', documentation: '' } })
  assert.is(inputs.type('nothing.there').status, 'refused')
})

test('without a check, types are only taken away', () => {
  const loose = new Inputs({ cwd: process.cwd(), library: standIn, check: false })
  const compiled = loose.compile('const wrong: string = 1')
  assert.is(compiled.status === 'ready' && compiled.body.trim(), 'wrong = 1;')
})

test.run()
