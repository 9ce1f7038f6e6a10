import { execFileSync } from 'node:child_process'
import { closeSync, lstatSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type HostFile, listDirectory } from '../../lib/layers/index.ts'
import { has } from '../support/machine.ts'
import { skip, testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

function list(path: string): HostFile[] {
  const fd = openSync(path, 'r')
  try {
    return listDirectory(fd)
  } finally {
    closeSync(fd)
  }
}

test('every kind of file is told as lstat tells it, sorted by the bytes of the names', async () => {
  using directory = temporaryDirectory('listing')
  const { path } = directory
  const bytes = Buffer.from([0x62, 0xff, 0x0a])
  writeFileSync(Buffer.concat([Buffer.from(`${path}/`), bytes]), 'odd', { mode: 0o4751 })
  for (let at = 0; at < 300; at += 1) writeFileSync(join(path, `f${at}`), 'x'.repeat(at))
  writeFileSync(join(path, 'ü'), '')
  mkdirSync(join(path, 'sub'), { mode: 0o700 })
  symlinkSync('nowhere', join(path, 'link'))
  execFileSync('mkfifo', [join(path, 'fifo')])
  const server = createServer().listen(join(path, 'socket'))
  try {
    await new Promise((resolve) => server.once('listening', resolve))
    const files = list(path)
    assert.is(files.length, 306)
    const names = files.map(({ name }) => name)
    assert.equal(names, [...names].sort())
    assert.ok(names.includes(bytes.toString('latin1')))
    for (const { name, error, capability, ...file } of files) {
      const { mode, size, mtimeMs, ctimeMs, ino, dev } = lstatSync(Buffer.from(`${path}/${name}`, 'latin1'))
      assert.equal(file, { mode, size, mtimeMs, ctimeMs, ino, dev }, name)
      assert.is(error, undefined)
      assert.is(capability, undefined)
    }
    assert.equal(list(join(path, 'sub')), [])
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})

test('what is no directory, and no file descriptor, is an error with the code of the kernel', () => {
  using directory = temporaryDirectory('listing')
  writeFileSync(join(directory.path, 'f'), '')
  const codeOf = (work: () => unknown): unknown => {
    try {
      work()
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
    return undefined
  }
  assert.is(
    codeOf(() => list(join(directory.path, 'f'))),
    'ENOTDIR',
  )
  assert.is(
    codeOf(() => listDirectory(1_000_000)),
    'EBADF',
  )
})

testAs(test, ['root'], 'the capability of an executable is told with it; of what nobody may execute it is not asked for', () => {
  if (!has('setcap')) return skip('setcap (libcap2-bin) is not installed')
  using directory = temporaryDirectory('listing')
  for (const [name, mode] of Object.entries({ a: 0o755, b: 0o710, c: 0o644 })) writeFileSync(join(directory.path, name), '', { mode })
  for (const name of ['b', 'c']) execFileSync('setcap', ['cap_net_raw+ep', join(directory.path, name)])
  assert.equal(
    list(directory.path).map(({ name, capability }) => [name, capability?.toString('hex')]),
    [
      ['a', undefined],
      ['b', '0100000200200000000000000000000000000000'],
      ['c', undefined],
    ],
  )
})

testAs(test, ['subid', 'single'], 'where a directory may be read and not searched, each file says why it cannot be looked at', () => {
  using directory = temporaryDirectory('listing')
  const sub = join(directory.path, 'sub')
  mkdirSync(sub)
  writeFileSync(join(sub, 'f'), '')
  execFileSync('chmod', ['400', sub])
  try {
    assert.equal(
      list(sub).map(({ name, error }) => [name, error]),
      [['f', 'EACCES']],
    )
  } finally {
    execFileSync('chmod', ['700', sub])
  }
})

test.run()
