// What a push has begun to send stays until it is done, whatever is removed and collected meanwhile (docs/decisions/0008).
import * as assert from 'uvu/assert'
import { collectGarbage, Images } from '../../../lib/images/index.ts'
import { pushImage } from '../../../lib/registry/index.ts'
import type { Digest } from '../../../lib/store/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, pretend, refuse } from './pretender.ts'

const layers = [0, 1, 2, 3].map((each) => tar(file(`f${each}`, `content ${each}`.repeat(1000))))

for (const [how, gzip] of [
  ['as they are', true],
  ['compressed on their way', false],
] as const) {
  test(`an image that is removed while it is pushed, its layers ${how}, arrives whole; then it is garbage`, async () => {
    await using here = await desk()
    const { store } = here
    const made = makeImage(layers, { gzip })
    const { mediaType, digest, size } = made.descriptor
    {
      using _ = store.hold()
      for (const bytes of made.blobs.values()) await store.blobs.put(bytes)
      await store.refs.set('app:1', { mediaType, digest: digest as Digest, size })
    }
    const image = await new Images(store).get('app:1')
    let collected: Promise<unknown> | undefined
    const received = new Set<string>()
    await using registry = await pretend(
      {},
      {
        trick: async (request, response) => {
          const { method, path, query } = request
          if (method === 'HEAD') refuse(response, 404, 'BLOB_UNKNOWN')
          else if (method === 'POST') response.writeHead(202, { location: `${path}1` }).end()
          else if (method === 'PUT') {
            // The first layer is on its way: its image goes, and all that nothing needs.
            collected ??= new Images(store).remove('app:1').then(() => collectGarbage(store))
            await collected
            received.add(query.get('digest') ?? path)
            response.writeHead(201).end()
          } else return undefined
          return true
        },
      },
    )
    const pushed = await pushImage(store, image, `${registry.host}/app:1`, { parallel: 1, retries: 0 })
    assert.is(pushed.uploaded, layers.length + 1)
    assert.is(received.size, layers.length + 2, 'blobs and the manifest')
    const { blobs } = await collectGarbage(store)
    for (const layer of image.layers) assert.ok(blobs.includes(layer.digest), 'it was held for the push alone')
  })
}

test.run()
