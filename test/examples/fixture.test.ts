// test: timeout 180
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { runExample } from './programs.ts'

test('each test of the fixture has a fresh copy of the seeded service; a second run takes the build from the cache', async () => {
  using directory = temporaryDirectory('fixture')
  const root = join(directory.path, 'store')
  for (const _ of ['built', 'from the cache']) {
    const { code, stdout, stderr } = await runExample('fixture.uvu.ts', root)
    assert.is(code, 0, stdout + stderr)
    assert.match(stdout, /Passed: +3/)
  }
})

test.run()
