import { runInThisContext } from 'node:vm'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { showError, showValue } from '../../repl/show.ts'
import { test } from '../support/uvu.ts'

test('a value with an error in it shows no frames of Node’s and ours, with colors or without', () => {
  const error: unknown = runInThisContext("new Error('later')")
  assert.match(String((error as Error).stack), /at .*node:vm/)
  for (const colors of [false, true]) {
    const shown = showValue({ error }, colors)
    assert.match(shown, /later/)
    assert.not.match(shown, /node:vm/)
  }
})

test('the last twenty lines of a failed step are shown with its error, as docs/progress.md says', () => {
  const log = Array.from({ length: 30 }, (_, index) => `line ${index + 1}\n`).join('')
  const shown = showError(new StrakeError('build_failed', 'run: make ended with exit code 2', { details: { log } }), false)
  assert.equal(
    shown.match(/line \d+/g),
    Array.from({ length: 20 }, (_, index) => `line ${index + 11}`),
  )
})

test('what a failed step printed moves no cursor and changes no colour where it is shown with its error', () => {
  const log = 'first\x1b[2J\x1b]0;title\x07wiped\nsecond \x1b[31mred\x9b2J\n'
  const shown = showError(new StrakeError('build_failed', 'run: make ended with exit code 2', { details: { log } }), false)
  assert.not.match(shown, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
  assert.match(shown, '    firstwiped\n    second red')
})

test('the step of a build is shown with an error that says nothing of it', () => {
  const full = new StrakeError('store_full', 'the disk of the store is full', { details: { step: `RUN make\n${'x'.repeat(9999)}` } })
  assert.match(showError(full, false), '  in step: RUN make\n')
  const failed = new StrakeError('build_failed', 'run: make ended with exit code 2', { details: { step: 'RUN make' } })
  assert.not.match(showError(failed, false), 'in step')
})

test.run()
