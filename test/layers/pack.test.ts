import { execFileSync } from 'node:child_process'
import { lstatSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type LayerEntry, type PackOptions, packLayer, walkTar } from '../../lib/layers/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

async function pack(entries: readonly LayerEntry[], options?: PackOptions): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of packLayer(entries, options)) pieces.push(piece)
  return Buffer.concat(pieces)
}

const bytesName = Buffer.from([0x6e, 0xff, 0xfe])
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
const entries: readonly LayerEntry[] = [
  { path: 'dir', type: 'directory', mode: 0o1777, mtime: { sec: 1_700_000_000, nsec: 0 } },
  {
    path: '/dir/file',
    type: 'file',
    content: 'hello',
    uid: 1000,
    gid: 1000,
    mode: 0o4755,
    mtime: { sec: 1_700_000_000, nsec: 123_456_789 },
  },
  { path: 'dir/hard', type: 'link', linkPath: 'dir/file' },
  { path: 'link', type: 'symlink', linkPath: 'dir/file' },
  { path: 'longlink', type: 'symlink', linkPath: 'x'.repeat(300) },
  { path: 'fifo', type: 'fifo', mode: 0o600 },
  { path: bytesName, type: 'file', content: 'bytes' },
  { path: Buffer.concat([Buffer.alloc(150, 'l'), Buffer.from('/'), Buffer.alloc(150, 0xfe)]), type: 'file', content: 'odd' },
  { path: `${'p'.repeat(120)}/${'q'.repeat(90)}`, type: 'file', content: 'prefix' },
  { path: 'q'.repeat(250), type: 'file', content: 'pax' },
  { path: 'ids', type: 'file', uid: 3_000_000, gid: 4_000_000 },
  { path: 'old', type: 'file', mtime: { sec: -5, nsec: 500_000_000 } },
  { path: 'late', type: 'file', mtime: { sec: 15_000_000_000, nsec: 0 } },
  {
    path: 'cap',
    type: 'file',
    xattrs: new Map([
      ['user.b', Buffer.from([0, 10, 61])],
      ['security.capability', capability],
      ['user.a', Buffer.alloc(0)],
    ]),
  },
  { path: 'streamed', type: 'file', size: 6, content: [Buffer.from('abc'), Buffer.from('def')] },
  { path: 'device', type: 'character', major: 1, minor: 3 },
]

