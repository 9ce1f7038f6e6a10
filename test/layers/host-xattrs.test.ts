import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image } from '../../lib/index.ts'
import { directoryEntries, hostXattrs, type LayerEntry } from '../../lib/layers/index.ts'
import { has } from '../support/machine.ts'
import { skip, testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

/** cap_net_raw+ep, struct vfs_cap_data of revision 2. */
const capability = '0100000200200000000000000000000000000000'

const setXattr = (path: string, name: string, hex: string): Buffer => execFileSync('setfattr', ['-h', '-n', name, '-v', `0x${hex}`, path])

async function entriesOf(path: string): Promise<Map<string, LayerEntry>> {
  const entries = new Map<string, LayerEntry>()
  for await (const entry of directoryEntries(path)) entries.set(Buffer.from(entry.path).toString(), entry)
  return entries
}

test('a file has none, one, or more than fit where the first look has room', () => {
  if (!has('setfattr')) return skip('setfattr (attr) is not installed')
  using directory = temporaryDirectory('xattrs')
  const path = join(directory.path, 'file')
  writeFileSync(path, '')
  const look = (): unknown => [...hostXattrs(Buffer.from(path))].map(([name, value]) => [name, value.toString('hex')]).sort()
  assert.equal(look(), [])
  setXattr(path, 'user.one', '00ff')
  assert.equal(look(), [['user.one', '00ff']])
  for (let at = 0; at < 30; at += 1) setXattr(path, `user.${String(at).padStart(2, '0')}${'n'.repeat(60)}`, '01')
  assert.is((look() as unknown[]).length, 31)
})

test('what is not there, and a path that is too long, are errors with the code of the kernel', () => {
  for (const [path, code] of [
    ['/no/such/file', 'ENOENT'],
    [`/${'x'.repeat(5000)}`, 'ENAMETOOLONG'],
  ]) {
    assert.throws(
      () => hostXattrs(Buffer.from(path ?? '')),
      (error: NodeJS.ErrnoException) => error.code === code,
    )
  }
})

test('a directory as a root file system keeps user.* of files and directories, and takes no mark of overlayfs for content', async () => {
  if (!has('setfattr')) return skip('setfattr (attr) is not installed')
  using directory = temporaryDirectory('xattrs')
  mkdirSync(join(directory.path, 'sub'))
  writeFileSync(join(directory.path, 'sub/file'), '')
  symlinkSync('sub/file', join(directory.path, 'link'))
  for (const path of ['sub', 'sub/file']) setXattr(join(directory.path, path), 'user.note', '61')
  setXattr(join(directory.path, 'sub'), 'user.overlay.opaque', '79')
  const entries = await entriesOf(directory.path)
  for (const path of ['sub', 'sub/file']) assert.equal([...(entries.get(path)?.xattrs?.keys() ?? [])], ['user.note'])
  assert.is(entries.get('link')?.xattrs?.size, 0)
})

testAs(
  test,
  ['root'],
  'file capabilities come along from a directory, and from the context of a build, which keeps nothing else',
  async () => {
    if (!has('setfattr')) return skip('setfattr (attr) is not installed')
    using directory = temporaryDirectory('xattrs')
    mkdirSync(join(directory.path, 'bin'))
    const tool = join(directory.path, 'bin/tool')
    writeFileSync(tool, '#!/bin/sh\n', { mode: 0o755 })
    setXattr(tool, 'security.capability', capability)
    setXattr(tool, 'user.note', '61')
    assert.equal([...((await entriesOf(directory.path)).get('bin/tool')?.xattrs?.keys() ?? [])].sort(), [
      'security.capability',
      'user.note',
    ])

    const copied = await image('scratch').copy('bin', '/bin').build({ context: directory.path })
    const imported = await image(`${directory.path}/`).build()
    for (const [built, names] of [
      [copied, ['security.capability']],
      [imported, ['security.capability', 'user.note']],
    ] as const) {
      using target = temporaryDirectory('xattrs-out')
      const tar = join(target.path, 'out.tar')
      await built.export(tar)
      execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-xf', tar, '-C', target.path])
      assert.equal([...hostXattrs(Buffer.from(join(target.path, 'bin/tool'))).keys()].sort(), names)
      assert.is(
        hostXattrs(Buffer.from(join(target.path, 'bin/tool')))
          .get('security.capability')
          ?.toString('hex'),
        capability,
      )
    }
    // Another capability is another content: the copy is not taken from the cache.
    setXattr(tool, 'security.capability', capability.replace('00200000', '00400000'))
    const again = await image('scratch').copy('bin', '/bin').build({ context: directory.path })
    assert.is.not(again.digest, copied.digest)
  },
)

test.run()
