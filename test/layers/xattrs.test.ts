// Xattrs of layers that a kernel or a file system does not keep, and to which file they belong.
import * as assert from 'uvu/assert'
import { suite } from '../support/uvu.ts'
import { dir, file, link, raw, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('xattrs of layers')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

async function unpack(layer: Buffer): Promise<{ tree: Record<string, string>; notices: string[] }> {
  const { tree, notices } = await shop.unpack([layer])
  const { '/': _, ...files } = tree
  return { tree: files, notices: notices.map(({ path, message }) => `${path}: ${message}`) }
}

test('L08: one that the kernel does not take on such a file is told and left out, and those after it are set', async () => {
  const layer = tar(
    raw({
      name: 'a',
      data: 'a',
      mtime: 7,
      pax: [
        ['SCHILY.xattr.system.posix_acl_access', 'junk'],
        ['SCHILY.xattr.user.k', 'v'],
      ],
    }),
    raw({ name: 'b', data: 'b', pax: [['SCHILY.xattr.user.', 'v']] }),
    raw({ name: 'p', type: '6', pax: [['SCHILY.xattr.user.k', 'v']] }),
    raw({ ...dir('d'), pax: [['SCHILY.xattr.user.k', 'v']] }),
  )
  const { tree, notices } = await unpack(layer)
  assert.equal(tree, { a: 'file 644 @7 user.k=76 "a"', b: 'file 644 "b"', p: 'fifo 644', d: 'dir 755 user.k=76' })
  const why = 'was left out: this machine does not keep it on such a file'
  assert.equal(notices, [
    `a: the xattr "system.posix_acl_access" of 4 bytes ${why} (ENOTSUP)`,
    `b: the xattr "user." of 1 bytes ${why} (EINVAL)`,
    `p: the xattr "user.k" of 1 bytes ${why} (EPERM)`,
  ])
})

test('L08: a file that takes the place of another in the layer has those of its own', async () => {
  const layer = tar(
    ...['x', 'y'].map((value) => raw({ name: 'd/f', data: value, pax: [[`SCHILY.xattr.user.${value}`, 'v']] })),
    raw({ name: 'd/g', data: 'g', pax: [['SCHILY.xattr.user.g', 'v']] }),
    file('d/g', 'later'),
    raw({ name: 'd/h', data: 'h', pax: [['SCHILY.xattr.user.h', 'v']] }),
    link('d/i', 'd/h'),
    file('d/h', 'later'),
  )
  assert.equal(await unpack(layer), {
    tree: {
      d: 'dir 755',
      'd/f': 'file 644 user.y=76 "y"',
      'd/g': 'file 644 "later"',
      'd/h': 'file 644 "later"',
      'd/i': 'file 644 user.h=76 "h"',
    },
    notices: [],
  })
})

test('L08: one that a file system may have no room for is kept, or told', async () => {
  const sizes = [3000, 5000, 65_536]
  const big = sizes.map((bytes) => raw({ name: `f${bytes}`, pax: [['SCHILY.xattr.user.a', 'v'.repeat(bytes)]] }))
  const { tree, notices } = await unpack(tar(...big, file('last', 'x')))
  assert.is(tree.last, 'file 644 "x"')
  for (const bytes of sizes) {
    const isKept = tree[`f${bytes}`]?.includes('user.a=7676')
    const isTold = notices.some((each) => each.startsWith(`f${bytes}: the xattr "user.a" of ${bytes} bytes was left out`))
    assert.not.equal(isKept, isTold, String(bytes))
  }
})

test('L08: thousands in one directory are set, in requests of many', async () => {
  const count = 2500
  const files = Array.from({ length: count }, (_, each) => raw({ name: `d/${each}`, pax: [['SCHILY.xattr.user.k', String(each)]] }))
  const { tree } = await unpack(tar(...files))
  for (let each = 0; each < count; each += 1) assert.is(tree[`d/${each}`], `file 644 user.k=${Buffer.from(String(each)).toString('hex')}`)
})

test.run()
