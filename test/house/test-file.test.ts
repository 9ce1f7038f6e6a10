import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { runFile, type TestResult, wishes } from '../../scripts/test-file.mjs'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const uvu = JSON.stringify(import.meta.resolve('../support/uvu.ts'))
const plainUvu = JSON.stringify(import.meta.resolve('uvu'))
const errors = JSON.stringify(import.meta.resolve('../../lib/errors/index.ts'))
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

test('a StrakeError that is thrown is shown with all that it carries, and the tests after it are run', async () => {
  const result = await outcome(`import { test } from ${uvu}; import { StrakeError } from ${errors}
    test('a', () => { throw new StrakeError('store_busy', 'it is locked', { hint: 'wait a bit', cause: new Error('below'), details: { deep: { pid: 17 } } }) })
    test('b', () => {})
    test.run()`)
  assert.equal(numbers(result), [1, 1, 0])
  assert.is(result.why, 'ended with 1')
  for (const word of ['it is locked', "code: 'store_busy'", "hint: 'wait a bit'", 'Error: below', 'deep: { pid: 17 }', 'it.test.mts:2']) {
    assert.ok(result.text.includes(word), `${word} is missing: ${result.text}`)
  }
})

const odd = {
  'a string': `'because'`,
  nothing: 'undefined',
  null: 'null',
  'an object': '{ because: 1 }',
  'an Error without a name': `Object.assign(new Error('x'), { name: undefined })`,
  'an Error without a stack': `Object.assign(new Error('x'), { stack: undefined })`,
  'an Error with details of its own kind': `Object.assign(new Error('x'), { details: 7n })`,
  'an Error with an operator': `Object.assign(new Error('x'), { operator: 7 })`,
  'a comparison that uvu cannot print': `new assertion.AssertionError({ actual: { a: 1n }, expected: { a: 2n }, operator: 'deepStrictEqual' })`,
  'an AggregateError': `new AggregateError([new Error('one'), new Error('other')], 'x')`,
}

test('whatever is thrown fails its own test, is shown, and the others are run', async () => {
  const throwing = Object.entries(odd).map(
    ([what, thrown]) => `test(${JSON.stringify(what)}, () => { throw ${thrown} }); test('then', () => {})`,
  )
  const result = await outcome(`import assertion from 'node:assert'; import { test } from ${uvu}\n${throwing.join('\n')}\ntest.run()`)
  assert.equal(numbers(result), [throwing.length, throwing.length, 0], result.text)
  assert.is(result.why, 'ended with 1')
  for (const what of Object.keys(odd)) assert.ok(result.text.includes(`FAIL  "${what}"`), `${what} is not shown: ${result.text}`)
})

test('an assertion is shown with the difference', async () => {
  const result = await outcome(`import { test } from ${uvu}; import * as assert from ${JSON.stringify(import.meta.resolve('uvu/assert'))}
    test('a', () => { assert.equal({ a: 1 }, { a: 2 }) }); test.run()`)
  assert.equal(numbers(result), [0, 1, 0])
  assert.match(result.text, /Actual:[\s\S]*Expected:/)
})

for (const hook of ['before', 'after', 'before.each', 'after.each']) {
  test(`a ${hook} that throws fails the file, and is shown`, async () => {
    const result = await outcome(`import { suite } from ${uvu}; import { StrakeError } from ${errors}
      const first = suite('first'); const test = suite('one')
      first('x', () => {}); first.run()
      test.${hook}(() => { throw new StrakeError('store_busy', 'it is locked', { details: { pid: 17 } }) })
      test('a', () => {}); test('b', () => {}); test.run()
      const last = suite('last'); last('y', () => {}); last.run()`)
    assert.ok(result.failed > 0, result.text)
    assert.match(result.why, 'ended with 1')
    for (const word of ['it is locked', 'pid: 17']) assert.ok(result.text.includes(word), `${word} is missing: ${result.text}`)
    assert.is(result.passed, hook.startsWith('before') ? 2 : 4, result.text)
  })
}

test('a file that ends in the middle of its tests has failed, and how far it came is told', async () => {
  const endings = {
    'the event loop was empty': 'return new Promise(() => {})',
    'process.exit': 'process.exit(0)',
    'process.exit, later': 'setTimeout(() => process.exit(0), 10); return new Promise(() => {})',
  }
  for (const [what, ending] of Object.entries(endings)) {
    const result = await outcome(`import { test } from ${uvu}
      test('a', () => {}); test('b', () => { ${ending} }); test('c', () => {}); test.run()`)
    assert.is(result.failed, 1, what)
    assert.match(result.why, 'its tests were not run to their end', what)
    assert.match(result.text, '# unfinished: 2 of 3 tests have not ended, first "b"', what)
  }
})

test('a test that is registered after its suite was run is missed', async () => {
  const result = await outcome(`import { test } from ${uvu}; test('a', () => {}); test.run(); test('b', () => {})`)
  assert.equal(numbers(result), [1, 1, 0])
  assert.match(result.why, '1 of 2 tests have not ended, first "b"')
})

test('plain uvu that breaks off and ends with 0 has failed, too', async () => {
  const broken = await outcome(`import { test } from ${plainUvu}
    test('a', () => {}); test('b', () => { throw Object.assign(new Error('x'), { details: {} }) }); test('c', () => {}); test.run()`)
  assert.equal(numbers(broken), [1, 2, 0])
  assert.match(broken.why, '2 of its 3 tests did not pass, and it said nothing of it')
  const none = await outcome(`import { test } from ${plainUvu}; process.stdout.write('# elsewhere: x\\n'); test('a', () => {})`)
  assert.equal(numbers(none), [0, 1, 0])
  assert.match(none.why, 'its tests were not run to their end')
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
