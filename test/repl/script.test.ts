// test: timeout 300
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { suite } from '../support/uvu.ts'
import { run } from './fixtures/program.ts'

const program = fileURLToPath(new URL('./fixtures/run.ts', import.meta.url))

const test = suite<{ cwd: string }>('scripts')

test.before.each((context) => {
  context.cwd = mkdtempSync(join(tmpdir(), 'strake-script-'))
})
test.after.each(({ cwd }) => rmSync(cwd, { recursive: true }))

test('a file runs with the library in scope, its own imports, top-level await and its arguments', async ({ cwd }) => {
  mkdirSync(join(cwd, 'sub'))
  writeFileSync(join(cwd, 'sub/kind.ts'), 'export enum Kind { A, B }\nexport type Name = string\n')
  writeFileSync(join(cwd, 'sub/other.ts'), 'export default 7')
  writeFileSync(
    join(cwd, 'sub/main.ts'),
    `#!/usr/bin/env strake
import { Kind, type Name } from './kind.ts'
import seven from './other'
import { image as same } from 'strake'
const name: Name = 'box'
await using box: Container = await image('x').start({ name })
console.log(JSON.stringify([Kind.B, seven, box.name, same === image, process.argv.slice(1)]))
`,
  )
  const { code, out, err } = await run(program, ['check', 'file', 'sub/main.ts', 'one', '--two'], {
    cwd,
    env: { STRAKE_TEST_DISPOSED: '1' },
  })
  assert.is(err, '')
  const [line = '', disposed] = out.trim().split('\n')
  assert.equal(JSON.parse(line), [1, 7, 'box', true, [join(cwd, 'sub/main.ts'), 'one', '--two']])
  assert.is(disposed, 'disposed of box')
  assert.is(code, 0)
})

test('type errors are told with file and line, in the script and in what it imports, and nothing runs', async ({ cwd }) => {
  writeFileSync(join(cwd, 'wrong.ts'), 'export const n: string = 1\n')
  writeFileSync(join(cwd, 'main.ts'), `console.log('ran')\nimport { n } from './wrong.ts'\nconst x: number = n\n`)
  const { code, out, err } = await run(program, ['check', 'file', 'main.ts'], { cwd })
  assert.is(out, '')
  assert.match(err, `main.ts:3:7 TS2322: Type 'string' is not assignable to type 'number'.`)
  assert.match(err, `wrong.ts:1:14 TS2322`)
  assert.is(code, 1)
})

test('without a check, the same script runs', async ({ cwd }) => {
  writeFileSync(join(cwd, 'wrong.ts'), 'export enum N { A = 3 }\nexport const n: string = 1\n')
  writeFileSync(join(cwd, 'main.ts'), `import { n, N } from './wrong.js'\nconst x: boolean = n\nconsole.log(x, N.A, typeof image)\n`)
  const { code, out, err } = await run(program, ['no-check', 'file', 'main.ts'], { cwd })
  assert.is(err, '')
  assert.is(out, '1 3 function\n')
  assert.is(code, 0)
})

test('an uncaught error is told with its hint, its code and its place, and ends with 1', async ({ cwd }) => {
  writeFileSync(join(cwd, 'main.ts'), `interface Unseen {\n  a: 1\n}\n\nfunction inner(): Unseen {\n  return fail()\n}\ninner()\n`)
  const { code, err } = await run(program, ['check', 'file', 'main.ts'], { cwd })
  assert.match(err, 'StrakeError image_not_found: no image is called nothing:1\n  hint: look at `await images.list()`')
  assert.match(err, `at inner (${join(cwd, 'main.ts')}:6:10)`)
  assert.not.match(err, 'node:internal')
  assert.is(code, 1)
})

test('an error after the script is through ends with 1 too', async ({ cwd }) => {
  const { code, err } = await run(program, ['check', 'text', 'setTimeout(() => { throw new Error("late") })'], { cwd })
  assert.match(err, 'Error: late')
  assert.is(code, 1)
})

test('the exit code is the script’s own', async ({ cwd }) => {
  assert.is((await run(program, ['no-check', 'text', 'process.exitCode = 7'], { cwd })).code, 7)
})

test('an await that never ends is told, and ends with 13', async ({ cwd }) => {
  const { code, err } = await run(program, ['no-check', 'text', 'await new Promise(() => {})'], { cwd })
  assert.match(err, 'waits for something that will never come')
  assert.is(code, 13)
})

test('a line of code has Node’s modules in scope; its value is printed, awaited', async ({ cwd }) => {
  assert.is(
    (await run(program, ['check', 'print', 'const two: number = 2; Promise.resolve(path.join("a", String(two)))'], { cwd })).out,
    'a/2\n',
  )
  assert.match((await run(program, ['check', 'print', 'const two: string = 2; two'], { cwd })).err, 'line 1 TS2322')
})

test('a file that is not there ends with 1', async ({ cwd }) => {
  const { code, err } = await run(program, ['check', 'file', 'nothing.ts'], { cwd })
  assert.match(err, `There is no file ${join(cwd, 'nothing.ts')}`)
  assert.is(code, 1)
})

test.run()
