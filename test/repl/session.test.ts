// test: timeout 300
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'
import { Conversation, converse } from './fixtures/conversation.ts'
import { disposed } from './fixtures/library.ts'

test('values, types, errors and the last value', () =>
  converse(async (session) => {
    assert.is(await session.say('const x: number = 20'), '')
    assert.is(await session.say('x * 2 + 2'), '42')
    assert.is(await session.say('_ + 1'), '43')
    assert.is(await session.say('x.foo'), "line 1 TS2339: Property 'foo' does not exist on type 'number'.")
    assert.is(await session.say('undefined'), '')
    assert.is(await session.say('{ a: 1, b: "two" }'), "{ a: 1, b: 'two' }")
    const failed = await session.say('fail()')
    assert.match(failed, 'StrakeError image_not_found: no image is called nothing:1\n  hint: look at `await images.list()`')
    assert.not.match(failed, 'strake-input')
    assert.is(await session.say('_error.code'), "'image_not_found'")
    assert.is(await session.say('throw 5'), 'Thrown: 5')
    assert.is(await session.say('x = = 1'), 'line 1 TS1109: Expression expected.')
    assert.is(await session.say('1'), '1')
  }))

test('await at the top level, with the value used later; names declared again', () =>
  converse(async (session) => {
    assert.is(await session.say('const box = await image("x").start({ name: "box" })'), '')
    assert.is(await session.say('box.name'), "'box'")
    assert.is(await session.say('const box = 1'), '')
    assert.is(await session.say('box + 1'), '2')
    assert.is(await session.say('class A { v = 1 }; class A { v = 2 }').then((text) => text.includes('TS2300')), true)
    await session.say('class A { v = 1 }')
    await session.say('class A { v = 2 }')
    assert.is(await session.say('new A().v'), '2')
    assert.is(await session.say('for await (const each of [1, Promise.resolve(2)]) console.log'), '')
  }))

test('several lines make one input', () =>
  converse(async (session) => {
    assert.is(await session.say('function add(a: number, b: number) {'), '')
    assert.is(await session.say('  return a + b'), '')
    assert.is(await session.say('}'), '')
    assert.is(await session.say('add(1, 2)'), '3')
    await session.say('const lines = `one')
    await session.say('two`')
    assert.is(await session.say('lines'), "'one\\ntwo'")
    await session.say('add(')
    const refused = await session.say('1, "x")')
    assert.match(refused, 'line 2 TS2345')
    assert.match(refused, '1, "x")\n       ^')
  }))

test('imports, static and dynamic; files of the directory; the library by its name', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'strake-repl-'))
  try {
    await converse(
      async (session) => {
        writeFileSync(join(cwd, 'first.ts'), 'export enum Kind { A, B }\nexport const one: number = 1')
        assert.is(await session.say(`import { Kind, one } from './first.ts'`), '')
        assert.is(await session.say('[Kind.B, one]'), '[ 1, 1 ]')
        assert.match(await session.say('one.nothing'), 'TS2339')
        assert.match(await session.say(`import './second.ts'`), 'Cannot find module')
        writeFileSync(join(cwd, 'second.ts'), 'export default (n: number) => n * 2')
        assert.is(await session.say(`import twice from './second.ts'`), '')
        assert.is(await session.say('twice(4)'), '8')
        assert.is(await session.say(`(await import('./first.ts')).one`), '1')
        assert.is(await session.say(`import path, { join as j } from 'node:path'`), '')
        assert.is(await session.say(`j('a', path.basename('/b/c'))`), "'a/c'")
        assert.is(await session.say(`import * as whole from 'strake'`), '')
        assert.is(await session.say('whole.image === image'), 'true')
        assert.is(await session.say(`os.EOL + typeof require('fs').readFileSync`), "'\\nfunction'")
      },
      { cwd },
    )
  } finally {
    rmSync(cwd, { recursive: true })
  }
})

test("a user's name takes nothing from Node or the library", () =>
  converse(async (session) => {
    await session.say('const process = "mine"')
    assert.is(await session.say('process'), "'mine'")
    assert.type(globalThis.process.pid, 'number')
    await session.say('const image = 5')
    assert.is(await session.say('image'), '5')
    await session.say('function self(this: unknown) { return this }')
    assert.is(await session.say('self() === undefined'), 'true')
  }))

