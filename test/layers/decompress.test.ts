import { execFileSync } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { compressionOf, decompress, type LayerLimits } from '../../lib/layers/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { sliced } from './tar-maker.ts'

async function all(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, limits?: Partial<LayerLimits>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of decompress(stream, limits)) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function failure(bytes: Uint8Array, limits?: Partial<LayerLimits>): Promise<string> {
  return await all(sliced(bytes, 1000), limits).then(
    () => 'none',
    (error: { code?: string; details?: { limit?: string } }) => [error.code, error.details?.limit].filter(Boolean).join(' '),
  )
}

/** Text that compresses, and does not repeat. */
const sample = Buffer.from(Array.from({ length: 60_000 }, (_, each) => `${each} ${(each * 2_654_435_761) % 1_000_003}\n`).join(''))
const part = sample.subarray(0, 5000)

function zstd(input: Buffer, ...options: string[]): Buffer {
  return execFileSync('zstd', ['-q', '-c', ...options], { input, maxBuffer: 1 << 28 })
}

/** A frame as the format has it (RFC 8878): header by hand, one raw block. */
function frame(header: readonly number[], block: Buffer): Buffer {
  const word = Buffer.alloc(3)
  word.writeUIntLE(1 | (block.length << 3), 0, 3)
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...header]), word, block])
}

test('the compression is told by the first bytes', () => {
  assert.is(compressionOf(gzipSync('x')), 'gzip')
  assert.is(compressionOf(frame([0, 0x58], Buffer.from('x'))), 'zstd')
  assert.is(compressionOf(Buffer.from('ustar')), 'none')
  assert.is(compressionOf(Buffer.alloc(0)), 'none')
})

test('what is not compressed goes through, down to nothing', async () => {
  assert.ok((await all(sliced(sample, 3))).equals(sample))
  assert.is((await all([])).length, 0)
  assert.is((await all([Buffer.from('a')])).toString(), 'a')
})

test('L12: gzip of one member and of many gives its content, however it arrives', async () => {
  for (const slice of [1, 100, 1 << 20]) {
    assert.ok((await all(sliced(gzipSync(part), slice))).equals(part))
    assert.ok((await all(sliced(Buffer.concat([gzipSync(part), gzipSync(''), gzipSync(part)]), slice))).equals(Buffer.concat([part, part])))
  }
})

test('L12: bytes after the last gzip member are refused, zeroes before them or not', async () => {
  assert.is(await failure(Buffer.concat([gzipSync(part), Buffer.from('more')])), 'layer_invalid')
  assert.is(await failure(Buffer.concat([gzipSync(part), Buffer.alloc(5000), Buffer.from('more')])), 'layer_invalid')
})

test('L12: gzip that is damaged or cut short is refused', async () => {
  const bytes = gzipSync(sample)
  assert.is(await failure(bytes.subarray(0, bytes.length - 9)), 'layer_invalid')
  const damaged = Buffer.from(bytes)
  damaged[5000] = (damaged[5000] ?? 0) ^ 0xff
  assert.is(await failure(damaged), 'layer_invalid')
})

test('L12: a bomb is stopped by the bytes it makes, and by their ratio', async () => {
  const bomb = gzipSync(Buffer.alloc(20_000_000))
  assert.is(await failure(bomb, { layerBytes: 1_000_000 }), 'limit_exceeded layerBytes')
  const large = gzipSync(Buffer.alloc(257 * 1024 * 1024), { level: 1 })
  assert.is(await failure(large, { compressionRatio: 100 }), 'limit_exceeded compressionRatio')
  assert.is(await failure(large), 'none', 'zeroes at this level are no bomb')
})

for (const options of [['-1'], ['-3'], ['-19'], ['--no-check'], ['--long=27'], ['-3', '--no-content-size']]) {
  test(`zstd ${options.join(' ')} gives its content, however it arrives`, async () => {
    if (!has('zstd')) return skip('zstd is not installed')
    const bytes = zstd(sample, ...options)
    for (const slice of [999, 1 << 20]) assert.ok((await all(sliced(bytes, slice))).equals(sample))
  })
}

test('L12: zstd of several frames, skippable ones among them, gives its content', async () => {
  if (!has('zstd')) return skip('zstd is not installed')
  const skippable = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]), Buffer.from('abc')])
  const bytes = Buffer.concat([skippable, zstd(part), skippable, zstd(Buffer.alloc(0)), zstd(sample), skippable])
  for (const slice of [1, 1 << 20]) assert.is(digestOf(await all(sliced(bytes, slice))), digestOf(Buffer.concat([part, sample])))
})

test('zstd of matches farther apart than 64 MB gives its content', async () => {
  if (!has('zstd')) return skip('zstd is not installed')
  using directory = temporaryDirectory('zstd')
  const path = join(directory.path, 'long')
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(70_000_000))
  writeFileSync(path, Buffer.concat([noise, noise.subarray(0, 1_000_000)]))
  execFileSync('zstd', ['-q', '-1', '--long=27', path])
  assert.ok(readFileSync(`${path}.zst`).length < 70_900_000, 'the match was found')
  assert.is(digestOf(await all(createReadStream(`${path}.zst`))), digestOf(readFileSync(path)))
})

const bad: readonly [string, Buffer, string][] = [
  ['L12: a window of 2 GB', frame([0, 0xa8], Buffer.from('x')), 'limit_exceeded windowBytes'],
  [
    'L12: a window of 2 GB in the second frame',
    Buffer.concat([frame([0, 0x58], Buffer.from('x')), frame([0, 0xa8], Buffer.from('x'))]),
    'limit_exceeded windowBytes',
  ],
  ['L12: a single segment of 1 GB', frame([0xa0, 0, 0, 0, 0x40], Buffer.from('x')), 'limit_exceeded windowBytes'],
  ['a dictionary', frame([1, 0x58, 7], Buffer.from('x')), 'layer_invalid'],
  ['a block of the reserved kind', Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 7, 0, 0])]), 'layer_invalid'],
  ['a frame cut short', frame([0, 0x58], Buffer.from('abcdef')).subarray(0, 12), 'layer_invalid'],
  [
    'a compressed block that is none',
    (() => {
      const bytes = frame([0, 0x58], Buffer.from('garbage garbage'))
      bytes[6] = (bytes[6] ?? 0) | 4
      return bytes
    })(),
    'layer_invalid',
  ],
  ['bytes after the last frame', Buffer.concat([frame([0, 0x58], Buffer.from('x')), Buffer.from('more')]), 'layer_invalid'],
]
for (const [what, bytes, expected] of bad) {
  test(`zstd with ${what} is refused`, async () => assert.is(await failure(bytes), expected))
}

test('zstd whose checksum is wrong is refused', async () => {
  if (!has('zstd')) return skip('zstd is not installed')
  const bytes = zstd(part, '--check')
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
  assert.is(await failure(bytes), 'layer_invalid')
})

test('a failing source fails as it did, compressed or not', async () => {
  for (const bytes of [gzipSync(sample), sample, frame([0, 0x58], part)]) {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 200)
      throw new Error('the network is gone')
    }
    assert.is(
      await all(source()).then(
        () => '',
        (error: Error) => error.message,
      ),
      'the network is gone',
    )
  }
})

test.run()
