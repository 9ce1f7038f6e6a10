// Files of a container, from outside.
import * as assert from 'uvu/assert'
import { type Image, image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { rejection } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host').run('mkdir /d && cd /d && mkfifo fifo && ln -s /etc link && echo x > file && mkdir sub').build()
})

test('each kind of file is told', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  const kinds = Object.fromEntries((await container.fs.list('/d')).map(({ name, type }) => [name, type]))
  assert.equal(kinds, { fifo: 'fifo', file: 'file', link: 'symlink', sub: 'directory' })
  assert.is((await container.fs.stat('/')).type, 'directory')
  const { type, target } = await container.fs.stat('/d/link')
  assert.equal([type, target], ['symlink', '/etc'])
  assert.is((await container.fs.stat('/dev/null')).type, 'character-device')
})

test('a link to a directory is listed as the directory, a file is none', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  assert.equal(await container.fs.list('/d/link'), await container.fs.list('/etc'))
  await container.exec('ln -s /missing /d/nowhere; ln -s file /d/to-file', { check: true })
  for (const path of ['/d/file', '/d/to-file'])
    assert.is((await rejection(container.fs.list(path), 'kernel_refused')).details?.errno, 'ENOTDIR')
  assert.is((await rejection(container.fs.list('/d/nowhere'), 'kernel_refused')).details?.errno, 'ENOENT')
  await container.stop({ grace: 100 })
  assert.equal((await container.fs.list('/d/link')).length > 5, true)
})

test('what is no regular file is neither read nor written, and keeps nobody waiting', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  for (const path of ['/d/fifo', '/dev/zero']) {
    await rejection(container.fs.readFile(path), 'invalid_argument')
    await rejection(container.fs.writeFile(path, 'x'), 'invalid_argument')
  }
})

test('the mode that was asked for is had, with its special bits', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  for (const mode of [0o4755, 0o2750, 0o600, 0o1777]) {
    const path = `/d/mode${mode}`
    await container.fs.writeFile(path, 'x', { mode })
    assert.is((await container.fs.stat(path)).mode, mode)
    await container.fs.mkdir(`${path}.d`, { mode })
    assert.is((await container.fs.stat(`${path}.d`)).mode, mode)
  }
})

test('a failure of a write is an error of ours', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  const error = await rejection(container.fs.writeFile('/dev/shm/../mqueue', 'x'))
  assert.ok(['kernel_refused', 'invalid_argument'].includes(error.code))
  assert.match((await rejection(container.fs.readFile('/proc/self/status'), 'kernel_refused')).hint ?? '', /c\.exec/)
})

test.run()
