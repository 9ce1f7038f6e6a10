// A push holds all that it needs before it reads any of it; what has gone nevertheless has a code of its own.
import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { type ImageData, Images } from '../../../lib/images/index.ts'
import { pushImage } from '../../../lib/registry/index.ts'
import type { Digest } from '../../../lib/store/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { type Desk, desk, failure, type Pretender, pretend, refuse } from './pretender.ts'

const layers = [0, 1].map((each) => tar(file(`f${each}`, randomBytes(100_000).toString('latin1'))))
const quick = { retries: 1, timeouts: { connect: 2000, headers: 3000, idle: 3000 }, parallel: 1 }

async function stored({ store }: Desk, gzip: boolean): Promise<ImageData> {
  const made = makeImage(layers, { gzip })
  const { mediaType, digest, size } = made.descriptor
  {
    // With a hold that ends here, nothing is kept for a while only because it has just been stored.
    using _ = store.hold()
    for (const bytes of made.blobs.values()) await store.blobs.put(bytes)
    await store.refs.set('app:1', { mediaType, digest: digest as Digest, size })
  }
  return await new Images(store).get('app:1')
}

/** A registry that has nothing and takes anything; `onUpload` is called with each upload that begins. */
async function taker(onUpload: () => Promise<void>): Promise<Pretender> {
  return await pretend(
    {},
    {
      trick: async ({ method, path }, response) => {
        if (method === 'HEAD') refuse(response, 404, 'BLOB_UNKNOWN')
        else if (method === 'POST') {
          await onUpload()
          response.writeHead(202, { location: `${path}1` }).end()
        } else if (method === 'PUT') response.writeHead(201).end()
        else return undefined
        return true
      },
    },
  )
}

for (const gzip of [true, false]) {
  test(`manifest, config and layers are held before anything is read (${gzip ? 'compressed' : 'plain'})`, async () => {
    await using here = await desk()
    const { store } = here
    const image = await stored(here, gzip)
    const needed = [image.digest, image.id, ...image.layers.map(({ digest }) => digest)].map((digest) => `blob:${digest}` as const)
    let reads = 0
    const { read } = store.blobs
    for (const key of needed) assert.not.ok(store.holds.held().has(key), key)
    store.blobs.read = async (...args) => {
      reads += 1
      const held = store.holds.held()
      for (const key of needed) assert.ok((held.get(key)?.size ?? 0) > 0, key)
      return await read.apply(store.blobs, args)
    }
    await using registry = await taker(async () => {})
    assert.is((await pushImage(store, image, `${registry.host}/app:1`, quick)).uploaded, 3)
    assert.ok(reads > 0)
  })

  test(`a blob that goes while a push is under way is store_invalid, and is not tried again (${gzip ? 'compressed' : 'plain'})`, async () => {
    await using here = await desk()
    const { store } = here
    const image = await stored(here, gzip)
    let uploads = 0
    await using registry = await taker(async () => {
      uploads += 1
      for (const { digest } of image.layers) await store.blobs.remove(digest)
    })
    const error = await failure(pushImage(store, image, `${registry.host}/app:1`, quick))
    assert.is(error.code, 'store_invalid', error.message)
    assert.match(error.message, /sha256:/)
    assert.ok(uploads <= 2, 'what is not there is not asked for again')
  })
}

test('an image whose manifest has gone is store_invalid', async () => {
  await using here = await desk()
  const image = await stored(here, true)
  await here.store.blobs.remove(image.digest)
  await using registry = await taker(async () => {})
  assert.is((await failure(pushImage(here.store, image, `${registry.host}/app:1`, quick))).code, 'store_invalid')
})

test.run()
