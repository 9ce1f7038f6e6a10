import * as assert from 'uvu/assert'
import { type LayerLimits, walkTar } from '../../lib/layers/index.ts'
import { test } from '../support/uvu.ts'
import {
  base256,
  dir,
  endMark,
  extended,
  file,
  header,
  number12,
  oldSparse,
  pad,
  type RawEntry,
  raw,
  sliced,
  symlink,
  tar,
} from './tar-maker.ts'

interface Seen {
  readonly path: string
  readonly type: string
  readonly size: number
  readonly body: string
  readonly entry: Awaited<ReturnType<ReturnType<typeof walkTar>['next']>>['value'] & object
}

async function walk(bytes: Uint8Array, limits: Partial<LayerLimits> = {}, slice = 1 << 20): Promise<Seen[]> {
  const seen: Seen[] = []
  for await (const entry of walkTar(sliced(bytes, slice), limits)) {
    const body = Buffer.alloc(Math.min(entry.size, 10_000))
    for await (const piece of entry.pieces()) piece.bytes.copy(body, piece.offset)
    seen.push({ path: entry.path.toString('latin1'), type: entry.type, size: entry.size, body: body.toString('latin1'), entry })
  }
  return seen
}

async function failure(bytes: Uint8Array, limits?: Partial<LayerLimits>): Promise<string> {
  return await walk(bytes, limits).then(
    () => 'none',
    (error: { code?: string; details?: { limit?: string } }) => [error.code, error.details?.limit].filter(Boolean).join(' '),
  )
}

test('what a tar says does not depend on how its bytes arrive', async () => {
  const bytes = tar(
    dir('a'),
    file('a/b', 'hello'.repeat(500)),
    symlink('a/l', 'b'),
    file('long', 'x', {
      pax: [
        ['path', 'p'.repeat(200)],
        ['mtime', '1.5'],
      ],
    }),
  )
  const whole = (await walk(bytes)).map(({ entry: _, ...rest }) => rest)
  assert.is(whole.length, 4)
  for (const slice of [1, 7, 511, 512, 513, 4096])
    assert.equal(
      (await walk(bytes, {}, slice)).map(({ entry: _, ...rest }) => rest),
      whole,
      `pieces of ${slice}`,
    )
})

test('content that nobody reads is skipped', async () => {
  const paths: string[] = []
  for await (const entry of walkTar([tar(file('a', 'x'.repeat(3000)), file('b', 'y'))])) paths.push(entry.path.toString())
  assert.equal(paths, ['a', 'b'])
})

test('content half read is skipped to its end', async () => {
  const paths: string[] = []
  for await (const entry of walkTar(sliced(tar(file('a', 'x'.repeat(3000)), file('b', 'y')), 100))) {
    paths.push(entry.path.toString())
    for await (const _ of entry.pieces()) break
  }
  assert.equal(paths, ['a', 'b'])
})

test('PAX ids, sizes, times, names and xattrs hold over the header, to the last byte', async () => {
  const value = Buffer.from([0, 1, 0xff, 0x0a, 0x3d])
  const [one] = await walk(
    tar({
      name: 'short',
      data: 'abc',
      pax: [
        ['uid', '3000000'],
        ['gid', '4000000'],
        ['path', 'w\xf6rd'],
        ['mtime', '-1.25'],
        ['SCHILY.xattr.user.x', value],
      ],
    }),
  )
  assert.is(one?.entry.uid, 3_000_000)
  assert.is(one?.entry.gid, 4_000_000)
  assert.equal(one?.entry.mtime, { sec: -2, nsec: 750_000_000 })
  assert.equal(one?.entry.xattrs.get('user.x'), value)
  assert.equal(one?.entry.path, Buffer.from('w\xf6rd'))
})

test('L09: names keep their bytes, be they UTF-8 or not, newlines among them', async () => {
  const name = Buffer.from([0x66, 0xff, 0x0a, 0xc3, 0x28])
  const [plain, long] = await walk(tar({ name }, raw({ name: 'y', pax: [['path', Buffer.concat([name, Buffer.alloc(200, 0xfe)])]] })))
  assert.equal(plain?.entry.path, name)
  assert.equal(long?.entry.path, Buffer.concat([name, Buffer.alloc(200, 0xfe)]))
})

test('GNU long names and links are read, and PAX goes before them', async () => {
  const long = 'n'.repeat(300)
  const [one, two] = await walk(
    tar(
      extended('L', Buffer.from(`${long}\0`)),
      extended('K', Buffer.from(`${long}t\0`)),
      raw({ type: '2', linkName: 'cut' }),
      extended('L', Buffer.from('from-gnu\0')),
      raw({ pax: [['path', 'from-pax']] }),
    ),
  )
  assert.is(one?.path, long)
  assert.is(one?.entry.linkPath.toString(), `${long}t`)
  assert.is(two?.path, 'from-pax')
})

test('an empty PAX value takes a global one back, and a global path is refused', async () => {
  const global = extended('g', Buffer.from('19 mtime=1234567890\n'.replace('19', '20')))
  const [one, two] = await walk(tar(global, raw({ name: 'a', mtime: 5 }), raw({ name: 'b', mtime: 5, pax: [['mtime', '7']] })))
  assert.is(one?.entry.mtime.sec, 1_234_567_890)
  assert.is(two?.entry.mtime.sec, 7)
  assert.is(await failure(tar(extended('g', Buffer.from('10 path=x\n')), raw({}))), 'layer_invalid')
  assert.is((await walk(tar(extended('g', Buffer.from('14 comment=ab\n')), raw({ name: 'a' })))).length, 1)
})

