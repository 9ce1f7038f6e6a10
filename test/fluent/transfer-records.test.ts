// What pushes and pulls have learnt takes room in the store's cache, too.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, images, registry, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

function recordsIn(root: string): string[] {
  return ['seen', 'compressed'].flatMap((kind) => {
    const path = join(root, 'cache', kind)
    return existsSync(path)
      ? readdirSync(path, { recursive: true })
          .filter((name) => String(name).endsWith('.json'))
          .map(String)
      : []
  })
}

test('the records of pushes and pulls are counted, go with the layers that they are about, and when the cache is pruned', async () => {
  using place = temporaryDirectory('records')
  process.env.STRAKE_ROOT = join(place.path, 'own')
  try {
    await using served = await registry({ root: join(place.path, 'served') })
    const small = (name: string) =>
      image('scratch')
        .copy({ [name]: name }, '/')
        .build({ tag: `${name}:1` })
    const before = (await store.usage()).cache
    const one = await small('one')
    const other = await small('other')
    const built = (await store.usage()).cache
    await one.push(`${served.host}/one:1`)
    await other.push(`${served.host}/other:1`)
    assert.is(recordsIn(store.root).length, 4, 'of each layer what it became, and where that was seen')
    const pushed = (await store.usage()).cache
    assert.is(pushed.count - built.count, 4)
    assert.ok(pushed.bytes > built.bytes && pushed.reclaimable > built.reclaimable && built.count > before.count)

    await store.prune()
    assert.is(recordsIn(store.root).length, 4)
    assert.is((await one.push(`${served.host}/one:1`)).uploaded, 0)

    await images.remove('one:1')
    await store.prune({ cache: true, olderThan: 3600_000 })
    assert.is(recordsIn(store.root).length, 4, 'the build cache keeps the layer')
    const { records } = await store.prune({ cache: true })
    assert.ok(records >= 4)
    assert.equal(recordsIn(store.root), [])
    assert.is((await other.push(`${served.host}/other:1`)).uploaded, 0)
    assert.is(recordsIn(store.root).length, 2)
    await images.remove('other:1')
    await store.prune()
    assert.equal(recordsIn(store.root), [])
    assert.equal((await store.usage()).cache.count, 0)
    await store.remove()
  } finally {
    delete process.env.STRAKE_ROOT
  }
})

test.run()
