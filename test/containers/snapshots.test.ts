// test: timeout 120
import { join } from 'node:path'

import * as assert from 'uvu/assert'
import { type Image, image, type StrakeError, store } from '../../lib/index.ts'
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

test('a container with a name that means a removal in a layer has no snapshot, and goes on; without it, it has one', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'] })
  await container.exec('echo x > /data/.wh.kept')
  const error = await container.snapshot().catch((each: unknown) => each as StrakeError)
  assert.equal([(error as StrakeError).code, (error as StrakeError).details?.path], ['layer_invalid', '/data/.wh.kept'])
  assert.is((await container.exec('rm /data/.wh.kept && cat /data/kept')).stdout, 'old\n')
  assert.is((await (await container.snapshot()).exec('cat /data/kept')).stdout, 'old\n')
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

test('files of a stopped container are read and written, before and after a snapshot of it', async () => {
  await using container = await base.start({ cmd: ['sh', '-c', change] })
  await container.wait()
  assert.is(await container.fs.readFile('/data/kept', 'utf8'), 'new\n')
  assert.equal(
    (await container.fs.list('/data')).map(({ name }) => name),
    ['kept', 'more'],
  )
  await container.fs.writeFile('/data/written', 'by hand\n')
  const first = await container.snapshot()
  await container.fs.remove('/data/kept')
  await container.fs.writeFile('/data/second', '2')
  const second = await container.snapshot()
  assert.is((await first.exec('ls /data')).stdout, 'kept\nmore\nwritten\n')
  assert.is((await second.exec('ls /data; cat /data/written')).stdout, 'more\nsecond\nwritten\nby hand\n')
  assert.is(await container.fs.readFile('/data/second', 'utf8'), '2')
  await container.remove()
  await container.fs.list('/').then(
    () => assert.unreachable('it is removed'),
    (error: StrakeError) => assert.is(error.code, 'container_not_found'),
  )
})

test('the directories of declared volumes are there, in a container and in a build', async () => {
  const built = await image().from('host').volume('/var/lib/db').build()
  assert.is((await built.exec('touch /var/lib/db/x && ls /var/lib/db')).stdout, 'x\n')
})

test('a command in a container has its user, variables and directory unless told', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'], env: { A: '1', B: '2' }, user: '65534', cwd: '/data' })
  const show = 'echo $A $B; id -u; pwd'
  assert.is((await container.exec(show)).stdout, '1 2\n65534\n/data\n')
  assert.is((await container.exec(show, { env: { B: '3' }, cwd: '/tmp', user: 0 })).stdout, '1 3\n0\n/tmp\n')
})

test.run()
