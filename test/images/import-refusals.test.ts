import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type ImageSource, Images, importImage, loadImages, parsePlatform } from '../../lib/images/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { file, symlink, tar } from '../layers/tar-maker.ts'
import { test } from '../support/uvu.ts'
import { amd64, arm64, bench, layers, layoutFiles, makeImage, makeIndex, tarOf, writeFiles } from './maker.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

test('a file that is no archive at all is said to be none', async () => {
  await using place = await bench()
  const path = join(place.path, 'passwd')
  for (const content of ['root:x:0:0:root:/root:/bin/bash\n'.repeat(40), 'short', '']) {
    writeFileSync(path, content)
    const error = await loadImages(place.store, path).catch((reason) => reason)
    assert.is(error.code, 'image_invalid')
    assert.match(error.message, `${path} is no archive of images`)
  }
})

test('a tar of a root file system is no archive of images: what takes it is named', async () => {
  await using place = await bench()
  const path = join(place.path, 'rootfs.tar')
  writeFileSync(path, tar(file('etc', 'x')))
  const error = await loadImages(place.store, path).catch((reason) => reason)
  assert.is(error.code, 'image_invalid')
  assert.match(error.hint, 'images.import(path)')
})

const bad: readonly [string, (path: string) => Promise<ImageSource>, string][] = [
  ['a path with nothing there', async (path) => ({ kind: 'rootfs', path: join(path, 'no') }), 'image_not_found'],
  ['a directory that is no layout', async (path) => ({ kind: 'layout', path }), 'image_not_found'],
  [
    'a layout with two images and no tag',
    async (path) => ({ kind: 'layout', path: writeFiles(join(path, 'l'), layoutFiles([amd64, arm64])) }),
    'image_not_found',
  ],
  [
    'a layout without that tag',
    async (path) => ({ kind: 'layout', path: writeFiles(join(path, 'l'), layoutFiles([amd64])), tag: 'x' }),
    'image_not_found',
  ],
  [
    'a layout whose layer is missing',
    async (path) => {
      const files = layoutFiles([amd64])
      files.delete([...files.keys()].find((each) => (files.get(each)?.readUInt16BE(0) ?? 0) === 0x1f8b) as string)
      return { kind: 'layout', path: writeFiles(join(path, 'l'), files) }
    },
    'image_invalid',
  ],
  [
    'I01: a layout whose layer has another content of the same size',
    async (path) => {
      const files = layoutFiles([amd64])
      for (const [name, bytes] of files) if (bytes.readUInt16BE(0) === 0x1f8b) files.set(name, Buffer.from(bytes).fill(7, 20))
      return { kind: 'layout', path: writeFiles(join(path, 'l'), files) }
    },
    'digest_mismatch',
  ],
  [
    'I01: a layout whose layer is longer',
    async (path) => {
      const files = layoutFiles([amd64])
      for (const [name, bytes] of files) if (bytes.readUInt16BE(0) === 0x1f8b) files.set(name, Buffer.concat([bytes, bytes]))
      return { kind: 'layout', path: writeFiles(join(path, 'l'), files) }
    },
    'size_mismatch',
  ],
  [
    'I03: an index 6 deep',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([[1, 2, 3, 4, 5, 6].reduce((inner) => makeIndex([inner]), amd64)])),
    }),
    'limit_exceeded',
  ],
  [
    'I03: a manifest of 10 MB',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([makeImage(layers, { manifest: { annotations: { a: 'x'.repeat(1e7) } } })])),
    }),
    'limit_exceeded',
  ],
  [
    'I05: a config with fewer diffIDs than layers',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([makeImage(layers, { config: { rootfs: { type: 'layers', diff_ids: [] } } })])),
    }),
    'image_invalid',
  ],
  [
    'I05: a config without rootfs',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([makeImage(layers, { config: { rootfs: undefined } })])),
    }),
    'image_invalid',
  ],
  [
    'an index without this platform',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([makeIndex([arm64, makeImage(layers, { platform: parsePlatform('linux/s390x') })])])),
    }),
    'image_not_found',
  ],
  [
    'an archive without index.json',
    async (path) => {
      writeFileSync(join(path, 'a.tar'), tar(file('x')))
      return { kind: 'archive', format: 'oci', path: join(path, 'a.tar') }
    },
    'image_invalid',
  ],
  [
    'an archive whose blob is not what its name says',
    async (path) => {
      const files = layoutFiles([arm64])
      for (const [name, bytes] of files) if (bytes.length > 2000) files.set(name, Buffer.from(bytes).fill(7, 20))
      writeFileSync(join(path, 'a.tar'), await tarOf(files))
      return { kind: 'archive', format: 'oci', path: join(path, 'a.tar') }
    },
    'digest_mismatch',
  ],
  [
    'a docker archive whose layer is not its diffID',
    async (path) => {
      const config = { rootfs: { diff_ids: [digestOf('x')] } }
      writeFileSync(
        join(path, 'a.tar'),
        await tarOf(
          new Map([
            ['c.json', Buffer.from(JSON.stringify(config))],
            ['l.tar', layers[0] as Buffer],
            ['manifest.json', Buffer.from('[{"Config":"c.json","Layers":["l.tar"]}]')],
          ]),
        ),
      )
      return { kind: 'archive', format: 'docker', path: join(path, 'a.tar') }
    },
    'digest_mismatch',
  ],
  [
    'a docker archive whose layer link leads out',
    async (path) => {
      const config = { rootfs: { diff_ids: [digestOf('x')] } }
      writeFileSync(
        join(path, 'a.tar'),
        Buffer.concat([
          tar(
            file('c.json', JSON.stringify(config)),
            symlink('l.tar', '../../../../etc/passwd'),
            file('manifest.json', '[{"Config":"c.json","Layers":["l.tar"]}]'),
          ),
        ]),
      )
      return { kind: 'archive', format: 'docker', path: join(path, 'a.tar') }
    },
    'image_invalid',
  ],
  [
    'an archive of links in a circle',
    async (path) => {
      writeFileSync(
        join(path, 'a.tar'),
        tar(
          symlink('a', 'b'),
          symlink('b', 'a'),
          file('c.json', `{"rootfs":{"diff_ids":["${digestOf('x')}"]}}`),
          file('manifest.json', '[{"Config":"c.json","Layers":["a"]}]'),
        ),
      )
      return { kind: 'archive', format: 'docker', path: join(path, 'a.tar') }
    },
    'image_invalid',
  ],
  [
    'a manifest.json of null',
    async (path) => {
      writeFileSync(join(path, 'a.tar'), tar(file('manifest.json', '[null]')))
      return { kind: 'archive', format: 'docker', path: join(path, 'a.tar') }
    },
    'image_invalid',
  ],
  [
    'a root file system that is no tar',
    async (path) => {
      writeFileSync(join(path, 'r.tar'), 'x'.repeat(5000))
      return { kind: 'rootfs', path: join(path, 'r.tar') }
    },
    'layer_invalid',
  ],
  [
    'a root file system cut short',
    async (path) => {
      writeFileSync(join(path, 'r.tar'), tar(file('a', 'x'.repeat(5000))).subarray(0, 3000))
      return { kind: 'rootfs', path: join(path, 'r.tar') }
    },
    'layer_invalid',
  ],
]
for (const [what, make, code] of bad) {
  test(`${what} is refused, and no image is there after`, async () => {
    await using place = await bench()
    assert.is(
      await codeOf(
        importImage(place.store, await make(place.path), what.includes('this platform') ? { platform: parsePlatform('linux/amd64') } : {}),
      ),
      code,
    )
    assert.equal(await new Images(place.store).list(), [])
    assert.equal(readdirSync(place.store.path('tmp')), [])
  })
}

test.run()
