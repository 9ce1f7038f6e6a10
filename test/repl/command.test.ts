// test: timeout 300
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { isLinux } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'
import { run } from './fixtures/program.ts'

const repl = (name: string) => fileURLToPath(new URL(`../../repl/${name}.ts`, import.meta.url))
const command = repl('main')

const test = suite<{ directory: TemporaryDirectory; cwd: string }>('command')

test.before.each((context) => {
  context.directory = temporaryDirectory('command')
  context.cwd = context.directory.path
})
test.after.each(({ directory }) => directory[Symbol.dispose]())

test('the command tells its usage and version, and refuses what it does not know', async ({ cwd }) => {
  const help = await run(command, ['--help'], { cwd })
  assert.match(help.out, /^Usage: strake/)
  assert.is(help.code, 0)
  assert.match((await run(command, ['-v'], { cwd })).out, /^\d+\.\d+\.\d+\n$/)
  const refused = await run(command, ['--frob'], { cwd })
  assert.match(refused.err, '--frob')
  assert.is(refused.code, 2)
})

test('every value that the library exports is in scope', async ({ cwd }) => {
  const names = Object.keys(await import('../../lib/index.ts'))
  const { out, err, code } = await run(command, ['--no-check', '-p', `[${names.join(', ')}].filter((each) => each === undefined).length`], {
    cwd,
  })
  assert.is(err, '')
  assert.is(out, '0\n')
  assert.is(code, 0)
})

test("the library's types are known, and what does not fit them is refused", async ({ cwd }) => {
  const fits = await run(command, ['-p', `const builder: ImageBuilder = image().from('host'); builder.steps.length`], { cwd })
  assert.equal(fits, { code: 0, out: '1\n', err: '' })
  const refused = await run(command, ['-e', 'image().copy(5, "/")'], { cwd })
  assert.match(refused.err, /^line 1 TS2345: /)
  assert.is(refused.code, 1)
})

test('a script on standard input runs, with arguments after a dash', async ({ cwd }) => {
  const script = 'const words: string[] = process.argv.slice(2)\nconsole.log(words, typeof image)\n'
  const dashed = await run(command, ['--no-check', '-', 'a', '--b'], { cwd, input: script })
  assert.equal(dashed, { code: 0, out: "[ 'a', '--b' ] function\n", err: '' })
  const plain = await run(command, ['--no-check'], { cwd, input: script })
  assert.equal(plain, { code: 0, out: '[] function\n', err: '' })
})

test('options after the name of the script are its own', async ({ cwd }) => {
  writeFileSync(join(cwd, 'words.ts'), 'console.log(process.argv.slice(2).join())\n')
  const { out } = await run(command, ['--no-check', 'words.ts', '-e', '--version'], { cwd })
  assert.is(out, '-e,--version\n')
})

test('STRAKE_NO_CHECK does what --no-check does', async ({ cwd }) => {
  const { out } = await run(command, ['-e', 'const n: string = 1; console.log(n)'], { cwd, env: { STRAKE_NO_CHECK: '1' } })
  assert.is(out, '1\n')
})

test('the quick start builds an image, runs it and shows its layers', async ({ cwd }) => {
  if (!isLinux) return skip('containers need Linux')
  const { out, err, code } = await run(repl('quickstart'), [], { cwd, env: { STRAKE_ROOT: join(cwd, 'store') } })
  assert.is(err, '')
  assert.match(out, /LAYER +BYTES +MADE BY/)
  assert.match(out, /\d+ +RUN mkdir -p \/tour/)
  assert.match(out, 'Hello from a container')
  assert.match(out, `Linux ${readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()}`)
  assert.match(out, /uid 0, pid \d+, host [0-9a-f]{12}/)
  assert.is(code, 0)
})

test.run()
