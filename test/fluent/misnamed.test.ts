// An image whose layer is compressed, and whose manifest says that it is not: what is pushed of it is what it says.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { images, type LayerNotice, registry, store } from '../../lib/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { layoutFiles, makeImage, writeFiles } from '../images/maker.ts'
import { file, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

test('a compressed layer under the name of a plain one is not compressed twice on its way to a registry', async () => {
  using place = temporaryDirectory('misnamed')
  process.env.STRAKE_ROOT = join(place.path, 'store')
  const layer = tar(file('f', 'f'))
  const packed = gzipSync(layer)
  const layers = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(packed), size: packed.length }]
  const made = makeImage([layer], { gzip: true, tag: 'docker.io/library/odd:1', manifest: { layers } })
  const [odd] = await images.load(writeFiles(join(place.path, 'layout'), layoutFiles([made])))
  await using served = await registry({ port: 0, root: join(place.path, 'served') })
  const reference = `${served.host}/odd:1`
  await odd?.push(reference, { compression: 'none' })
  const notices: LayerNotice[] = []
  await images.remove('odd:1')
  await images.pull(reference, { onNotice: (notice) => notices.push(notice) })
  assert.match(notices.map(({ path, message }) => `${path} ${message}`).join('\n'), /^\/ the layer is compressed by gzip, other than/)
  await (await images.get(reference)).push(`${served.host}/odd:2`)
  const pulled = await images.pull(`${served.host}/odd:2`)
  const [only] = pulled.layers
  assert.is(only?.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip')
  const blob = readFileSync(join(place.path, 'store/content/blobs', String(only?.digest).replace(':', '/')))
  assert.ok(gunzipSync(blob).equals(layer))
  await store.remove()
})

test.run()
