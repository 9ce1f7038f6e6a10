// Where a store can be, and where it cannot.
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { image } from '../../lib/index.ts'
import { Store } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'

for (const root of ['/proc/strake', '/sys/strake', '/proc/self/fd/strake/below']) {
  test(`${root} is told to be no place for a store, to whoever asks first`, async () => {
    const code = (error: unknown): string => (error instanceof StrakeError ? error.code : String(error))
    assert.is(await Store.open(root).catch(code), 'store_invalid')
    const before = process.env.STRAKE_ROOT
    process.env.STRAKE_ROOT = root
    const loose: unknown[] = []
    const note = (reason: unknown): void => void loose.push(reason)
    process.on('unhandledRejection', note)
    try {
      // A builder has two things under way that fail: its caller learns of one, and nobody of another.
      assert.is(await image('host').exec(['true']).catch(code), 'store_invalid')
      assert.is(await image('host').start().catch(code), 'store_invalid')
      await new Promise((resolve) => setTimeout(resolve, 20))
      assert.equal(loose, [])
    } finally {
      process.off('unhandledRejection', note)
      if (before === undefined) delete process.env.STRAKE_ROOT
      else process.env.STRAKE_ROOT = before
    }
  })
}

test.run()
