import * as assert from 'uvu/assert'
import { hostLayer } from '../../../lib/build/host/layer.ts'
import { Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

test('the base of this machine is made once, and is the same in another store', async () => {
  using one = temporaryDirectory('store')
  using other = temporaryDirectory('store')
  const store = await Store.open(one.path)
  const first = await hostLayer(store)
  const before = performance.now()
  const second = await hostLayer(store)
  const spent = performance.now() - before
  assert.equal(second, first)
  assert.ok(spent < 100, `finding it again took ${spent.toFixed(1)} ms`)
  assert.equal(await hostLayer(await Store.open(other.path)), first)
})

test('a base whose blob is gone is made again', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  const { digest } = await hostLayer(store)
  await store.blobs.remove(digest)
  assert.equal((await hostLayer(store)).digest, digest)
  assert.ok(await store.blobs.has(digest))
})

test('with another SOURCE_DATE_EPOCH the base is another one, and the first when that is taken back', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  const plain = await hostLayer(store)
  const clamped = await hostLayer(store, 1_000_000_000)
  assert.is.not(clamped.digest, plain.digest)
  assert.equal(await hostLayer(store, 1_000_000_000), clamped)
  assert.equal(await hostLayer(store), plain)
})

test.run()
