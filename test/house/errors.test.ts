import { readdirSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { errorCodes, StrakeError } from '../../lib/errors/error.ts'
import { test } from '../support/uvu.ts'

const rows = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `(\w+)` \| (.*) \| (.*) \|$/gm)]

test('docs/errors.md has a row for every code, in their order, and for nothing else', () => {
  assert.equal(
    rows.map((row) => row[1]),
    [...errorCodes],
  )
})

test('a code that the library uses is one of them, and each of them is used', () => {
  const sources = ['lib', 'repl', 'native'].flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && path !== 'errors/error.ts')
      .map((path) => readFileSync(`${room}/${path}`, 'utf8')),
  )
  const known: readonly string[] = errorCodes
  const thrown = sources.flatMap((text) => [...text.matchAll(/new StrakeError\(\s*'(\w+)'/g)].map((match) => match[1] ?? ''))
  assert.ok(thrown.length > 100, `${thrown.length} places`)
  assert.equal(
    thrown.filter((code) => !known.includes(code)),
    [],
  )
  // Some are chosen first and thrown in another line.
  const named = new Set(sources.flatMap((text) => [...text.matchAll(/'([a-z]+(?:_[a-z]+)+|aborted)'/g)].map((match) => match[1])))
  assert.equal(
    known.filter((code) => !named.has(code)),
    [],
  )
})

test('every row says what it means and what to do', () => {
  for (const [row, , meaning = '', remedy = ''] of rows) assert.ok(meaning.trim().length > 20 && remedy.trim().length > 3, row)
})

test('an error shows its hint, and carries code, cause and details', () => {
  const cause = new Error('below')
  const error = new StrakeError('store_busy', 'the store is locked', { hint: 'wait', cause, details: { pid: 1 } })
  assert.is(error.name, 'StrakeError')
  assert.is(error.code, 'store_busy')
  assert.is(error.message, 'the store is locked')
  assert.is(error.hint, 'wait')
  assert.is(error.cause, cause)
  assert.equal(error.details, { pid: 1 })
})

test('what an error was not given it does not have', () => {
  const error = new StrakeError('aborted', 'stopped')
  assert.is(error.message, 'stopped')
  assert.equal([error.hint, error.cause, error.details], [undefined, undefined, undefined])
})

test.run()
