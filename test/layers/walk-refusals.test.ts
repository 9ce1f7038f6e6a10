import * as assert from 'uvu/assert'
import { type LayerLimits, walkTar } from '../../lib/layers/index.ts'
import { test } from '../support/uvu.ts'
import { base256, extended, file, header, oldSparse, pad, raw, tar } from './tar-maker.ts'

async function failure(bytes: Uint8Array, limits: Partial<LayerLimits> = {}): Promise<string> {
  try {
    for await (const entry of walkTar([bytes], limits)) for await (const _ of entry.pieces());
    return 'none'
  } catch (error) {
    const { code, details } = error as { code?: string; details?: { limit?: string } }
    return [code, details?.limit].filter(Boolean).join(' ')
  }
}

const records = (data: string): Buffer => extended('x', Buffer.from(data, 'latin1'))
const huge = 2 ** 60
const refused: readonly [string, Uint8Array, string][] = [
  ['L09: a PAX header of 1 GB', tar(header({ type: 'x', size: 2 ** 30 })), 'limit_exceeded headerBytes'],
  [
    'L09: many PAX headers for one entry',
    tar(...Array.from({ length: 30 }, () => records(`${40_000 + 13} comment=${'x'.repeat(39_998)}\n`))),
    'limit_exceeded headerBytes',
  ],
  ['L09: a GNU long name of 1 GB', tar(header({ type: 'L', size: 2 ** 30 })), 'limit_exceeded headerBytes'],
  ['L09: a name of 100 kB', tar(raw({ pax: [['path', 'a/'.repeat(50_000)]] })), 'limit_exceeded pathBytes'],
  ['L09: a link target of 100 kB', tar(raw({ type: '2', pax: [['linkpath', 'a/'.repeat(50_000)]] })), 'limit_exceeded pathBytes'],
  ['L09: a NUL in a PAX name', tar(raw({ pax: [['path', 'a\0b']] })), 'layer_invalid'],
  ['L09: a name that is empty', tar(raw({ name: '' })), 'layer_invalid'],
  ['L09: a symlink to nothing', tar(raw({ type: '2' })), 'layer_invalid'],
  ['L09: a negative size', tar(header({ patch: { 124: base256(-512n, 12) } })), 'layer_invalid'],
  ['L09: a size beyond 2^53', tar(header({ patch: { 124: base256(1n << 80n, 12) } })), 'layer_invalid'],
  ['L09: a size beyond the limit', tar(header({ patch: { 124: base256(BigInt(2 ** 40), 12) } })), 'limit_exceeded fileBytes'],
  ['L09: a size that is no number', tar(header({ patch: { 124: '99999999999\0' } })), 'layer_invalid'],
  ['L09: a PAX size that is no number', tar(raw({ pax: [['size', '-1']] })), 'layer_invalid'],
  ['L09: a PAX size beyond 2^53', tar(raw({ pax: [['size', '99999999999999999999']] })), 'layer_invalid'],
  ['L09: a PAX record of a wrong length', tar(records('99 path=x\n'), raw({})), 'layer_invalid'],
  ['L09: a PAX record without a keyword', tar(records('6 =xy\n'), raw({})), 'layer_invalid'],
  ['L09: a PAX record without a newline', tar(records('9 path=xy'), raw({})), 'layer_invalid'],
  ['L09: a PAX time that is none', tar(raw({ pax: [['mtime', '1e9']] })), 'layer_invalid'],
  ['L10: a wrong checksum', tar(raw({ badChecksum: true })), 'layer_invalid'],
  ['L10: no tar at all', Buffer.alloc(2048, 0x41), 'layer_invalid'],
  ['L10: nothing', Buffer.alloc(0), 'layer_invalid'],
  ['L10: cut within a header', tar(file('a')).subarray(0, 300), 'layer_invalid'],
  ['L10: cut within the content', tar(file('a', 'x'.repeat(3000))).subarray(0, 2000), 'layer_invalid'],
  ['L10: cut before the end mark', tar(file('a', 'abc')).subarray(0, 1024), 'layer_invalid'],
  ['L10: 512 zero bytes once', tar(file('a', 'abc')).subarray(0, 1536), 'layer_invalid'],
  ['L10: a zero block, then an entry', Buffer.concat([Buffer.alloc(512), tar(file('a'))]), 'layer_invalid'],
  ['L10: trailing garbage', Buffer.concat([tar(file('a')), Buffer.from('garbage')]), 'layer_invalid'],
  ['L10: two archives joined', Buffer.concat([tar(file('a')), tar(file('b'))]), 'layer_invalid'],
  ['L10: an end after an extended header', tar(records('10 path=x\n')), 'layer_invalid'],
  ['an entry of an unknown type', tar(raw({ type: 'V' })), 'layer_invalid'],
  [
    'L11: regions that overlap',
    tar(
      oldSparse(
        [
          [0, 3],
          [2, 2],
        ],
        12,
        'abcde',
      ),
    ),
    'layer_invalid',
  ],
  [
    'L11: regions out of order',
    tar(
      oldSparse(
        [
          [8, 3],
          [2, 2],
        ],
        12,
        'abcde',
      ),
    ),
    'layer_invalid',
  ],
  ['L11: a region past the end', tar(oldSparse([[10, 5]], 12, 'abcde')), 'layer_invalid'],
  ['L11: a map that is not what is stored', tar(oldSparse([[0, 4]], 12, 'abcde')), 'layer_invalid'],
  [
    'L11: a file of 2^60 bytes',
    tar(
      raw({
        data: 'a',
        pax: [
          ['GNU.sparse.size', String(huge)],
          ['GNU.sparse.map', `${huge - 1},1`],
        ],
      }),
    ),
    'layer_invalid',
  ],
  [
    'L11: a file of 2^50 bytes',
    tar(
      raw({
        data: 'a',
        pax: [
          ['GNU.sparse.size', String(2 ** 50)],
          ['GNU.sparse.map', '0,1'],
        ],
      }),
    ),
    'limit_exceeded fileBytes',
  ],
  [
    'L11: a map of a million regions',
    tar(
      raw({
        data: pad(Buffer.from('1000000\n')),
        pax: [
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '1'],
        ],
      }),
    ),
    'limit_exceeded sparseRegions',
  ],
  [
    'L11: a map that does not end',
    tar(
      raw({
        data: Buffer.alloc(512, 0x31),
        pax: [
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '1'],
        ],
      }),
    ),
    'layer_invalid',
  ],
  ['L14: uid 4294967295', tar(raw({ pax: [['uid', '4294967295']] })), 'layer_invalid'],
  ['L14: a negative gid', tar(header({ patch: { 116: base256(-1n, 8) } })), 'layer_invalid'],
]
for (const [what, bytes, expected] of refused) {
  test(`${what} is refused`, async () => assert.is(await failure(bytes), expected))
}

test.run()
