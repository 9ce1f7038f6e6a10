import { readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { moreIds } from '../../lib/ids/index.ts'
import type { LayerLimits } from '../../lib/layers/index.ts'
import { suite } from '../support/uvu.ts'
import { dir, file, link, raw, symlink, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('refused layers')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

interface Refusal {
  readonly name: string
  readonly layers: readonly Uint8Array[]
  readonly code: string
  readonly limits?: Partial<LayerLimits>
}

const refusals: readonly Refusal[] = [
  ...['../etc/x', 'a/../../x', 'a//../../b', '/..', 'a/../b'].map((name) => ({
    name: `L01: ${name}`,
    layers: [tar(file('k'), file(name))],
    code: 'path_escapes',
  })),
  { name: 'L01: a directory ..', layers: [tar(dir('..'))], code: 'path_escapes' },
  { name: 'L03: a hard link to ..', layers: [tar(link('h', '../../etc/passwd'))], code: 'path_escapes' },
  { name: 'L03: a hard link to what is missing', layers: [tar(link('h', 'no'))], code: 'layer_invalid' },
  { name: 'L03: a hard link to what is missing in every layer', layers: [tar(file('f')), tar(link('h', 'no'))], code: 'layer_invalid' },
  {
    name: 'L03: a hard link to what a whiteout hides',
    layers: [tar(file('f')), tar(file('.wh.f'), link('h', 'f'))],
    code: 'layer_invalid',
  },
  { name: 'L03: a hard link to a directory', layers: [tar(dir('d'), link('h', 'd'))], code: 'layer_invalid' },
  { name: 'L03: a hard link to a directory of a lower layer', layers: [tar(dir('d')), tar(link('h', 'd'))], code: 'layer_invalid' },
  { name: 'L03: a hard link to the root', layers: [tar(link('h', '/'))], code: 'layer_invalid' },
  { name: 'L02: symlinks in a circle', layers: [tar(symlink('a', 'b'), symlink('b', 'a'), file('a/x'))], code: 'layer_invalid' },
  { name: 'a path through a file', layers: [tar(file('f'), file('f/x'))], code: 'layer_invalid' },
  { name: 'a path through a file of a lower layer', layers: [tar(file('f')), tar(file('f/x'))], code: 'layer_invalid' },
  ...['.wh.', '.wh..', '.wh...', 'd/.wh.'].map((name) => ({
    name: `L05: a whiteout ${name}`,
    layers: [tar(file(name))],
    code: 'layer_invalid',
  })),
  { name: 'L05: a whiteout that is a directory', layers: [tar(file('d')), tar(dir('.wh.d'))], code: 'layer_invalid' },
  { name: 'L05: an opaque mark in a file', layers: [tar(file('d/x')), tar(file('f'), file('f/.wh..wh..opq'))], code: 'layer_invalid' },
  { name: 'L05: something under a whiteout', layers: [tar(file('.wh.x/y'))], code: 'layer_invalid' },
  { name: 'the root as a file', layers: [tar(file('.'))], code: 'layer_invalid' },
  { name: 'L07: an entry of an unknown type', layers: [tar({ name: 's', type: 's' })], code: 'layer_invalid' },
  ...['user.a\0b', '', `user.${'a'.repeat(251)}`].map((name) => ({
    name: `L08: an xattr whose name is ${JSON.stringify(name.slice(0, 10))} of ${name.length} bytes`,
    layers: [tar(raw({ pax: [[`SCHILY.xattr.${name}`, 'v']] }))],
    code: 'layer_invalid',
  })),
  {
    name: 'L08: an xattr beyond 64 KiB',
    layers: [tar(raw({ pax: [['SCHILY.xattr.user.a', 'v'.repeat(65_537)]] }))],
    code: 'layer_invalid',
  },
  { name: 'L09: a component beyond 255 bytes', layers: [tar(raw({ pax: [['path', 'n'.repeat(256)]] }))], code: 'limit_exceeded' },
  { name: 'L10: an archive cut short', layers: [tar(file('a', 'x'.repeat(2000))).subarray(0, 1500)], code: 'layer_invalid' },
  {
    name: 'L13: a path too long for a call, made of links',
    layers: [
      tar(raw({ name: 'a', type: '2', pax: [['linkpath', 'b/'.repeat(1900)]] }), raw({ pax: [['path', `a/${'e/'.repeat(300)}f`]] })),
    ],
    code: 'limit_exceeded',
  },
  {
    name: 'L13: directories beyond the limit',
    layers: [tar(dir('a'), dir('b'), dir('c'))],
    code: 'limit_exceeded',
    limits: { directories: 2 },
  },
]
for (const { name, layers, code, limits } of refusals) {
  test(`${name} is refused, and nothing is left`, async () => {
    const before = readdirSync(shop.store.path('snapshots')).length
    const found = await shop.unpack(layers, { limits }).then(
      () => 'none',
      (error: { code?: string; message: string }) => error.code ?? error.message,
    )
    assert.is(found, code)
    assert.is(readdirSync(shop.store.path('snapshots')).filter((each) => each.startsWith('.tmp')).length, 0)
    assert.ok(readdirSync(shop.store.path('snapshots')).length <= before + layers.length - 1)
  })
}

test('L14: an id beyond the mapped range is refused by name, or left out where there is one id', async () => {
  const layer = tar(raw({ name: 'f', pax: [['uid', '4294967294']] }))
  const { ids } = shop.zygote
  const outcome = await shop.unpack([layer], { ids }).then(
    () => 'unpacked',
    (error: { code?: string; message: string; hint?: string; details?: { limit?: string } }) => {
      assert.is(error.hint, moreIds(ids))
      assert.match(error.message, /"\/?f" of the layer belongs to uid 4294967294, gid /)
      return `${error.code} ${error.details?.limit}`
    },
  )
  assert.is(outcome, shop.ownership ? 'limit_exceeded ids' : 'unpacked')
})

test('L16: content that is not what its diffID says is refused', async () => {
  const { digest } = await shop.store.blobs.put(tar(file('a', 'right')))
  const { digest: diffId } = await shop.store.blobs.put(tar(file('a', 'wrong')))
  const code = await shop.snapshots.ensure([{ digest, diffId }], shop.agent).then(
    () => 'none',
    (error: { code: string }) => error.code,
  )
  assert.is(code, 'digest_mismatch')
  assert.not(await shop.snapshots.has(diffId))
})

test.run()
