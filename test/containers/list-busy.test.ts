import * as assert from 'uvu/assert'
import { image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'

test('a directory in which files come and go can be listed at any moment', async () => {
  const built = await image('host').run('mkdir /busy; echo x > /busy/stays').build()
  const cmd = ['sh', '-c', 'while :; do for n in 1 2 3 4 5 6 7 8; do : > /busy/$n; done; rm /busy/[1-8]; done']
  await using container = await built.start({ cmd })
  for (let time = 0; time < 300; time += 1) {
    const names = (await container.fs.list('/busy')).map(({ name }) => name)
    assert.ok(names.includes('stays'), names.join())
  }
})

test.run()
