import zlib, { gunzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { checkCompression, compress, type LayerCompression } from '../../lib/layers/index.ts'
import { suite } from '../support/uvu.ts'
import { sliced } from './tar-maker.ts'

const test = suite('compress')
type Unpack = (bytes: Uint8Array) => Buffer
const unzstd = Reflect.get(zlib, 'zstdDecompressSync') as Unpack | undefined

const sample = Buffer.alloc(5_000_003)
for (let at = 0; at + 4 <= sample.length; at += 4) sample.writeUInt32LE(Math.imul(at >> 5, 2654435761) >>> 0, at)

async function packed(pieces: Iterable<Uint8Array>, compression: LayerCompression): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of compress(pieces, compression)) parts.push(part)
  return Buffer.concat(parts)
}

const unpacks: Readonly<Record<LayerCompression, Unpack | undefined>> = { gzip: gunzipSync, zstd: unzstd }

for (const compression of ['gzip', 'zstd'] as const) {
  test(`${compression}: what went in comes out, and the same bytes come of it however it arrives; a Node that has it not says so`, async () => {
    const unpack = unpacks[compression]
    if (unpack === undefined) {
      assert.throws(() => checkCompression(compression), /needs Node 22.15/)
      return
    }
    const whole = await packed([sample], compression)
    assert.ok(whole.length < sample.length)
    assert.equal(unpack(whole), sample)
    assert.equal(await packed(sliced(sample, 70_001), compression), whole)
    assert.equal(unpack(await packed([], compression)), Buffer.alloc(0))
  })
}

test.run()