test('commands: plan, type, doctor, help; an unknown one gets advice', () =>
  converse(async (session) => {
    assert.is(await session.say('.plan image("make")'), 'clone3 user\n  0  exec "make"')
    assert.is(await session.say('.plan image("x").start({ name: "box" })'), 'clone3 user\n  0  setHostname name="box"')
    assert.match(await session.say('.plan 5'), 'has no plan')
    assert.match(await session.say('.plan imag()'), /TS2304|TS2552/)
    assert.match(await session.say('.plan'), 'Usage')
    assert.is(await session.say('.type image("x").run'), '(method) Builder.run(command: string): Builder\nAdds a step that runs a command.')
    const doctor = await session.say('.doctor')
    assert.match(doctor, '✓ namespaces  all kinds')
    assert.match(doctor, 'fix: usermod --add-subuids')
    const help = await session.say('.help')
    for (const word of ['.plan EXPR', '.type EXPR', '.doctor', '.editor', '.load FILE', '.save FILE', '.exit']) assert.match(help, word)
    assert.is(await session.say('.plna image()'), 'There is no command .plna; did you mean .plan? (.help lists them)')
    assert.is(await session.say('.zzzzzz'), 'There is no command .zzzzzz (.help lists them)')
    assert.match(await session.say('_'), 'TS2304', 'a command leaves no last value')
  }))

test('.load runs a file of several lines, .save writes what was typed', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'strake-repl-'))
  try {
    await converse(async (session) => {
      writeFileSync(join(cwd, 'lines.ts'), 'const loaded = (a: number) => {\n  return a + 1\n}\nlet sum = loaded(1)\n')
      session.paste(`.load ${join(cwd, 'lines.ts')}\n'both ' + loaded(sum)\n`)
      await session.hearOf("'both 3'")
      session.paste(`.save ${join(cwd, 'saved.ts')}\n`)
      await session.hearOf('saved')
      assert.match(readFileSync(join(cwd, 'saved.ts'), 'utf8'), "'both ' + loaded(sum)")
    })
  } finally {
    rmSync(cwd, { recursive: true })
  }
})

test('lines that arrive all at once are taken one after the other', async () => {
  const session = new Conversation()
  session.paste('const a = await new Promise<number>((resolve) => setTimeout(resolve, 50, 1))\nconst b = a + 1\nif (b) {\n')
  session.paste('console.error()\n}\n[a, b]\n.plan image("last")\n')
  const heard = await session.end()
  assert.match(heard, '[ 1, 2 ]')
  assert.ok(heard.indexOf('exec "last"') > heard.indexOf('[ 1, 2 ]'), heard)
})

test('what the session holds is disposed of at its end, the newest first', async () => {
  disposed.length = 0
  const session = new Conversation()
  await session.hear()
  await session.say('const kept = await image().start({ name: "kept" })')
  await session.say('await using first = await image().start({ name: "first" })')
  await session.say('await using second = await image().start({ name: "second" })')
  await session.say('const second = 0')
  assert.match(await session.say('await using wrong = 5'), /TS2850|cannot be disposed of/)
  assert.equal(disposed, [])
  await session.end()
  assert.equal(disposed, ['second', 'first', 'kept'])
})

test('what an input got to before it failed is known, the rest is not', () =>
  converse(async (session) => {
    await session.say('const old = 1')
    assert.match(
      await session.say('const got = 1; const old = (() => { throw new Error("broken") })(); const unreached = 2'),
      'Error: broken',
    )
    assert.is(await session.say('got'), '1')
    assert.is(await session.say('old'), '1')
    assert.match(await session.say('unreached'), 'TS2304')
  }))

test('an error that comes later is shown, and the session goes on', async () => {
  await converse(async (session) => {
    await session.say('setTimeout(() => { throw new Error("late") }, 500); 0')
    const heard = await session.hear()
    assert.match(heard, 'Error: late')
    assert.is(await session.say('1 + 1'), '2')
  })
})

test('stack traces name lines of the input and files of the user, nothing else', () =>
  converse(async (session) => {
    await session.say('function outer() {')
    await session.say('  throw new Error("deep")')
    await session.say('}')
    assert.is(await session.say('outer()'), 'Error: deep\n    at outer, line 2')
    assert.is(await session.say('[1].map(() => { throw new RangeError("flat") })'), 'RangeError: flat')
  }))

test.run()
