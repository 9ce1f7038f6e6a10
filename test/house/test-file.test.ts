import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { runFile, type TestResult, wishes } from '../../scripts/test-file.mjs'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const uvu = JSON.stringify(import.meta.resolve('uvu'))
const support = JSON.stringify(import.meta.resolve('../support/skip.ts'))

/** Runs a test file of that text, and gives what the runner makes of it. */
async function outcome(text: string, environment: NodeJS.ProcessEnv = {}): Promise<TestResult> {
  using directory = temporaryDirectory('runner')
  const path = join(directory.path, 'it.test.mts')
  writeFileSync(path, text)
  const before = process.env
  process.env = { ...before, CI: '', STRAKE_ROOT: undefined, ...environment }
  try {
    return await runFile(wishes(path), directory.path)
  } finally {
    process.env = before
  }
}

function numbers({ passed, failed, skipped }: TestResult): number[] {
  return [passed, failed, skipped]
}

test('what passes and what fails is counted, and the output is kept', async () => {
  const result = await outcome(
    `import { test } from ${uvu}; test('a', () => {}); test('b', () => {}); test('c', () => { throw new Error('because') }); test.run()`,
  )
  assert.equal(numbers(result), [2, 1, 0])
  assert.match(result.text, 'because')
})

test('a file that runs no test has failed', async () => {
  assert.equal(numbers(await outcome(`import { test } from ${uvu}; test.run()`)), [0, 1, 0])
  assert.equal(numbers(await outcome('')), [0, 1, 0])
})

test('a file that ends with an error after its tests has failed', async () => {
  const result = await outcome(
    `import { test } from ${uvu}; test('a', () => {}); test.run(); process.on('exit', () => { process.exitCode = 7 })`,
  )
  assert.equal(numbers(result), [1, 1, 0])
  assert.match(result.why, '7')
})

test('a file that cannot be compiled has failed', async () => {
  assert.equal(numbers(await outcome('const = 1')), [0, 1, 0])
})

const skipping = `import { test } from ${uvu}; import { skip } from ${support}; test('a', () => {}); test('b', () => skip('no moon')); test.run()`

test('a skip is counted as one and not as passed, with its reason', async () => {
  const result = await outcome(skipping)
  assert.equal(numbers(result), [1, 0, 1])
  assert.equal(result.skips, ['no moon'])
})

test('with CI=true a skip is a failure', async () => {
  const result = await outcome(skipping, { CI: 'true' })
  assert.equal(numbers(result), [1, 1, 0])
  assert.match(result.text, 'no moon')
})

test('tests for another kind of user are listed, and a file of nothing else has not failed', async () => {
  const text = `import { test } from ${uvu}; import { testAs } from ${support}
    for (const kind of ['root', 'subid', 'single']) testAs(test, [kind], 'as ' + kind, () => {})
    test.run()`
  const result = await outcome(text)
  assert.equal(numbers(result), [1, 0, 0])
  assert.is(result.elsewhere.length, 2)
})

test('a file that runs out of time is ended with what it started', async () => {
  using directory = temporaryDirectory('child')
  const pidFile = join(directory.path, 'pid')
  const result = await outcome(`// test: timeout 3
    import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs'
    writeFileSync(${JSON.stringify(pidFile)}, String(spawn('sleep', ['1000'], { stdio: 'inherit' }).pid))`)
  assert.equal(numbers(result), [0, 1, 0])
  assert.match(result.why, 'stopped after 3 s')
  assert.ok(existsSync(pidFile))
  // Dead, though perhaps not yet reaped by whoever took it over.
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', readFileSync(pidFile, 'utf8')], { encoding: 'utf8' })
  assert.ok(stdout.trim() === '' || stdout.startsWith('Z'), stdout)
})

test('each file gets a store of its own, which is removed', async () => {
  const result = await outcome(`import { test } from ${uvu}; import { mkdirSync } from 'node:fs'
    test('a', () => { mkdirSync(process.env.STRAKE_ROOT + '/work'); mkdirSync(process.env.STRAKE_ROOT + '/work/work', 0); console.log('at=' + process.env.STRAKE_ROOT) }); test.run()`)
  assert.equal(numbers(result), [1, 0, 0])
  const store = /at=(.*)/.exec(result.text)?.[1] ?? ''
  assert.match(store, 'it.test.mts')
  assert.not(existsSync(store))
})

test.run()
