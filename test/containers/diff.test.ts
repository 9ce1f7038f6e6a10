// What a container has written over its image.
import * as assert from 'uvu/assert'
import { type FileChange, type Image, image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { rejection } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host')
    .run('mkdir -p /d/deep /o && cd /d && echo x > file && echo y > other && echo z > deep/z && touch /o/one /o/two')
    .build()
})

const told = (changes: readonly FileChange[]): string[] => changes.map(({ path, kind }) => `${kind} ${path}`)

test('a container that wrote nothing has no changes', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  await container.exec('cat /d/file; echo in > /dev/shm/file', { check: true })
  assert.equal(told(await container.diff()), [])
})

test('what was added, changed and deleted is told, of a running and of a stopped container', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  await container.exec(
    `cd /d && echo more >> file && rm other && rm -r deep && mkdir new && ln -s x new/link &&
     rm -r /o && mkdir /o && touch /o/two "/o/$(printf 'n\\303\\244me')"`,
    { check: true },
  )
  const expected = [
    'changed /d',
    'deleted /d/deep',
    'changed /d/file',
    'added /d/new',
    'added /d/new/link',
    'deleted /d/other',
    'changed /o',
    'added /o/näme',
    'deleted /o/one',
    'changed /o/two',
  ]
  const paths = new Set(expected.map((line) => line.slice(line.indexOf(' ') + 1)))
  const here = async (): Promise<string[]> => told((await container.diff()).filter(({ path }) => paths.has(path) || /^\/[do]\//.test(path)))
  assert.equal(await here(), expected)
  assert.is(container.state, 'running')
  await container.stop({ grace: 100 })
  assert.equal(await here(), expected)
  // Its layer is below it from here on.
  await container.snapshot()
  assert.equal(told(await container.diff()), [])
  await container.remove()
  await rejection(container.diff(), 'container_not_found')
})

test('an image from nothing: everything is added', async () => {
  const nothing = await image('scratch').copy({ file: 'x' }, '/').build()
  const started = nothing.start({ cmd: ['/file'] })
  await rejection(started, 'command_not_found')
})

test.run()
