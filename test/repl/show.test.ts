import { runInThisContext } from 'node:vm'
import * as assert from 'uvu/assert'
import { showValue } from '../../repl/show.ts'
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

test.run()
