import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  createReadStream,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { walkTar } from '../../lib/layers/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const longName = `${'d'.repeat(120)}/${'f'.repeat(180)}`

/** A tree with everything that an ordinary user can make. */
function makeTree(root: string): void {
  mkdirSync(join(root, 'd'.repeat(120)), { recursive: true })
  writeFileSync(join(root, longName), 'long')
  writeFileSync(join(root, 'plain'), 'plain\n')
  writeFileSync(join(root, 'empty'), '')
  writeFileSync(join(root, 'mode'), 'x')
  chmodSync(join(root, 'mode'), 0o4751)
  writeFileSync(join(root, 'big'), Buffer.alloc(3_000_000, 'abc'))
  linkSync(join(root, 'plain'), join(root, 'plain2'))
  symlinkSync('plain', join(root, 'link'))
  symlinkSync('t'.repeat(300), join(root, 'longlink'))
  // Node takes a negative time for now.
  execFileSync('touch', ['-d', '@-1000', join(root, 'empty')])
  const sparse = openSync(join(root, 'sparse'), 'w')
  for (const at of [100_000, 900_000, 5_000_000]) writeSync(sparse, 'data', at)
  closeSync(sparse)
  truncateSync(join(root, 'sparse'), 8_000_000)
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x6e, 0xff, 0xfe])]), 'bytes')
}

function sparseContent(): Buffer {
  const content = Buffer.alloc(8_000_000)
  for (const at of [100_000, 900_000, 5_000_000]) content.write('data', at)
  return content
}

interface Expectations {
  readonly keepsOldTimes: boolean
}

async function check(archive: string, { keepsOldTimes }: Expectations): Promise<void> {
  const seen = new Map<string, { type: string; mode: number; content: Buffer; linkPath: string; sec: number }>()
  for await (const entry of walkTar(createReadStream(archive, { highWaterMark: 70_000 }))) {
    const content = Buffer.alloc(entry.size)
    for await (const { offset, bytes } of entry.pieces()) bytes.copy(content, offset)
    const path = entry.path.toString('latin1').replace(/^\.\//, '').replace(/\/$/, '')
    seen.set(path, {
      type: entry.type,
      mode: entry.mode,
      content,
      linkPath: entry.linkPath.toString().replace(/^\.\//, ''),
      sec: entry.mtime.sec,
    })
  }
  const get = (path: string) => seen.get(path) ?? assert.unreachable(`${path.slice(0, 40)} is missing`)
  assert.is(get(longName)?.content.toString(), 'long')
  assert.is(get('mode')?.mode, 0o4751)
  assert.ok(get('big')?.content.equals(Buffer.alloc(3_000_000, 'abc')))
  assert.ok(get('sparse')?.content.equals(sparseContent()), 'the sparse file has its bytes')
  assert.is(get('link')?.linkPath, 'plain')
  assert.is(get('longlink')?.linkPath, 't'.repeat(300))
  assert.is(get('d'.repeat(120))?.type, 'directory')
  const pair = [get('plain'), get('plain2')]
  assert.equal(pair.map((each) => each?.type).sort(), ['file', 'link'])
  assert.is(pair.find((each) => each?.type === 'file')?.content.toString(), 'plain\n')
  assert.is(get('n\xff\xfe')?.content.toString(), 'bytes')
  if (keepsOldTimes) assert.is(get('empty')?.sec, -1000)
}

const gnu: readonly [string, readonly string[], Expectations][] = [
  ['GNU format', ['--format=gnu'], { keepsOldTimes: true }],
  ['GNU format, sparse', ['--format=gnu', '--sparse'], { keepsOldTimes: true }],
  ['PAX format', ['--format=posix'], { keepsOldTimes: true }],
  ['PAX format, sparse 0.0', ['--format=posix', '--sparse', '--sparse-version=0.0'], { keepsOldTimes: true }],
  ['PAX format, sparse 0.1', ['--format=posix', '--sparse', '--sparse-version=0.1'], { keepsOldTimes: true }],
  ['PAX format, sparse 1.0', ['--format=posix', '--sparse', '--sparse-version=1.0'], { keepsOldTimes: true }],
]
for (const [what, options, expectations] of gnu) {
  test(`what GNU tar writes is read as it was: ${what}`, async () => {
    using directory = temporaryDirectory('gnu-tar')
    makeTree(join(directory.path, 'tree'))
    const archive = join(directory.path, 'a.tar')
    execFileSync('tar', [...options, '-C', join(directory.path, 'tree'), '-cf', archive, '.'])
    await check(archive, expectations)
  })
}

for (const format of ['pax', 'gnutar']) {
  test(`what bsdtar writes is read as it was: ${format}`, async () => {
    if (!has('bsdtar')) return skip('bsdtar is not installed')
    using directory = temporaryDirectory('bsdtar')
    makeTree(join(directory.path, 'tree'))
    const archive = join(directory.path, 'a.tar')
    execFileSync('bsdtar', ['--format', format, '-C', join(directory.path, 'tree'), '-cf', archive, '.'], {
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
      stdio: 'pipe',
    })
    await check(archive, { keepsOldTimes: format === 'pax' })
  })
}

for (const format of ['GNU_FORMAT', 'PAX_FORMAT']) {
  test(`what python's tarfile writes is read as it was: ${format}`, async () => {
    if (!has('python3')) return skip('python3 is not installed')
    using directory = temporaryDirectory('tarfile')
    makeTree(join(directory.path, 'tree'))
    const archive = join(directory.path, 'a.tar')
    execFileSync('python3', [
      '-c',
      `import tarfile, sys
with tarfile.open(sys.argv[1], 'w', format=tarfile.${format}) as t: t.add(sys.argv[2], arcname='.')`,
      archive,
      join(directory.path, 'tree'),
    ])
    await check(archive, { keepsOldTimes: true })
  })
}

test.run()
