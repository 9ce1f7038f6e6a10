import assert from 'node:assert/strict'
import {
  chooseRootRange,
  idCount,
  idMapArguments,
  idMapText,
  parseIdMap,
  type Range,
  rangeSize,
  toInside,
  toOutside,
} from '../../lib/ids/index.ts'
import { mapOnto, overlaps } from '../../lib/ids/map.ts'
import { allSubidRanges, parseGetsubids, subidRanges } from '../../lib/ids/subid.ts'
import { test } from '../support/uvu.ts'

const subuid = [
  'alice:100000:65536',
  '1000:300000:1000',
  'bob:165536:65536',
  'alice:500000:10',
  '',
  'alice',
  'alice:x:5',
  'alice:-1:5',
  'alice:5:0',
  'alice:4294967290:100',
  'alice:1e5:5',
  `alice:1:${'9'.repeat(1000)}`,
  'alice:99999999999:1',
  '# alice:1:2',
].join('\n')

test('subuid ranges belong to a login name or to a uid, several to one user; nonsense is left out', () => {
  assert.deepEqual(subidRanges(subuid, 1000, 'alice'), [
    { first: 100000, count: 65536 },
    { first: 300000, count: 1000 },
    { first: 500000, count: 10 },
  ])
  assert.deepEqual(subidRanges(subuid, 1000, undefined), [{ first: 300000, count: 1000 }])
  assert.deepEqual(subidRanges(subuid, 7, 'carol'), [])
  assert.equal(allSubidRanges(subuid).length, 5)
})

test('a subuid file of 10 MB of one line, of NULs, of binary, is read in no time', () => {
  for (const text of ['a'.repeat(10_000_000), '\0'.repeat(1_000_000), ':'.repeat(1_000_000), '\n'.repeat(1_000_000)]) {
    assert.deepEqual(subidRanges(text, 1000, 'alice'), [])
  }
})

test('getsubids is understood', () => {
  assert.deepEqual(parseGetsubids('0: alice 100000 65536\n1: alice 165536 10\n'), [
    { first: 100000, count: 65536 },
    { first: 165536, count: 10 },
  ])
  assert.deepEqual(parseGetsubids('Error fetching ranges\n'), [])
})

test('the caller is 0, its ranges follow from 1 without a gap; overlaps are left out', () => {
  const map = mapOnto(1000, [
    { first: 100000, count: 65536 },
    { first: 100500, count: 10 },
    { first: 900, count: 200 },
    { first: 300000, count: 5 },
  ])
  assert.deepEqual(map, [
    { inside: 0, outside: 1000, count: 1 },
    { inside: 1, outside: 100000, count: 65536 },
    { inside: 65537, outside: 300000, count: 5 },
  ])
  assert.equal(idMapText(map), '0 1000 1\n1 100000 65536\n65537 300000 5\n')
  assert.deepEqual(idMapArguments(42, map), ['42', '0', '1000', '1', '1', '100000', '65536', '65537', '300000', '5'])
  assert.deepEqual(
    parseIdMap('         0       1000          1\n         1     100000      65536\n     65537     300000          5\n'),
    map,
  )
  assert.equal(idCount(map), 65542)
})

test('no more mappings than the kernel takes', () => {
  const ranges = Array.from({ length: 1000 }, (_, index) => ({ first: 100000 + index * 10, count: 5 }))
  assert.equal(mapOnto(1000, ranges).length, 340)
})

test('ids are translated both ways; what has no mapping has no id', () => {
  const map = mapOnto(1000, [{ first: 100000, count: 65536 }])
  assert.equal(toOutside(map, 0), 1000)
  assert.equal(toOutside(map, 33), 100032)
  assert.equal(toInside(map, 165535), 65536)
  assert.equal(toOutside(map, 65537), undefined)
  assert.equal(toInside(map, 0), undefined)
})

test('root’s range is the same each time, 65536 long, above what useradd, systemd and sssd hand out', () => {
  const range = chooseRootRange([])
  assert.deepEqual(range, chooseRootRange([{ first: 100000, count: 65536 }]))
  assert.ok(range && range.count === rangeSize && range.first > 2_000_200_000 && range.first + range.count <= 2 ** 31)
  assert.equal(range.first % rangeSize, 0)
})

test('root’s range keeps off what is taken, by a single user too', () => {
  const free = chooseRootRange([]) as Range
  const taken = [
    { first: free.first + 5, count: 1 },
    { first: free.first + rangeSize + 65535, count: 2 },
  ]
  const range = chooseRootRange(taken) as Range
  assert.ok(!taken.some((each) => overlaps(each, range)))
  assert.equal(range.first, free.first + 3 * rangeSize)
  assert.throws(() => chooseRootRange([{ first: 0, count: 2 ** 32 - 1 }]), { code: 'limit_exceeded' })
})

test('root of a user namespace takes what it has', () => {
  assert.deepEqual(chooseRootRange([], [{ first: 0, count: 200_000 }]), { first: 134464, count: 65536 })
  assert.deepEqual(chooseRootRange([{ first: 150_000, count: 1 }], [{ first: 0, count: 200_000 }]), { first: 68928, count: 65536 })
  assert.deepEqual(chooseRootRange([], [{ first: 0, count: 65536 }]), { first: 1, count: 65535 })
  assert.deepEqual(
    chooseRootRange(
      [],
      [
        { first: 0, count: 1 },
        { first: 1, count: 1000 },
      ],
    ),
    { first: 1, count: 1000 },
  )
  assert.equal(chooseRootRange([], [{ first: 0, count: 1 }]), undefined)
})

test.run()
