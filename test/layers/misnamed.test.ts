// Layers that are compressed in another way than their media type says: told, and read as what they are. What is no layer is refused.
import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import type { LayerNotice } from '../../lib/layers/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { has } from '../support/machine.ts'
import { suite } from '../support/uvu.ts'
import { file, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('misnamed layers')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

const oci = 'application/vnd.oci.image.layer.v1.tar'
const docker = 'application/vnd.docker.image.rootfs.diff.tar'
const types = { none: [oci, docker], gzip: [`${oci}+gzip`, `${docker}.gzip`], zstd: [`${oci}+zstd`, `${docker}.zstd`] } as const
const packers: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  ...(has('zstd') ? { zstd: (bytes: Buffer) => execFileSync('zstd', ['-q', '-c'], { input: bytes }) } : {}),
}

async function unpack(blob: Buffer, diffId: string, mediaType: string): Promise<LayerNotice[]> {
  const { digest } = await shop.store.blobs.put(blob)
  const notices: LayerNotice[] = []
  const layer = { digest, diffId: diffId as typeof digest, mediaType }
  await shop.snapshots.ensure([layer], shop.agent, { ownership: shop.ownership, onNotice: (notice) => notices.push(notice) })
  return notices
}

test('a layer is read as what it is, and told where its media type says something else', async () => {
  let count = 0
  for (const [packed, pack] of Object.entries(packers))
    for (const [named, mediaTypes] of Object.entries(types))
      for (const mediaType of mediaTypes) {
        count += 1
        const plain = tar(file('f', String(count)))
        const notices = await unpack(pack(plain), digestOf(plain), mediaType)
        assert.is(notices.length, packed === named ? 0 : 1, `${packed} as ${mediaType}`)
        if (notices[0])
          assert.match(notices[0].message, packed === 'none' ? 'is not compressed, other than' : `is compressed by ${packed}, other than`)
      }
})

test('what is neither a tar nor one that is compressed by gzip or zstd is refused, whatever it is called', async () => {
  const xz = Buffer.concat([Buffer.from('\xfd7zXZ\0', 'latin1'), Buffer.alloc(2000, 7)])
  for (const bytes of [Buffer.from('not a tar'.repeat(200)), xz, Buffer.from(`BZh9${'x'.repeat(2000)}`), Buffer.from('x'), Buffer.alloc(0)])
    for (const mediaType of [...types.none, ...types.gzip, ...types.zstd]) {
      const code = await unpack(bytes, digestOf(bytes), mediaType).then(
        () => 'none',
        (error: { code?: string }) => error.code,
      )
      assert.is(code, 'layer_invalid', `${bytes.subarray(0, 5)} as ${mediaType}`)
    }
})

test.run()
