// test: timeout 300

import * as assert from 'uvu/assert'
import { diffLayer, emptyRoot, type LayerEntry, packLayer } from '../../lib/layers/index.ts'
import { suite } from '../support/uvu.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('round trip')
const rounds = process.env.STRAKE_LONG_TESTS ? 200 : 15
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  // By the bytes of their names, which not everything that removes trees can.
  const agent = await shop.agent('/store/snapshots')
  await emptyRoot(agent)
  await agent.close()
  await shop[Symbol.asyncDispose]()
})

/** Numbers below a bound, the same for the same seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const names = ['a', 'b.c', ' ', '-rf', 'ü', '漢', '\n', '"', '\\', '*', 'x'.repeat(255), 'n'.repeat(101), '.hidden', 'a=b', 'wh.', '~']
/** Not UTF-8. */
const odd = [
  Buffer.from('\xff\xfe', 'latin1'),
  Buffer.from('a\x80b', 'latin1'),
  Buffer.from('\xc3', 'latin1'),
  Buffer.from('\x01\x7f', 'latin1'),
]
const modes = [0o644, 0o4755, 0o2711, 0o1777, 0o000, 0o7777, 0o600, 0o6604]
const times = [
  { sec: 0, nsec: 0 },
  { sec: 1, nsec: 1 },
  { sec: -1, nsec: 999_999_999 },
  { sec: -86_400, nsec: 500_000_000 },
  { sec: 1_700_000_000, nsec: 123_456_789 },
  { sec: 9_000_000_000, nsec: 0 },
]
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')

/** A tree of odd entries, each directory before what is in it. */
function oddTree(seed: number, ownership: boolean): LayerEntry[] {
  const next = numbers(seed)
  const pick = <T>(all: readonly T[]): T => all[next(all.length)] as T
  const entries: LayerEntry[] = []
  const directories: Buffer[] = [Buffer.alloc(0)]
  const files: Buffer[] = []
  const taken = new Set<string>()
  for (let each = 0; each < 60; each += 1) {
    // Half the time deeper in, so that some paths get long.
    const parent = next(2) === 0 ? (directories.at(-1) as Buffer) : pick(directories)
    const name = next(4) === 0 ? pick(odd) : Buffer.from(pick(names))
    const path = parent.length === 0 ? name : Buffer.concat([parent, Buffer.from('/'), name])
    if (taken.has(path.toString('latin1')) || path.length > 3500) continue
    taken.add(path.toString('latin1'))
    const ids = ownership ? { uid: pick([0, 1, 1000, 65_533]), gid: pick([0, 5, 60_000]) } : { uid: 0, gid: 0 }
    const common = { path, ...ids, mtime: pick(times), mode: pick(modes) }
    const kind = next(10)
    if (kind < 3) {
      entries.push({ ...common, type: 'directory', xattrs: new Map(next(4) === 0 ? [['user.d', Buffer.from('\0=\n')]] : []) })
      directories.push(path)
    } else if (kind < 7) {
      const xattrs = new Map<string, Buffer>()
      if (next(4) === 0) xattrs.set('user.k', Buffer.from([0, 1, 255, 10, 61]))
      if (next(6) === 0 && ownership) xattrs.set('security.capability', capability)
      entries.push({ ...common, type: 'file', content: Buffer.alloc(pick([0, 1, 511, 512, 513, 70_000]), String(each)), xattrs })
      files.push(path)
    } else if (kind === 7)
      entries.push({
        ...common,
        type: 'symlink',
        mode: 0o777,
        linkPath: pick([Buffer.from('../x'), pick(odd), Buffer.from('l'.repeat(300))]),
      })
    else if (kind === 8) entries.push({ ...common, type: 'fifo' })
    else if (files.length > 0) entries.push({ path, type: 'link', linkPath: pick(files) })
  }
  return entries
}

async function tarOf(entries: readonly LayerEntry[]): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of packLayer(entries)) pieces.push(piece)
  return Buffer.concat(pieces)
}

test('unpack, diff, pack gives the same tree, entry for entry, and packing that again the same bytes', async () => {
  const seed = Math.floor(Math.random() * 1e9)
  for (let each = 0; each < rounds; each += 1) {
    const where = `seed ${seed + each}`
    const { tree, chain } = await shop.unpack([await tarOf(oddTree(seed + each, shop.ownership))])
    await using agent = await shop.agent(shop.snapshots.agentPath(chain[0] as never))
    const first = await diffLayer(shop.store, agent, { ownership: shop.ownership })
    const again = await shop.unpack([await shop.store.blobs.read(first.descriptor.digest)])
    assert.equal(Object.entries(again.tree).sort(), Object.entries(tree).sort(), where)
    await using other = await shop.agent(shop.snapshots.agentPath(again.chain[0] as never))
    assert.is((await diffLayer(shop.store, other, { ownership: shop.ownership })).diffId, first.diffId, where)
  }
})

test('times later than SOURCE_DATE_EPOCH become that, earlier ones stay', async () => {
  const entries: LayerEntry[] = [
    { path: 'early', type: 'file', content: '', mtime: { sec: 999, nsec: 5 } },
    { path: 'late', type: 'file', content: '', mtime: { sec: 1000, nsec: 1 } },
  ]
  const { chain } = await shop.unpack([await tarOf(entries)])
  await using agent = await shop.agent(shop.snapshots.agentPath(chain[0] as never))
  const { descriptor } = await diffLayer(shop.store, agent, { ownership: shop.ownership, clampTime: 1000 })
  const { tree } = await shop.unpack([await shop.store.blobs.read(descriptor.digest)])
  assert.match(tree.early ?? '', '@999+5')
  assert.match(tree.late ?? '', /@1000$/)
})

test.run()
