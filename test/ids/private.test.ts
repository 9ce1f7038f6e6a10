import assert from 'node:assert/strict'
import { type IdMap, ownerOf, sameIds } from '../../lib/ids/index.ts'
import { test } from '../support/uvu.ts'

const map = (...counts: number[]): { uidMap: IdMap; gidMap: IdMap } => {
  let inside = 0
  const uidMap = counts.map((count, index) => {
    inside += count
    return { inside: inside - count, outside: 100_000 * (index + 1), count }
  })
  return { uidMap, gidMap: uidMap }
}

test('every id of the namespace around is mapped as itself, whatever it is outside of that', () => {
  assert.deepEqual(sameIds(map(1, 65_536, 10)), {
    uidMap: '0 0 1\n1 1 65536\n65537 65537 10\n',
    gidMap: '0 0 1\n1 1 65536\n65537 65537 10\n',
  })
})

test('each of many containers has another owner, which is mapped and neither root nor nobody', () => {
  const owners = Array.from({ length: 16_384 }, (_, number) => ownerOf(map(65_536), number))
  assert.equal(new Set(owners).size, owners.length)
  assert.ok(owners.every((owner) => owner > 0 && owner < 65_534))
})

test('few ids: owners are mapped all the same; one id: it owns all', () => {
  for (const count of [2, 3, 5, 10, 1000]) {
    for (let number = 0; number < 2000; number += 1) {
      const owner = ownerOf(map(1, count - 1), number)
      assert.ok(Number.isInteger(owner) && owner > 0 && owner < count, `${owner} of ${count}`)
    }
  }
  assert.equal(ownerOf(map(1), 12), 0)
})

test.run()
