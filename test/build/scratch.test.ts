import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { image } from '../../lib/fluent/index.ts'
import { test } from '../support/uvu.ts'
import { withBench } from './bench.ts'

const scratch = image('scratch')

test('nothing is in an empty image: what has the name of a directory that containers are given may be a file', () =>
  withBench(async ({ build, paths, read }) => {
    const built = await build(scratch.copy({ etc: 'e', dev: 'd', proc: 'p', sys: 's' }, '/'))
    assert.equal(await paths(built), ['dev', 'etc', 'proc', 'sys'])
    assert.is(await read(built, '/etc'), 'e')
  }))

test('a copy of all of an image, and a working directory, have no more than the image has', () =>
  withBench(async ({ build, paths }) => {
    const source = scratch.copy({ q: '1' }, '/d/')
    assert.equal(await paths(await build(scratch.copy('/', '/', { from: source }))), ['d/', 'd/q'])
    assert.equal(await paths(await build(scratch.workdir('/etc/x'))), ['etc/', 'etc/x/'])
  }))

test('the same files in /etc of an empty image are the same layer, whenever the engine was started', async () => {
  const digests: (string | undefined)[] = []
  for (let round = 0; round < 2; round += 1) {
    await withBench(async ({ build }) => {
      digests.push((await build(scratch.copy({ x: '1' }, '/etc/'))).layers[0]?.digest)
    })
    await sleep(1100)
  }
  assert.type(digests[0], 'string')
  assert.is(digests[0], digests[1])
})

test.run()
