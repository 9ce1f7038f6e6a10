import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { hostPlatform, Images, loadImages, type NewImage, namesFrom } from '../../lib/images/index.ts'
import { storeLayer } from '../../lib/layers/index.ts'
import { Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { layers, layoutFiles, makeImage, writeFiles } from './maker.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

async function newImage(store: Store, content: string, created?: string): Promise<NewImage> {
  const layer = await storeLayer(store, [{ path: 'f', type: 'file', content }])
  return {
    config: {
      platform: hostPlatform,
      config: { Cmd: ['/f'] },
      diffIds: [layer.diffId],
      history: [{ created_by: 'test' }],
      ...(created ? { created } : {}),
    },
    layers: [layer.descriptor],
  }
}

test('an image comes back by its names, its digest, its id and the first digits of them', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const images = new Images(store)
  const put = await images.put(await newImage(store, 'one'), { tags: ['app', 'docker.io/library/app:2'] })
  assert.equal(put.tags, ['app:2', 'app:latest'])
  assert.equal(put.config, { Cmd: ['/f'] })
  assert.is(put.layers.length, 1)
  assert.is(put.layers[0]?.chainId, put.layers[0]?.diffId)
  assert.ok(put.size > (put.layers[0]?.size ?? 0))
  for (const name of [
    'app',
    'app:2',
    'library/app:latest',
    put.digest,
    put.id,
    put.digest.slice(7),
    put.id.slice(7, 19),
    `app@${put.digest}`,
  ]) {
    assert.equal(await images.get(name), put, name)
  }
  for (const name of ['nope', 'app:3', `other@${put.digest}`, `sha256:${'0'.repeat(64)}`])
    assert.is(await codeOf(images.get(name)), 'image_not_found', name)
  assert.is(await codeOf(images.get('No Name')), 'invalid_reference')
})

test("the layers of an image in Docker's format have OCI's names in the manifest that is written over them", async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const { config, layers } = await newImage(store, 'one')
  const [layer] = layers
  const docker = 'application/vnd.docker.image.rootfs'
  const oci = 'application/vnd.oci.image.layer'
  for (const [given, written] of [
    [`${docker}.diff.tar`, `${oci}.v1.tar`],
    [`${docker}.diff.tar.gzip`, `${oci}.v1.tar+gzip`],
    [`${docker}.diff.tar.zstd`, `${oci}.v1.tar+zstd`],
    [`${docker}.foreign.diff.tar`, `${oci}.nondistributable.v1.tar`],
    [`${docker}.foreign.diff.tar.gzip`, `${oci}.nondistributable.v1.tar+gzip`],
    [`${oci}.v1.tar+zstd`, `${oci}.v1.tar+zstd`],
  ] as const) {
    const put = await new Images(store).put({ config, layers: [{ ...layer, mediaType: given } as never] })
    assert.equal(
      put.layers.map(({ mediaType }) => mediaType),
      [written],
    )
  }
})

test('the same image put twice is one image; one without a name is kept', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const images = new Images(store)
  const first = await images.put(await newImage(store, 'one', '2024-01-01T00:00:00Z'))
  await images.put(await newImage(store, 'one', '2024-01-01T00:00:00Z'), { tags: ['a:1'] })
  const other = await images.put(await newImage(store, 'two', '2025-01-01T00:00:00Z'))
  assert.equal(
    (await images.list()).map(({ digest, tags }) => [digest, tags]),
    [
      [other.digest, []],
      [first.digest, ['a:1']],
    ],
  )
})

test('a tag moves to the image it is given to, and goes when it is taken away', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const images = new Images(store)
  const one = await images.put(await newImage(store, 'one'), { tags: ['a:1', 'b:1'] })
  const two = await images.put(await newImage(store, 'two'))
  await images.tag(two, 'a:1')
  assert.is((await images.get('a:1')).digest, two.digest)
  assert.equal((await images.get(one.digest)).tags, ['b:1'])
  await images.untag('a:1')
  assert.is(await codeOf(images.get('a:1')), 'image_not_found')
  assert.is(await codeOf(images.untag('a:1')), 'image_not_found')
  assert.is((await images.get(two.digest)).digest, two.digest, 'the image is there still')
  assert.is(await codeOf(images.tag(one, `a@${one.digest}`)), 'invalid_reference')
  await images.remove('b:1')
  assert.is(await codeOf(images.get(one.digest)), 'image_not_found')
  assert.is((await images.list()).length, 1)
})

test('a name that reads as a digest is given to no image; one that has it already is found by it, and loses it', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(join(directory.path, 'store'))
  const images = new Images(store)
  const one = await images.put(await newImage(store, 'one'), { tags: ['a:1'] })
  const absent = `sha256:${'1'.repeat(64)}`
  for (const name of [one.digest, absent, 'sha256:abcdef12', `docker.io/library/${absent}`, `sha512:${'2'.repeat(128)}`]) {
    assert.is(await codeOf(images.tag(one, name)), 'invalid_reference', name)
    assert.is(await codeOf(images.keep(one.descriptor, [name])), 'invalid_reference', name)
    assert.throws(() => namesFrom(['b:1', name]), /reads as a digest/)
  }
  assert.is(await codeOf(newImage(store, 'two').then((each) => images.put(each, { tags: [one.digest] }))), 'invalid_reference')
  const layout = writeFiles(join(directory.path, 'layout'), layoutFiles([makeImage(layers, { tag: `docker.io/library/${absent}` })]))
  assert.is(await codeOf(loadImages(store, layout)), 'invalid_reference')
  assert.equal(
    (await images.list()).map(({ tags }) => tags),
    [['a:1']],
  )
  for (const name of ['sha256', 'sha256:latest', `host:5000/${absent}`]) await images.tag(one, name)

  // As versions before this one gave them.
  await store.refs.set(absent, one.descriptor)
  await store.refs.set(one.digest, one.descriptor)
  await images.untag(absent)
  await images.untag(one.digest)
  assert.equal((await images.list())[0]?.tags, ['a:1', `host:5000/${absent}`, 'sha256:latest'])
  await store.refs.set(absent, one.descriptor)
  await images.remove(absent)
  assert.equal(await images.list(), [])
})

test('an image without a diffID for each layer is refused', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const image = await newImage(store, 'one')
  assert.is(await codeOf(new Images(store).put({ ...image, layers: [] })), 'image_invalid')
})

test('an image that has rotted is told of when asked for, and does not spoil the list', async () => {
  using directory = temporaryDirectory('images')
  const store = await Store.open(directory.path)
  const images = new Images(store)
  await images.put(await newImage(store, 'one'), { tags: ['good'] })
  const { id } = await images.put(await newImage(store, 'two'), { tags: ['bad'] })
  writeFileSync(store.blobs.path(id), '{}')
  assert.is(await codeOf(images.get('bad')), 'store_invalid')
  assert.equal(
    (await images.list()).map(({ tags }) => tags),
    [['good:latest']],
  )
})

test.run()
