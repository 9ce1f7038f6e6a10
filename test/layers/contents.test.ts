// A layer that is unpacked already is not believed of every blob whose image claims that it is that layer.
import { readdirSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import type { LayerSource, SnapshotOptions } from '../../lib/layers/index.ts'
import { type BlobFile, type Digest, digestOf } from '../../lib/store/index.ts'
import { suite } from '../support/uvu.ts'
import { file, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('contents')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

const plain = (name: string): Buffer => tar(file(name, name.repeat(1_000_000)))
const good = plain('good')
const evil = plain('evil')

async function layer(blob: Buffer, says: Buffer): Promise<LayerSource> {
  return { digest: (await shop.store.blobs.put(blob)).digest, diffId: digestOf(says) }
}

async function outcome(source: LayerSource, options: SnapshotOptions = {}): Promise<string> {
  return await shop.snapshots.ensure([source], shop.agent, options).then(
    () => 'there',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

function isNoted({ digest, diffId }: LayerSource): boolean {
  return readdirSync(shop.store.path('cache', 'contents')).includes(`${digest.slice(7)}-${diffId.slice(7)}`)
}

test('a blob that holds another layer than its image says is refused, whether that layer is unpacked or not', async () => {
  const claims = [await layer(gzipSync(evil), good), await layer(evil, good)]
  for (const each of claims) assert.is(await outcome(each), 'digest_mismatch')
  const honest = await layer(gzipSync(good), good)
  assert.is(await outcome(honest), 'there')
  for (const each of claims) assert.is(await outcome(each), 'digest_mismatch')
  for (const each of claims) assert.not(isNoted(each))
  assert.is(await outcome(await layer(Buffer.from('no tar'), good)), 'digest_mismatch')
  assert.is(await outcome(await layer(gzipSync(good).subarray(0, 1000), good)), 'layer_invalid')
  assert.is(await outcome(honest), 'there')
})

test('what was unpacked from a blob, or looked at once, is not read again; an uncompressed one never', async () => {
  const unpacked = await layer(gzipSync(plain('unpacked')), plain('unpacked'))
  assert.is(await outcome(unpacked), 'there')
  const other = await layer(gzipSync(plain('unpacked'), { level: 1 }), plain('unpacked'))
  assert.is.not(other.digest, unpacked.digest)
  assert.not(isNoted(other))
  assert.is(await outcome(other), 'there')
  assert.ok(isNoted(unpacked) && isNoted(other))
  const same = await layer(plain('unpacked'), plain('unpacked'))
  for (const each of [unpacked, other, same]) {
    writeFileSync(shop.store.blobs.path(each.digest), 'rotten')
    assert.is(await outcome(each), 'there')
  }
})

test('a blob that is on its way is looked at as it comes, and believed once it is whole', async () => {
  const says = plain('arriving')
  assert.is(await outcome(await layer(says, says)), 'there')
  const arrive = async (bytes: Buffer, announced: Digest): Promise<string> => {
    let give: (file: BlobFile) => void = () => {}
    const arriving = new Promise<BlobFile>((resolve) => {
      give = resolve
    })
    async function* slowly(): AsyncGenerator<Buffer> {
      for (const part of [bytes.subarray(0, 1000), bytes.subarray(1000)]) {
        yield part
        await delay(20)
      }
    }
    const put = shop.store.blobs.put(slowly(), { digest: announced }, { onFile: give }).then(
      () => 'whole',
      (error: { code: string }) => error.code,
    )
    return `${await outcome({ digest: announced, diffId: digestOf(says) }, { ready: () => arriving })}, ${await put}`
  }
  assert.is(await arrive(gzipSync(says), digestOf(gzipSync(says))), 'there, whole')
  assert.ok(isNoted({ digest: digestOf(gzipSync(says)), diffId: digestOf(says) }))
  assert.is(await arrive(gzipSync(plain('other')), digestOf(gzipSync(plain('other')))), 'digest_mismatch, whole')
  // The right content under the name of a blob that is another: nothing may be noted of that name.
  const lie = { digest: digestOf('another'), diffId: digestOf(says) }
  assert.is(await arrive(gzipSync(says), lie.digest), 'digest_mismatch, digest_mismatch')
  assert.not(isNoted(lie))
})

test('looking at a blob ends when it is aborted', async () => {
  const source = await layer(gzipSync(good, { level: 2 }), good)
  const never = {
    written: 1000,
    isWhole: false,
    open: async () => (await shop.store.blobs.file(source.digest)).open(),
    more: () => new Promise(() => {}),
  }
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 100)
  assert.is(await outcome(source, { ready: async () => never as BlobFile, signal: abort.signal }), 'aborted')
  assert.is(await outcome(source, { limits: { layerBytes: 1000 } }), 'limit_exceeded')
  assert.is(await outcome(source), 'there')
})

test.run()
