import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseStep } from '../../lib/build/cache.ts'
import type { BuildEvent } from '../../lib/build/index.ts'
import { exportCache } from '../../lib/build/remote-cache.ts'
import { image } from '../../lib/fluent/image-builder.ts'
import { Images } from '../../lib/images/index.ts'
import { registry } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { failure } from './bench.ts'
import { withFakeBench } from './fake-bench.ts'
import type { FakeCommand } from './fake-runtime.ts'

const scratch = image('scratch')

test('a cache in a registry: another store carries nothing out, has the same image, and no name of the cache stays behind', async () => {
  using directory = temporaryDirectory('graph-registry')
  await using server = await registry({ port: 0, root: join(directory.path, 'registry') })
  const cacheTo = `${server.host}/caches/app:main`
  const append: FakeCommand = ({ argv }) => ({ exitCode: argv[0] === 'bad' ? 1 : 0 })
  const make = (last: string): typeof scratch => {
    const part = scratch.copy({ f: 'x'.repeat(10_000) }, '/d/').run(['part'])
    return scratch.copy({ g: 'own' }, '/').copy('/d', '/e/', { from: part }).run([last])
  }
  let digest = ''
  await withFakeBench(append, async ({ build, ran, store }) => {
    digest = (await build(make('last'), { cacheTo, parallel: 2 })).digest
    assert.equal(ran(), ['last', 'part'])
    assert.is((await new Images(store).list()).length, 1, 'the image alone')
  })
  await withFakeBench(append, async ({ build, ran, runtime, store }) => {
    // The fake runtime cannot unpack: all layers but those of the changed step are taken as they are.
    const built = await build(make('last'), { cacheFrom: [`${server.host}/caches/none:main`, cacheTo] })
    assert.is(built.digest, digest)
    assert.equal([ran(), runtime.opened], [[], 0])
    for (const layer of built.layers) assert.ok(await store.blobs.has(layer.digest))
    assert.is((await build(make('last'))).digest, digest, 'and knows it by itself from then on')
  })
  await withFakeBench(append, async ({ build, ran }) => {
    await build(make('last'), { cacheFrom: { reference: '127.0.0.1:1/nobody:there' } })
    assert.equal(ran(), ['last', 'part'])
  })
  await withFakeBench(append, async ({ build }) => {
    assert.is((await failure(build(make('last'), { cacheTo: '127.0.0.1:1/nobody:there' }))).code, 'registry_unavailable')
  })
})

/** The blobs of a registry's layers of some size: what is in them is changed, or they are gone. */
function damage(root: string, change: (bytes: Buffer) => Buffer | undefined): number {
  const blobs = join(root, 'content/blobs/sha256')
  let count = 0
  for (const name of readdirSync(blobs)) {
    const bytes = readFileSync(join(blobs, name))
    if (bytes.length < 20_000) continue
    const changed = change(bytes)
    rmSync(join(blobs, name))
    if (changed) writeFileSync(join(blobs, name), changed)
    count += 1
  }
  return count
}

for (const [what, change] of [
  ['gone', () => undefined],
  ['another', (bytes: Buffer) => Buffer.from(bytes).fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 1)],
  ['cut short', (bytes: Buffer) => bytes.subarray(0, 15_000)],
] as const) {
  test(`a cache in a registry of which a layer is ${what}: its step is carried out, and that is told`, async () => {
    using directory = temporaryDirectory('graph-damaged')
    const root = join(directory.path, 'registry')
    await using server = await registry({ port: 0, root })
    const cache = `${server.host}/app:cache`
    const app = scratch.copy({ f: randomBytes(30_000) }, '/').run(['last'])
    const own = () => ({})
    await withFakeBench(own, async ({ build }) => {
      await build(app, { cacheTo: cache })
    })
    assert.ok(damage(root, change) > 0)
    await withFakeBench(own, async ({ build, ran, store }) => {
      const events: BuildEvent[] = []
      const built = await build(app, { cacheFrom: cache, onProgress: (event) => events.push(event) })
      assert.equal(ran(), ['last'])
      const notices = events.flatMap((event) => (event.type === 'notice' ? [event.path] : []))
      assert.ok(notices.length > 0 && notices.every((path) => path === cache), JSON.stringify(notices))
      for (const layer of built.layers) assert.ok(await store.blobs.has(layer.digest))
      assert.is(built.layers.length, 2)
      await build(app, { cacheFrom: cache })
      assert.equal(ran(), ['last'], 'it is in the cache now')
    })
  })
}

test('a record of a cache in a registry that is not true of its layer is not taken', async () => {
  using directory = temporaryDirectory('graph-untrue')
  await using server = await registry({ port: 0, root: join(directory.path, 'registry') })
  const reference = `${server.host}/app:cache`
  const app = scratch.copy({ f: 'one' }, '/')
  const own = () => ({})
  await withFakeBench(own, async ({ build, store }) => {
    await build(app)
    const [name = ''] = readdirSync(store.path('cache', 'build'))
    const record = parseStep(JSON.parse(readFileSync(store.path('cache', 'build', name), 'utf8')))
    const other = (await build(scratch.copy({ f: 'other' }, '/'))).layers[0]
    assert.ok(record?.layer && other)
    const { layer } = record
    // The layer of another step, under this one's diffID.
    const untrue = new Map([[name, { ...record, layer: { ...layer, digest: other.digest, size: other.size } }]])
    using _ = store.hold()
    await exportCache(store, reference, untrue, undefined)
    await withFakeBench(own, async (fresh) => {
      const notices: BuildEvent[] = []
      const onProgress = (event: BuildEvent) => event.type === 'notice' && notices.push(event)
      const built = await fresh.build(app, { cacheFrom: reference, onProgress })
      assert.is(built.layers[0]?.diffId, layer.diffId)
      assert.is(notices.length, 1)
      assert.is(built.layers[0]?.digest, layer.digest)
    })
  })
})

test.run()
