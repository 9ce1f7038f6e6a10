// test: timeout 120
import { join } from 'node:path'

import * as assert from 'uvu/assert'
import { type Image, image, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const directory = temporaryDirectory('snapshots')
process.env.STRAKE_ROOT = join(directory.path, 'store')

let base: Image

test.before(async () => {
  base = await image().from('host').run('mkdir /data && echo old > /data/kept && echo gone > /data/removed').build()
})

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

const change = 'echo new > /data/kept; rm /data/removed; mkdir /data/more; echo x > /data/more/file'
const show = ['sh', '-c', 'cat /data/kept /data/more/file; ls /data']

test('a snapshot of a stopped container holds what it wrote and removed, and later starts of it begin there', async () => {
  await using container = await base.start({ cmd: ['sh', '-c', change] })
  assert.is((await container.wait()).exitCode, 0)
  const kept = await container.snapshot()
  assert.is((await kept.exec(show)).stdout, 'new\nx\nkept\nmore\n')
  assert.is((await base.exec(['cat', '/data/kept', '/data/removed'])).stdout, 'old\ngone\n')
  assert.is(kept.layers.length, base.layers.length + 1)
})

test('a snapshot of a running container is what it had written by then, and it goes on', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'] })
  await container.exec(change)
  const kept = await container.snapshot()
  assert.is(container.state, 'running')
  await container.exec('echo later > /data/kept')
  assert.is((await kept.exec(show)).stdout, 'new\nx\nkept\nmore\n')
  assert.is((await container.exec(['cat', '/data/kept'])).stdout, 'later\n')
})

test('a snapshot leaves a paused container paused', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'] })
  await container.exec(change)
  await container.pause()
  const kept = await container.snapshot()
  assert.is(container.state, 'paused')
  await container.unpause()
  assert.is((await container.exec(['echo', 'on'])).stdout, 'on\n')
  assert.is((await kept.exec(show)).stdout, 'new\nx\nkept\nmore\n')
})

test('snapshots at once, and commands while they are made, all succeed', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'] })
  const [first, , second, output] = await Promise.all([
    container.snapshot(),
    container.exec(change),
    container.snapshot(),
    container.exec(['echo', 'between']),
  ])
  assert.is(output.stdout, 'between\n')
  assert.is(container.state, 'running')
  for (const each of [first, second]) assert.match((await each.exec(['cat', '/data/kept'])).stdout, /^(old|new)\n$/)
  assert.is((await container.exec(['cat', '/data/kept'])).stdout, 'new\n')
})

test('pause() during a snapshot holds after it', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'] })
  const making = container.snapshot()
  await container.pause()
  await making
  assert.is(container.state, 'paused')
  await container.unpause()
  assert.is((await container.exec(['echo', 'on'])).stdout, 'on\n')
})

test.run()
