import { existsSync, writeFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { type Descriptor, digestOf, Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

function descriptor(text: string): Descriptor {
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(text), size: text.length }
}

test('several names change at once, and those beside them stay', async () => {
  using directory = temporaryDirectory('edit')
  const { refs } = await Store.open(directory.path)
  await refs.set('one', descriptor('1'))
  await refs.set('two', descriptor('2'))
  await refs.edit((all) => [
    ...all.filter((ref) => ref.name !== 'one'),
    { name: 'three', descriptor: descriptor('1') },
    { name: undefined, descriptor: descriptor('4') },
  ])
  assert.equal(
    (await refs.list()).map((ref) => [ref.name, ref.descriptor.digest]),
    [
      ['two', digestOf('2')],
      ['three', digestOf('1')],
      [undefined, digestOf('4')],
    ],
  )
})

test('many who edit at once lose nothing', async () => {
  using directory = temporaryDirectory('edit')
  const stores = await Promise.all([1, 2].map(() => Store.open(directory.path)))
  const names = Array.from({ length: 16 }, (_, index) => `name${index}`)
  await Promise.all(names.map((name, index) => stores[index % 2]!.refs.edit((all) => [...all, { name, descriptor: descriptor(name) }])))
  assert.equal((await stores[0]!.refs.list()).map((ref) => ref.name).sort(), names.sort())
})

test('a file of tmp that is taken over is a blob, once, and gone from there', async () => {
  using directory = temporaryDirectory('edit')
  const store = await Store.open(directory.path)
  for (let at = 0; at < 2; at += 1) {
    const file = store.temporary()
    writeFileSync(file, 'content')
    await store.blobs.adopt(file, digestOf('content'))
    assert.not(existsSync(file))
    assert.is((await store.blobs.read(digestOf('content'))).toString(), 'content')
  }
})

test.run()
