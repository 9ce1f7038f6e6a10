// test: timeout 300
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { cache } from '../../../lib/build/index.ts'
import { image } from '../../../lib/fluent/index.ts'
import { pruneStore, storeUsage } from '../../../lib/images/index.ts'
import { test } from '../../support/uvu.ts'
import { type Bench, failure, withBench } from '../bench.ts'

const host = image('host')
/** Says in a file of the cache that it is in, and sees for a while whether another is, too. */
const meet =
  'touch /c/in.$ME; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; ls /c | grep -c "^in" >> /n; done; rm /c/in.$ME; sort -n /n | tail -1 > /most'

function meeting(me: string, sharing: 'shared' | 'private' | 'locked') {
  return host.run(meet, { env: { ME: me }, mounts: [cache('/c', { id: sharing, sharing })] })
}

/** The same build in another process: how many it saw in its cache at most. */
async function elsewhere({ directory }: Bench, me: string, sharing: string): Promise<string> {
  const worker = spawn(process.execPath, ['--import', 'tsx', 'test/build/mounts/meeting.ts', me, sharing, meet], {
    env: { ...process.env, STRAKE_ROOT: join(directory, 'store') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  worker.stdout.on('data', (data) => (text += data))
  await once(worker, 'close')
  return text.trim()
}

for (const [sharing, promise, most] of [
  ['locked', 'of two builds at once one waits for the other', ['1', '1', '1']],
  ['private', 'each of several builds at once has one of its own', ['1', '1', '1']],
] as const) {
  test(`a ${sharing} cache: ${promise}, across processes, too`, () =>
    withBench(async (bench) => {
      await bench.build(host)
      const [one, two, other] = await Promise.all([
        bench.build(meeting('a', sharing)).then((built) => bench.read(built, 'most')),
        bench.build(meeting('b', sharing)).then((built) => bench.read(built, 'most')),
        elsewhere(bench, 'c', sharing),
      ])
      assert.equal([one?.trim(), two?.trim(), other], most)
    }))
}

test('a shared cache: builds at once use it together', () =>
  withBench(async (bench) => {
    await bench.build(host)
    const built = await Promise.all(['a', 'b'].map((me) => bench.build(meeting(me, 'shared'))))
    const seen = await Promise.all(built.map((each) => bench.read(each, 'most')))
    assert.ok(
      seen.some((most) => most?.trim() === '2'),
      String(seen),
    )
  }))

test('a step that mounts a cache in several places has one directory there, and does not wait for itself', () =>
  withBench(async ({ build, read }) => {
    await build(host)
    const both = 'echo x > /a/f; cat /b/f > /seen'
    for (const [one, other] of [
      ['locked', 'locked'],
      ['private', 'private'],
      ['shared', 'locked'],
      ['private', 'shared'],
    ] as const) {
      const mounts = [cache('/a', { id: `${one} ${other}`, sharing: one }), cache('/b', { id: `${one} ${other}`, sharing: other })]
      assert.is(await read(await build(host.run(both, { mounts, timeout: '1m' })), 'seen'), 'x\n', `${one}, ${other}`)
    }
  }))

test('who waits for a locked cache can be aborted', () =>
  withBench(async ({ build }) => {
    await build(host)
    const control = new AbortController()
    const holder = build(host.run('sleep 2', { mounts: [cache('/c', { sharing: 'locked' })] }))
    await new Promise((done) => setTimeout(done, 600))
    const waiting = failure(build(host.run('sleep 3', { mounts: [cache('/c', { sharing: 'locked' })] }), { signal: control.signal }))
    setTimeout(() => control.abort(), 200)
    assert.is((await waiting).code, 'aborted')
    await holder
  }))

test('caches are counted as the build cache, and pruned with it; one that a build is at stays', () =>
  withBench(async ({ build, read, shared }) => {
    const { store } = shared
    const agentFor = (path: string) => shared.agentFor(path)
    using hold = store.hold()
    const fill = host.run('head -c 1000000 /dev/zero > /c/f; chmod 000 /c/f; mkdir -m 500 /c/d', { mounts: [cache('/c')] })
    await build(fill)
    const { cache: before } = await storeUsage(store, agentFor)
    assert.ok(before.bytes >= 1_000_000)
    const later = build(host.run('sleep 1; ls /c > /seen', { mounts: [cache('/c')] }))
    await new Promise((done) => setTimeout(done, 500))
    assert.is((await pruneStore(store, agentFor, { cache: true })).mounts, 0)
    assert.is(await read(await later, 'seen'), 'd\nf\n')
    hold.release()
    assert.is((await pruneStore(store, agentFor, { cache: true, olderThan: 3_600_000 })).mounts, 0)
    const pruned = await pruneStore(store, agentFor, { cache: true })
    assert.is(pruned.mounts, 1)
    assert.ok(pruned.bytes >= 1_000_000)
    assert.ok((await storeUsage(store, agentFor)).cache.bytes < 1_000_000)
    const again = await build(host.run('ls /c | wc -l > /seen', { mounts: [cache('/c')] }))
    assert.is((await read(again, 'seen'))?.trim(), '0')
  }))

test.run()