test('a directory before ustar is a file whose name ends with a slash', async () => {
  assert.is((await walk(tar({ name: 'd/', type: '\0' })))[0]?.type, 'directory')
})

test('only files have content, whatever size the header of another entry says', async () => {
  for (const type of ['1', '2', '3', '4', '5', '6']) {
    const sized = { name: 'x', type, size: 512, linkName: type < '3' ? 'a' : '' }
    const seen = await walk(tar(file('a', 'aa'), sized, file('b', 'bb')))
    assert.equal(
      seen.map(({ path, size, body }) => [path, size, body]),
      [
        ['a', 2, 'aa'],
        ['x', 0, ''],
        ['b', 2, 'bb'],
      ],
      type,
    )
  }
  assert.is((await walk(tar({ ...dir('d'), size: 1000 }), { fileBytes: 10 })).length, 1)
})

test('base-256 numbers are read, negative ones too', async () => {
  const [one] = await walk(tar({ patch: { 108: base256(3_000_000_000n, 8), 136: base256(-5n, 12) } }))
  assert.is(one?.entry.uid, 3_000_000_000)
  assert.is(one?.entry.mtime.sec, -5)
})

const sparseForms: readonly [string, RawEntry | Buffer][] = [
  [
    'the old GNU form',
    oldSparse(
      [
        [2, 3],
        [8, 2],
      ],
      12,
      'abcde',
    ),
  ],
  [
    'PAX 0.0',
    raw({
      name: 'x',
      data: 'abcde',
      pax: [
        ['GNU.sparse.size', '12'],
        ['GNU.sparse.numblocks', '2'],
        ['GNU.sparse.offset', '2'],
        ['GNU.sparse.numbytes', '3'],
        ['GNU.sparse.offset', '8'],
        ['GNU.sparse.numbytes', '2'],
      ],
    }),
  ],
  [
    'PAX 0.1',
    raw({
      name: 'x',
      data: 'abcde',
      pax: [
        ['GNU.sparse.size', '12'],
        ['GNU.sparse.map', '2,3,8,2'],
        ['GNU.sparse.name', 'sparse'],
      ],
    }),
  ],
  [
    'PAX 1.0',
    raw({
      name: 'x',
      data: Buffer.concat([pad(Buffer.from('2\n2\n3\n8\n2\n')), Buffer.from('abcde')]),
      pax: [
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 'sparse'],
        ['GNU.sparse.realsize', '12'],
      ],
    }),
  ],
]
for (const [what, entry] of sparseForms) {
  test(`L11: a sparse file in ${what} has its holes where they belong`, async () => {
    const [one, after] = await walk(tar(entry, file('after', 'z')))
    assert.is(one?.size, 12)
    assert.is(one?.body, '\0\0abc\0\0\0de\0\0')
    assert.is(after?.body, 'z')
  })
}

test('L11: an old sparse map goes on in blocks of its own', async () => {
  const more = Buffer.alloc(512)
  more.write(number12(10) + number12(1), 0, 'latin1')
  const head = header(
    oldSparse(
      [
        [0, 1],
        [2, 1],
        [4, 1],
        [6, 1],
      ],
      12,
      '',
      { size: 5, patch: { 482: '\x01' } },
    ),
  )
  const [one] = await walk(tar(head, more, pad(Buffer.from('abcde'))))
  assert.is(one?.body, 'a\0b\0c\0d\0\0\0e\0')
})

test('L10: zeroes after the end mark are nothing', async () => {
  assert.is((await walk(Buffer.concat([tar(file('a')), Buffer.alloc(9000)]))).length, 1)
})

test('L14: times before 1970 and in the year 30000 are read as they are', async () => {
  const [old, late] = await walk(tar(raw({ pax: [['mtime', '-86400']] }), raw({ pax: [['mtime', '884541600000.000000001']] })))
  assert.equal(old?.entry.mtime, { sec: -86_400, nsec: 0 })
  assert.equal(late?.entry.mtime, { sec: 884_541_600_000, nsec: 1 })
})

test('L13: entries are counted', async () => {
  assert.is(await failure(tar(file('a'), file('b'), file('c')), { entries: 2 }), 'limit_exceeded entries')
})

test('the bytes of the whole layer are counted', async () => {
  assert.is(await failure(tar(file('a', 'x'.repeat(5000)), file('b')), { layerBytes: 4000 }), 'limit_exceeded layerBytes')
  assert.is(await failure(Buffer.concat([tar(file('a')), Buffer.alloc(9000)]), { layerBytes: 4000 }), 'limit_exceeded layerBytes')
})

test('L13: memory stays flat over half a million entries', async () => {
  const block = raw(file('some/path/that/is/not/short/at/all'))
  function* many(): Generator<Buffer> {
    const chunk = Buffer.concat(Array.from({ length: 1000 }, () => block))
    for (let each = 0; each < 500; each += 1) yield chunk
    yield endMark
  }
  const before = process.memoryUsage().rss
  let count = 0
  for await (const _ of walkTar(many())) count += 1
  assert.is(count, 500_000)
  assert.ok(process.memoryUsage().rss - before < 100e6)
})

test('a reader that stops early closes its source', async () => {
  let closed = false
  async function* source(): AsyncGenerator<Buffer> {
    try {
      yield tar(file('a'), file('b'))
    } finally {
      closed = true
    }
  }
  for await (const _ of walkTar(source())) break
  assert.ok(closed)
})

test.run()
