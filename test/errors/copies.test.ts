import * as assert from 'uvu/assert'
import { BuildError } from '../../lib/build/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { test } from '../support/uvu.ts'

test('an error is of its own class and those above it, also of another copy of the library in the process', async () => {
  const other = (await import(new URL('../../lib/errors/error.ts?copy', import.meta.url).href)) as { StrakeError: typeof StrakeError }
  assert.is.not(other.StrakeError, StrakeError)
  const own = new StrakeError('aborted', 'x')
  const build = new BuildError('x', { state: 1 })
  for (const Class of [StrakeError, other.StrakeError]) {
    assert.ok(own instanceof Class)
    assert.ok(build instanceof Class)
    assert.ok(new other.StrakeError('aborted', 'x') instanceof Class)
    for (const none of [new Error('x'), {}, null, undefined, 'x', { code: 'aborted' }]) assert.not((none as unknown) instanceof Class)
  }
  assert.ok(build instanceof BuildError)
  assert.not((own as unknown) instanceof BuildError)
})

test('a class that a user derives has its own instances alone', () => {
  class Own extends StrakeError {}
  assert.ok(new Own('aborted', 'x') instanceof Own)
  assert.ok(new Own('aborted', 'x') instanceof StrakeError)
  assert.not((new StrakeError('aborted', 'x') as unknown) instanceof Own)
})

test.run()
