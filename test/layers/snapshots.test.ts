import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { type LayerSource, Snapshots } from '../../lib/layers/index.ts'
import { type Digest, Store } from '../../lib/store/index.ts'
import { suite } from '../support/uvu.ts'
import { dir, file, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('snapshots')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

async function source(bytes: Buffer): Promise<LayerSource> {
  const { digest } = await shop.store.blobs.put(bytes)
  return { digest, diffId: digest }
}

const temporaries = (): string[] => readdirSync(shop.store.path('snapshots')).filter((each) => each.startsWith('.tmp'))

test('layers are unpacked once, and shared by every image that begins with them', async () => {
  const [one, two, three] = [await source(tar(file('a'))), await source(tar(file('b'))), await source(tar(file('c')))]
  const log: [Digest, boolean][] = []
  const options = { onLayer: (chainId: Digest, unpacked: boolean) => log.push([chainId, unpacked]) }
  const chain = await shop.snapshots.ensure([one, two], shop.agent, options)
  const other = await shop.snapshots.ensure([one, three], shop.agent, options)
  assert.equal(log, [
    [chain[0], true],
    [chain[1], true],
    [chain[0], false],
    [other[1], true],
  ])
  assert.is(chain[0], one.diffId)
  assert.is.not(chain[1], two.diffId)
  for (const each of [...chain, ...other]) assert.ok(await shop.snapshots.has(each))
  assert.equal(temporaries(), [])
})

test('two that unpack the same layers at once do the work once, and both succeed', async () => {
  const layers = [await source(tar(file('same', 'x'.repeat(500_000)))), await source(tar(file('same2')))]
  let unpacked = 0
  const options = { onLayer: (_: Digest, isNew: boolean) => (unpacked += isNew ? 1 : 0) }
  const others = await Promise.all([1, 2, 3].map(async () => new Snapshots(await Store.open(shop.store.root))))
  const chains = await Promise.all(others.map((each) => each.ensure(layers, shop.agent, options as never)))
  assert.is(unpacked, 2)
  for (const chain of chains) assert.equal(chain, chains[0])
  assert.equal(temporaries(), [])
})

test('a layer whose blob is not there fails, and leaves nothing', async () => {
  const missing = { digest: `sha256:${'1'.repeat(64)}` as Digest, diffId: `sha256:${'1'.repeat(64)}` as Digest }
  const code = await shop.snapshots.ensure([missing], shop.agent).then(
    () => 'none',
    (error: { code: string }) => error.code,
  )
  assert.is(code, 'store_invalid')
  assert.equal(temporaries(), [])
})

test('unpacking ends when it is aborted, and leaves nothing', async () => {
  const layer = await source(tar(...Array.from({ length: 2000 }, (_, each) => file(`f${each}`, 'x'.repeat(1000)))))
  const abort = new AbortController()
  const running = shop.snapshots.ensure(
    [layer],
    async (path) => {
      const agent = await shop.agent(path)
      abort.abort()
      return agent
    },
    { signal: abort.signal },
  )
  const code = await running.then(
    () => 'none',
    (error: { code: string }) => error.code,
  )
  assert.is(code, 'aborted')
  assert.equal(temporaries(), [])
  assert.ok((await shop.snapshots.ensure([layer], shop.agent)).length === 1)
})

test('a finished directory becomes a snapshot; a second one of the same name stays where it is', async () => {
  const chainId = `sha256:${'2'.repeat(64)}` as Digest
  const [first, second] = [shop.store.temporary('containers'), shop.store.temporary('containers')]
  for (const each of [first, second]) {
    mkdirSync(`${each}/content`, { recursive: true })
  }
  assert.is(await shop.snapshots.adopt(chainId, first), true)
  assert.is(await shop.snapshots.adopt(chainId, second), false)
  assert.equal([existsSync(first), existsSync(second), await shop.snapshots.has(chainId)], [false, true, true])
})

test('what a killed process had half unpacked goes, files of other ids in closed directories too', async () => {
  const name = '.tmp.4194000-1-deadbeef-1-x'
  await using agent = await shop.agent('/store/snapshots')
  await agent.run([
    { op: 'mkdir', path: `/${name}`, mode: 0o755 },
    { op: 'mkdir', path: `/${name}/d`, mode: 0o700 },
    { op: 'write', path: `/${name}/d/f`, flags: 0o101, mode: 0o600, data: Buffer.from('x') },
    ...(shop.ownership
      ? ([
          { op: 'chown', path: `/${name}/d/f`, uid: 5, gid: 5 },
          { op: 'chown', path: `/${name}/d`, uid: 5, gid: 5 },
        ] as const)
      : []),
  ])
  await new Snapshots(shop.store).ensure([await source(tar(dir('after-a-kill')))], shop.agent)
  assert.equal(temporaries(), [])
})

test.run()
