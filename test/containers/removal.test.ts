// Calls that meet the removal of their container.
import * as assert from 'uvu/assert'
import { type Image, image, StrakeError } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
})

test('a call that the removal overtakes says so, or has been quick enough', async () => {
  for (let round = 0; round < 12; round += 1) {
    const container = await built.start({ cmd: ['sleep', '100'] })
    await container.exec('for each in 1 2 3 4 5 6 7 8; do mkdir /d$each; echo x > /d$each/f; done', { check: true })
    const calls = [
      container.diff(),
      container.fs.readFile('/etc/hosts'),
      container.fs.list('/'),
      container.fs.writeFile('/x', 'y'),
      container.snapshot(),
      container.exec(['true']),
    ]
    const settled = Promise.allSettled(calls)
    await new Promise((resolve) => setTimeout(resolve, round * 2))
    await container.remove()
    for (const outcome of await settled) {
      if (outcome.status === 'fulfilled') continue
      const { reason } = outcome
      assert.ok(reason instanceof StrakeError, String(reason))
      assert.ok(['container_not_found', 'container_not_running'].includes(reason.code), `${reason.code}: ${reason.message}`)
    }
  }
})

test.run()
