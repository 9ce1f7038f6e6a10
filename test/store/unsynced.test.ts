import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Store, toDigest } from '../../lib/store/index.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const chain = (letter: string) => toDigest('sha256', letter.repeat(64))
const names = (store: Store): string[] => readdirSync(store.path('snapshots')).sort()

async function storeWith(place: TemporaryDirectory, ...letters: string[]): Promise<Store> {
  const store = await Store.open(join(place.path, 'store'))
  for (const letter of letters) {
    store.unsynced.add(chain(letter))
    mkdirSync(store.path('snapshots', letter.repeat(64)))
    writeFileSync(store.path('snapshots', letter.repeat(64), 'file'), letter)
  }
  return store
}

/** As if the machine had been started again since. */
function rebooted(store: Store, ...letters: string[]): void {
  store.unsynced.remove(store.unsynced.marks())
  for (const letter of letters) writeFileSync(store.path('locks', 'unsynced', `${letter.repeat(64)}.0badb007`), '')
}

test('a snapshot of this boot stays, synced or not', async () => {
  using place = temporaryDirectory('unsynced')
  const store = await storeWith(place, 'a', 'b')
  store.unsynced.remove(store.unsynced.marks().filter((name) => name.startsWith('a')))
  await Store.open(store.root)
  assert.equal(names(store), ['a'.repeat(64), 'b'.repeat(64)])
  assert.is(store.unsynced.marks().length, 1)
})

test('a snapshot that was not synced before the machine went down is not believed; one that was synced stays', async () => {
  using place = temporaryDirectory('unsynced')
  const store = await storeWith(place, 'a', 'b')
  rebooted(store, 'b')
  assert.ok(store.unsynced.hasOlder())
  await Store.open(store.root)
  assert.equal(
    names(store).filter((name) => !name.startsWith('.tmp')),
    ['a'.repeat(64)],
  )
  assert.not(store.unsynced.hasOlder())
})

test('what several openers find at once is taken away once, and a new snapshot of the same layer stays', async () => {
  using place = temporaryDirectory('unsynced')
  const store = await storeWith(place, 'b')
  rebooted(store, 'b', 'c')
  await Promise.all(Array.from({ length: 5 }, () => Store.open(store.root)))
  store.unsynced.add(chain('b'))
  mkdirSync(store.path('snapshots', 'b'.repeat(64)))
  await Store.open(store.root)
  assert.ok(names(store).includes('b'.repeat(64)))
  assert.equal(readdirSync(store.path('locks')).sort(), ['holds', 'doomed', 'unsynced', 'index', 'reserve'].sort())
})

test.run()