test('what is packed is read back entry for entry', async () => {
  const seen: LayerEntry[] = []
  for await (const entry of walkTar([await pack(entries)])) {
    const content: Buffer[] = []
    for await (const { bytes } of entry.pieces()) content.push(bytes)
    seen.push({ ...entry, content: Buffer.concat(content) })
  }
  assert.is(seen.length, entries.length)
  const modes: Record<string, number> = { directory: 0o755, symlink: 0o777 }
  for (const [index, wanted] of entries.entries()) {
    const entry = seen[index] as LayerEntry & { path: Buffer; linkPath: Buffer }
    assert.is(entry.path.toString('latin1').replace(/\/$/, ''), Buffer.from(wanted.path).toString('latin1').replace(/^\//, ''))
    assert.is(entry.type, wanted.type)
    assert.is(entry.mode, wanted.mode ?? modes[wanted.type] ?? 0o644)
    assert.is(entry.uid, wanted.uid ?? 0)
    assert.is(entry.gid, wanted.gid ?? 0)
    assert.equal(entry.mtime, wanted.mtime ?? { sec: 0, nsec: 0 })
    assert.is(entry.linkPath.toString(), wanted.linkPath ?? '')
    assert.equal(new Map(entry.xattrs), new Map(wanted.xattrs ?? []))
    assert.is(entry.major, wanted.major ?? 0)
    assert.is(entry.minor, wanted.minor ?? 0)
    const content = Array.isArray(wanted.content)
      ? Buffer.concat(wanted.content as Buffer[])
      : Buffer.from((wanted.content as string | undefined) ?? '')
    assert.is((entry.content as Buffer).toString(), content.toString())
  }
})

test('the same entries give the same bytes', async () => {
  assert.is(digestOf(await pack(entries)), digestOf(await pack(entries)))
})

test('plain entries need no extended header', async () => {
  assert.is((await pack([{ path: 'a', type: 'file', content: 'x', mtime: { sec: 1_700_000_000, nsec: 0 } }])).length, 512 + 512 + 1024)
})

test('a clamped time is never later than said, earlier ones stay', async () => {
  const times: unknown[] = []
  const bytes = await pack(
    [
      { path: 'a', type: 'file', mtime: { sec: 2000, nsec: 5 } },
      { path: 'b', type: 'file', mtime: { sec: 1000, nsec: 1 } },
      { path: 'c', type: 'file', mtime: { sec: 10, nsec: 7 } },
    ],
    { clampTime: 1000 },
  )
  for await (const { mtime } of walkTar([bytes])) times.push(mtime)
  assert.equal(times, [
    { sec: 1000, nsec: 0 },
    { sec: 1000, nsec: 0 },
    { sec: 10, nsec: 7 },
  ])
})

for (const [what, content] of [
  ['shorter', 'abc'],
  ['longer', 'abcdefgh'],
] as const) {
  test(`a file that turns out ${what} than it was said to be is refused`, async () => {
    const code = await pack([{ path: 'a', type: 'file', size: 6, content: [Buffer.from(content)] }]).then(
      () => '',
      (error: { code: string }) => error.code,
    )
    assert.is(code, 'layer_invalid')
  })
}

test('a file beyond 8 GiB gets its size in a PAX record', async () => {
  const size = 9 * 1024 ** 3
  for await (const first of packLayer([
    {
      path: 'a',
      type: 'file',
      size,
      content: (function* () {
        yield Buffer.alloc(600_000)
      })(),
    },
  ])) {
    for await (const entry of walkTar([first, Buffer.alloc(0)], { fileBytes: 2 ** 40 })) {
      assert.is(entry.size, size)
      return
    }
  }
  assert.unreachable()
})

/** What every reader must make of it; devices and file capabilities need privileges and are left out. */
function checkUnpacked(root: string, oldMilliseconds = -4500): void {
  assert.is(readFileSync(join(root, 'dir/file'), 'utf8'), 'hello')
  assert.is(lstatSync(join(root, 'dir/file')).ino, lstatSync(join(root, 'dir/hard')).ino)
  assert.is(readlinkSync(join(root, 'longlink')), 'x'.repeat(300))
  assert.is(readFileSync(join(root, `${'p'.repeat(120)}/${'q'.repeat(90)}`), 'utf8'), 'prefix')
  assert.is(readFileSync(Buffer.concat([Buffer.from(`${root}/`), bytesName]), 'utf8'), 'bytes')
  assert.is(
    readFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.alloc(150, 'l'), Buffer.from('/'), Buffer.alloc(150, 0xfe)]), 'utf8'),
    'odd',
  )
  assert.is(lstatSync(join(root, 'late')).mtimeMs, 15_000_000_000_000)
  assert.is(lstatSync(join(root, 'old')).mtimeMs, oldMilliseconds)
}

const portable = entries
  .filter(({ type, path }) => type !== 'character' && path !== 'cap')
  .map((entry) => ({ ...entry, ...(entry.size ? { content: [Buffer.from('abcdef')] } : {}) }))

test('GNU tar reads what is packed', async () => {
  using directory = temporaryDirectory('pack')
  writeFileSync(join(directory.path, 'a.tar'), await pack(portable))
  const errors = execFileSync('tar', ['--no-same-owner', '-C', directory.path, '-xf', join(directory.path, 'a.tar')], {
    stdio: 'pipe',
  }).toString()
  assert.is(errors, '')
  checkUnpacked(directory.path)
})

test('bsdtar reads what is packed', async () => {
  if (!has('bsdtar')) return skip('bsdtar is not installed')
  using directory = temporaryDirectory('pack')
  writeFileSync(join(directory.path, 'a.tar'), await pack(portable))
  execFileSync('bsdtar', ['--no-same-owner', '-C', directory.path, '-xf', join(directory.path, 'a.tar')], {
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })
  // libarchive adds the fraction of a time before 1970 instead of taking it away.
  checkUnpacked(directory.path, -3500)
})

test("python's tarfile reads what is packed", async () => {
  if (!has('python3')) return skip('python3 is not installed')
  using directory = temporaryDirectory('pack')
  writeFileSync(join(directory.path, 'a.tar'), await pack(entries))
  const script = `import tarfile, sys
with tarfile.open(sys.argv[1]) as t:
  for m in t: print(m.name.encode('utf-8', 'surrogateescape').hex(), m.type.decode(), m.uid, m.size)`
  const lines = execFileSync('python3', ['-c', script, join(directory.path, 'a.tar')], { encoding: 'utf8' })
    .trim()
    .split('\n')
  assert.is(lines.length, entries.length)
  assert.ok(lines.includes(`${bytesName.toString('hex')} 0 0 5`))
  assert.ok(lines.includes(`${Buffer.from('ids').toString('hex')} 0 3000000 0`))
})

test.run()
