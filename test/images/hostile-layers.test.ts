// HOSTILE.md, L01 to L05 and L10, where a layer comes from a file: refused when it is brought in, and the store as before.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { importImage, importRootfsFile, loadImages, saveImage } from '../../lib/images/index.ts'
import { hexOf, Store } from '../../lib/store/index.ts'
import { dir, endMark, file, link, raw, symlink, tar } from '../layers/tar-maker.ts'
import { test } from '../support/uvu.ts'
import { type Bench, bench, layoutFiles, makeImage, tarOf, writeFiles } from './maker.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

const good = tar(file('a', 'a'))
const hostile: readonly [string, Buffer, string][] = [
  ['L01 ../x', tar(file('../x')), 'path_escapes'],
  ['L01 a/../../x', tar(dir('a'), file('a/../../x')), 'path_escapes'],
  ['L01 a//../../b, a directory', tar(dir('a//../../b')), 'path_escapes'],
  ['L01 .. of a symlink', tar(symlink('../x', 'y')), 'path_escapes'],
  ['L03 a hard link to ..', tar(link('a', '../../etc/passwd')), 'path_escapes'],
  ['L03 a hard link to the root', tar(link('a', '/')), 'layer_invalid'],
  ['L05 .wh...', tar(file('.wh...')), 'layer_invalid'],
  ['L05 .wh.', tar(file('a/.wh.')), 'layer_invalid'],
  ['L05 a whiteout that is a directory', tar(dir('.wh.x')), 'layer_invalid'],
  ['L05 something under a whiteout', tar(file('.wh.x/y')), 'layer_invalid'],
  ['L01 ../../x after a directory that says it has content', tar({ ...dir('d'), size: 512 }, file('../../x')), 'path_escapes'],
  [
    'L01 ../../x after a hard link that says it has content',
    tar(file('a'), { ...link('h', 'a'), size: 512 }, file('../../x')),
    'path_escapes',
  ],
  ['L08 an xattr with a NUL in its name', tar(raw({ pax: [['SCHILY.xattr.user.a\0b', 'v']] })), 'layer_invalid'],
  ['L08 an xattr beyond 64 KiB', tar(raw({ pax: [['SCHILY.xattr.user.a', 'v'.repeat(65_537)]] })), 'layer_invalid'],
  ['the root as a file', tar(file('./.')), 'layer_invalid'],
  ['L10 one that is cut short', good.subarray(0, 512), 'layer_invalid'],
  ['L10 two that are joined', Buffer.concat([good, good]), 'layer_invalid'],
  ['no tar at all', Buffer.from('not a tar'.repeat(200)), 'layer_invalid'],
]

const ways: Record<string, (place: Bench, layer: Buffer) => Promise<unknown>> = {
  'import of a tar': async ({ store, path }, layer) => {
    writeFileSync(join(path, 'x.tar'), layer)
    return await importRootfsFile(store, join(path, 'x.tar'))
  },
  'import of a tar.gz': async ({ store, path }, layer) => {
    writeFileSync(join(path, 'x.tar.gz'), gzipSync(layer))
    return await importRootfsFile(store, join(path, 'x.tar.gz'))
  },
  'a layout, loaded': async ({ store, path }, layer) =>
    await loadImages(store, writeFiles(join(path, 'layout'), layoutFiles([makeImage([good, layer])]))),
  'a layout as a source': async ({ store, path }, layer) =>
    await importImage(store, { kind: 'layout', path: writeFiles(join(path, 'layout'), layoutFiles([makeImage([good, layer])])) }),
  'an oci-archive': async ({ store, path }, layer) => {
    writeFileSync(join(path, 'a.tar'), await tarOf(layoutFiles([makeImage([good, layer])])))
    return await loadImages(store, join(path, 'a.tar'))
  },
  'a docker-archive': async ({ store, path }, layer) => {
    const { blobs } = makeImage([good, layer])
    const config = [...blobs.entries()].find(([, bytes]) => bytes.includes('diff_ids')) as [string, Buffer]
    const files = new Map([
      ['config.json', config[1]],
      ['0.tar', good],
      ['1.tar', layer],
      ['manifest.json', Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: ['a:1'], Layers: ['0.tar', '1.tar'] }]))],
    ])
    writeFileSync(join(path, 'd.tar'), await tarOf(files))
    return await loadImages(store, join(path, 'd.tar'))
  },
}

for (const [way, bring] of Object.entries(ways))
  test(`hostile layers are refused by ${way}, and leave nothing`, async () => {
    for (const [id, layer, code] of hostile) {
      await using place = await bench()
      assert.is(await codeOf(bring(place, layer)), code, id)
      for await (const { digest } of place.store.blobs.list()) assert.unreachable(`${id} left ${digest}`)
      assert.equal(await place.store.refs.list(), [])
    }
    const sized = [
      { ...dir('d'), size: 4096 },
      { ...link('l', 'abs'), size: 3 },
      { ...symlink('s', 'abs'), size: 3 },
    ]
    for (const layer of [tar(file('/abs'), link('b', 'abs'), file('.wh.gone'), file('.wh..wh..opq')), tar(file('abs', 'abs'), ...sized)]) {
      await using place = await bench()
      assert.is(await codeOf(bring(place, Buffer.concat([layer, endMark]))), 'none')
    }
  })

test('a directory with a name that means a removal in a layer is no root file system', async () => {
  await using place = await bench()
  const root = writeFiles(join(place.path, 'root'), new Map([['d/.wh.keep', Buffer.alloc(0)]]))
  assert.is(await codeOf(importImage(place.store, { kind: 'rootfs', path: root })), 'layer_invalid')
  for await (const { digest } of place.store.blobs.list()) assert.unreachable(`it left ${digest}`)
})

test('what an archive holds beside its images is no layer, whatever it looks like', async () => {
  await using place = await bench()
  const files = layoutFiles([makeImage([good])])
  files.set('other.tar', tar(file('../x')))
  writeFileSync(join(place.path, 'a.tar'), await tarOf(files))
  const [image] = await loadImages(place.store, join(place.path, 'a.tar'))
  const saved = join(place.path, 'again.tar')
  await saveImage(place.store, image as never, saved)
  assert.is(hexOf((await loadImages(await Store.open(join(place.path, 'other')), saved))[0]?.digest as never).length, 64)
})

test.run()
