import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { blobKey, type Digest, digestOf, type HoldKey, Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const key = (text: string): HoldKey => blobKey(digestOf(text))

/** A collector that takes `keys` for garbage; it removes nothing, and resolves to what it would have removed. */
async function collect(store: Store, keys: readonly HoldKey[], beforeRemoval: () => Promise<void> = async () => {}): Promise<HoldKey[]> {
  const removed: HoldKey[] = []
  await store.holds.remove(
    keys,
    async () => new Set(store.holds.held().keys()),
    async (each) => {
      await beforeRemoval()
      removed.push(...each)
    },
  )
  return removed
}

test('what is stored or looked for while a hold is open is held until it is released', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const other = await Store.open(directory.path)
  const hold = store.hold()
  const { digest } = await store.blobs.put(Buffer.from('a'))
  await store.blobs.has(digestOf('b'))
  await store.note('snapshot:00')
  const all: HoldKey[] = [key('a'), key('b'), key('c'), 'snapshot:00']
  assert.equal(await collect(other, all), [key('c')])
  assert.equal([...hold.made], [digest])
  hold.release()
  assert.equal(await collect(other, all), all)
  assert.equal(readdirSync(store.path('locks', 'holds')), [])
  assert.equal(readdirSync(store.path('locks', 'doomed')), [])
})

test('a blob that is stored outside of any hold is held for a while', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const { digest } = await store.blobs.put(Buffer.from('a'))
  assert.equal(await collect(await Store.open(directory.path), [blobKey(digest), key('b')]), [key('b')])
})

test('reading holds nothing', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const hold = store.hold()
  const { digest } = await store.blobs.put(Buffer.from('a'))
  hold.release()
  const later = await Store.open(directory.path)
  await later.blobs.read(digest)
  await (await later.blobs.stream(digest)).toArray()
  for await (const _ of later.blobs.list());
  assert.equal(readdirSync(store.path('locks', 'holds')), [])
})

test('who needs what is about to be removed waits, and then finds it gone', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const { digest } = await store.blobs.put(Buffer.from('a'))
  const other = await Store.open(directory.path)
  const log: string[] = []
  let asked: Promise<boolean> | undefined
  await store.holds.remove(
    [blobKey(digest)],
    async () => new Set(),
    async (keys) => {
      // Another comes now, too late to be seen by `confirm`.
      asked = other.blobs.has(digest).then((has) => {
        log.push('asked')
        return has
      })
      assert.is(await other.blobs.has(digestOf('unconcerned')), false)
      await sleep(30)
      assert.equal(keys, [blobKey(digest)])
      await store.blobs.remove(digest)
      log.push('removed')
    },
  )
  assert.is(await asked, false)
  assert.equal(log, ['removed', 'asked'])
})

test('whoever meets, a collector and a user: one of them sees the other', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const other = await Store.open(directory.path)
  let kept = 0
  for (let each = 0; each < 300; each += 1) {
    const text = `n${each}`
    const seed = store.hold()
    const { digest } = await store.blobs.put(Buffer.from(text))
    seed.release()
    const hold = other.hold()
    const collected = store.holds.remove(
      [blobKey(digest)],
      async () => {
        if (each % 3 === 0) await sleep(0)
        return new Set(store.holds.held().keys())
      },
      async (keys) => {
        if (each % 2 === 0) await sleep(0)
        if (keys.length > 0) await store.blobs.remove(digest)
      },
    )
    if (each % 5 > 0) await sleep(each % 5 > 2 ? 1 : 0)
    const has = await other.blobs.has(digest)
    await collected
    assert.is(
      await store.blobs.stream(digest).then(
        () => true,
        () => false,
      ),
      has,
      'what was found stays',
    )
    kept += has ? 1 : 0
    hold.release()
  }
  assert.ok(kept > 0 && kept < 300, `both outcomes came about: ${kept} of 300 kept`)
})

test('what the dead held is free, and their files go', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const { writeFileSync } = await import('node:fs')
  writeFileSync(store.path('locks', 'holds', '4194000-1-deadbeef-1-x'), `${key('a')}\n`)
  writeFileSync(store.path('locks', 'doomed', '4194000-1-deadbeef-2-x'), `${key('b')}\n`)
  assert.equal(await collect(store, [key('a')]), [key('a')])
  assert.is(await store.blobs.has(digestOf('b') as Digest), false)
  await Store.open(directory.path)
  assert.equal(readdirSync(store.path('locks', 'doomed')), [])
})

test('a hold lets go of what it is told to', async () => {
  using directory = temporaryDirectory('holds')
  const store = await Store.open(directory.path)
  const hold = store.holds.openFor()
  await hold.keep(key('a'), key('b'))
  hold.replace([key('b')])
  await hold.keep(key('c'))
  assert.equal([...store.holds.held().keys()].sort(), [key('b'), key('c')].sort())
  hold.replace([])
  assert.equal(store.holds.held().size, 0)
})

test.run()
