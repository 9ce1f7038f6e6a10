// test: timeout 300
import { execFileSync, spawn } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { collectGarbage, type ImageData, Images, loadImages, parsePlatform, type SaveFormat, saveImage } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { dir, file, tar } from '../layers/tar-maker.ts'
import { startDockerd } from '../support/dockerd.ts'
import { has } from '../support/machine.ts'
import { skip, testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { amd64, arm64, type Bench, bench, layers, layoutFiles, makeImage, makeIndex, tarOf, writeFiles } from './maker.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

const tagged = (tag: string, more: Parameters<typeof makeImage>[1] = {}) =>
  makeImage(layers, { gzip: true, platform: parsePlatform('linux/amd64'), tag, ...more })

/** A store with one image, of two gzipped layers, named twice. */
async function stored(place: Bench): Promise<ImageData> {
  const path = writeFiles(join(place.path, 'source'), layoutFiles([tagged('docker.io/library/app:1'), tagged('docker.io/library/app:2')]))
  const [image] = await loadImages(place.store, path)
  return image as ImageData
}

async function another(place: Bench, name = 'other'): Promise<Store> {
  return await Store.open(join(place.path, name))
}

for (const format of ['oci-archive', 'docker-archive', 'oci'] as const) {
  test(`what is saved as ${format} is loaded again, with its id and its names`, async () => {
    await using place = await bench()
    const image = await stored(place)
    const path = join(place.path, 'saved')
    await saveImage(place.store, image, path, { format })
    const [loaded, ...more] = await loadImages(await another(place), path)
    assert.equal(more, [])
    assert.equal([loaded?.id, loaded?.tags], [image.id, ['app:1', 'app:2']])
    if (format !== 'docker-archive') assert.is(loaded?.digest, image.digest)
  })
}

test('the same image gives the same bytes, in a file and in a stream, whatever the time', async () => {
  await using place = await bench()
  const image = await stored(place)
  for (const format of ['oci-archive', 'docker-archive'] as const) {
    const [one, other] = [join(place.path, 'one'), join(place.path, 'other')]
    await saveImage(place.store, image, one, { format })
    await saveImage(place.store, image, other, { format, compress: 'gzip' })
    assert.ok(readFileSync(one).equals(gunzipSync(readFileSync(other))))
    const stream = new PassThrough()
    const [pieces] = await Promise.all([stream.toArray(), saveImage(place.store, image, stream, { format })])
    assert.ok(readFileSync(one).equals(Buffer.concat(pieces as Buffer[])))
    assert.is((await loadImages(await another(place, format), other))[0]?.id, image.id)
  }
})

test('names are chosen, and a file that cannot be made whole is not there', async () => {
  await using place = await bench()
  const image = await stored(place)
  const path = join(place.path, 'a.tar')
  await saveImage(place.store, image, path, { tags: ['127.0.0.1:5000/x/y:3'] })
  assert.equal((await loadImages(await another(place), path))[0]?.tags, ['127.0.0.1:5000/x/y:3'])
  const before = readFileSync(path)
  const abort = AbortSignal.abort()
  assert.is(await codeOf(saveImage(place.store, image, path, { signal: abort })), 'aborted')
  await place.store.blobs.remove(image.layers[0]?.digest as never)
  assert.is(await codeOf(saveImage(place.store, image, path)), 'store_invalid')
  assert.ok(readFileSync(path).equals(before), 'the file is as it was')
  assert.equal(
    readdirSync(place.path).filter((each) => each.startsWith('.')),
    [],
  )
  assert.is(await codeOf(saveImage(place.store, image, path, { format: 'zip' as SaveFormat })), 'invalid_argument')
  assert.is(await codeOf(saveImage(place.store, image, path, { compress: 'bzip2' as never })), 'invalid_argument')
  assert.is(await codeOf(saveImage(place.store, image, join(place.path, 'no', 'a.tar'))), 'invalid_argument')
  assert.is(await codeOf(saveImage(place.store, image, path, { tags: ['A B'] })), 'invalid_reference')
})

test('a stream that fails, or is closed while it is written to, is told as that', async () => {
  await using place = await bench()
  const image = await stored(place)
  const failing = new Writable({ write: (_chunk, _encoding, done) => done(new Error('no more')) })
  const closing: Writable = new Writable({ write: () => closing.destroy() })
  const closed = new Writable({ write: (_chunk, _encoding, done) => done() })
  closed.destroy()
  for (const target of [failing, closing, closed]) assert.is(await codeOf(saveImage(place.store, image, target)), 'output_failed')
})

test('what is no regular file is written to and keeps its place; a link leads to the file that is replaced', async () => {
  await using place = await bench()
  const image = await stored(place)
  const at = (name: string): string => join(place.path, name)
  await saveImage(place.store, image, at('whole'))
  execFileSync('mkfifo', [at('fifo')])
  const reader = spawn('cat', [at('fifo')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [pieces] = await Promise.all([reader.stdout.toArray(), saveImage(place.store, image, at('fifo'))])
  assert.ok(readFileSync(at('whole')).equals(Buffer.concat(pieces as Buffer[])))
  assert.ok(lstatSync(at('fifo')).isFIFO())
  writeFileSync(at('old'), 'old')
  symlinkSync('old', at('link'))
  await saveImage(place.store, image, at('link'))
  assert.is(readlinkSync(at('link')), 'old')
  assert.ok(readFileSync(at('old')).equals(readFileSync(at('whole'))))
  mkdirSync(at('directory'))
  assert.is(await codeOf(saveImage(place.store, image, at('directory'))), 'invalid_argument')
})

test('a layout directory that is there gets the image beside those it has', async () => {
  await using place = await bench()
  const image = await stored(place)
  const path = writeFiles(join(place.path, 'l'), layoutFiles([tagged('docker.io/library/old:1', { config: { author: 'x' } })]))
  await saveImage(place.store, image, path, { format: 'oci', tags: ['app:1'] })
  await saveImage(place.store, image, path, { format: 'oci', tags: ['app:1'] })
  assert.equal((await loadImages(await another(place), path)).map(({ tags }) => tags).sort(), [['app:1'], ['old:1']])
})

test('a multi-platform image is kept whole: loaded, named, saved and loaded again; one platform of it when it is asked for', async () => {
  await using place = await bench()
  const index = makeIndex([arm64, amd64], 'docker.io/library/multi:1')
  const path = writeFiles(join(place.path, 'l'), layoutFiles([index]))
  const [image] = await loadImages(place.store, path)
  for (const digest of index.blobs.keys()) assert.ok(await place.store.blobs.has(digest as never))
  const images = new Images(place.store)
  await images.tag(await images.get('multi:1'), 'multi:2')
  await images.untag('multi:1')
  const saved = join(place.path, 'saved.tar')
  await saveImage(place.store, await images.get('multi:2'), saved)
  const other = await another(place)
  const [loaded] = await loadImages(other, saved)
  assert.equal([loaded?.root.digest, loaded?.digest, loaded?.tags], [index.descriptor.digest, image?.digest, ['multi:2']])
  const arm = await new Images(other).get('multi:2', { platform: parsePlatform('linux/arm64') })
  assert.is(arm.digest, arm64.descriptor.digest)
  await saveImage(other, await new Images(other).get('multi:2'), saved, { platform: parsePlatform('linux/arm64') })
  const [one] = await loadImages(await another(place, 'third'), saved)
  assert.equal([one?.root.digest, one?.platform.architecture], [arm64.descriptor.digest, 'arm64'])
  await new Images(other).remove('multi:2')
  assert.is((await collectGarbage(other)).blobs.length, index.blobs.size)
})

test('of an index that is not whole in its layout, the image for this machine comes alone', async () => {
  await using place = await bench()
  const index = makeIndex(
    [makeImage(layers, { platform: parsePlatform('linux/s390x'), config: { author: 'gone' } }), amd64, arm64],
    'docker.io/library/m:1',
  )
  const files = layoutFiles([
    { ...index, blobs: new Map([...index.blobs].filter(([digest]) => amd64.blobs.has(digest) || digest === index.descriptor.digest)) },
  ])
  const [image] = await loadImages(place.store, writeFiles(join(place.path, 'l'), files), { platform: parsePlatform('linux/amd64') })
  assert.equal([image?.digest, image?.root.digest], [amd64.descriptor.digest, amd64.descriptor.digest])
})

test('an archive that does not hold together leaves the store as it was', async () => {
  await using place = await bench()
  const good = layoutFiles([tagged('docker.io/library/app:1')])
  const [layer] = [...good.keys()].filter((path) => path.startsWith('blobs/'))
  const before = async (): Promise<string[]> => {
    const digests: string[] = []
    for await (const { digest } of place.store.blobs.list()) digests.push(digest)
    return digests
  }
  for (const [what, files, code] of [
    ['a blob that is another', new Map(good).set(layer as string, Buffer.from('other')), 'digest_mismatch'],
    ['a blob that is missing', new Map([...good].filter(([path]) => path !== layer)), 'image_invalid'],
    ['an index that is not JSON', new Map(good).set('index.json', Buffer.from('{')), 'image_invalid'],
    ['nothing of an image', new Map([['x', Buffer.from('x')]]), 'image_invalid'],
  ] as const) {
    const path = join(place.path, 'bad.tar')
    writeFileSync(path, await tarOf(files))
    assert.is(await codeOf(loadImages(place.store, path)), code, what)
    assert.equal(await before(), [], what)
    assert.equal(await place.store.refs.list(), [])
    assert.equal(readdirSync(place.store.path('tmp')), [])
  }
  writeFileSync(join(place.path, 'more.tar'), await tarOf(new Map(good).set('large', Buffer.alloc(10_000, 'x'))))
  const [image] = await loadImages(place.store, join(place.path, 'more.tar'))
  assert.is((await before()).length, 2 + (image?.layers.length ?? 0), 'what the images do not need is not kept')
})

test('skopeo reads what we save, and copies between', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  await using place = await bench()
  const image = await stored(place)
  for (const format of ['oci-archive', 'docker-archive', 'oci'] as const) {
    const path = join(place.path, `saved-${format}`)
    await saveImage(place.store, image, path, { format, tags: ['app:1'] })
    const copy = join(place.path, `copy-${format}`)
    execFileSync('skopeo', ['copy', '-q', `${format}:${path}:app:1`, `oci:${copy}:x`], { stdio: 'pipe' })
    const [loaded] = await loadImages(await another(place, `store-${format}`), copy)
    assert.equal(
      loaded?.layers.map(({ diffId }) => diffId),
      image.layers.map(({ diffId }) => diffId),
      format,
    )
  }
})

testAs(test, ['root'], 'docker load takes what we save, and we load what docker save writes', async () => {
  if (!has('dockerd') || !has('docker')) return skip('docker is not installed')
  await using place = await bench()
  const image = await stored(place)
  const files = (['oci-archive', 'docker-archive'] as const).flatMap((format) =>
    (['none', 'gzip'] as const).map((compress) => ({ path: join(place.path, `${format}-${compress}`), format, compress })),
  )
  for (const { path, ...options } of files) await saveImage(place.store, image, path, options)
  mkdirSync(join(place.path, 'docker'))
  await using daemon = await startDockerd(join(place.path, 'docker'))
  const { docker } = daemon
  for (const { path } of files) {
    await docker('load', '-i', path)
    assert.is(await docker('images', '--no-trunc', '-q', 'app:1'), image.id, path)
    assert.is(await docker('images', '--no-trunc', '-q', 'app:2'), image.id, path)
    await docker('rmi', 'app:1', 'app:2')
  }
  await docker('load', '-i', files[0]?.path as string)
  const saved = join(place.path, 'from-docker.tar')
  await docker('save', '-o', saved, 'app:1', 'app:2')
  writeFileSync(`${saved}.gz`, gzipSync(readFileSync(saved)))
  for (const path of [saved, `${saved}.gz`]) {
    const [loaded, ...more] = await loadImages(await another(place, `store-${path.length}`), path)
    assert.equal([loaded?.id, loaded?.tags, more.length], [image.id, ['app:1', 'app:2'], 0])
  }
})

testAs(test, ['root'], 'podman load takes what we save, and we load what podman save writes', async () => {
  if (!has('podman')) return skip('podman is not installed')
  await using place = await bench()
  const image = await stored(place)
  const podman = (...args: string[]): string =>
    // It leaves a bind mount behind, which ends with this mount namespace.
    execFileSync(
      'unshare',
      ['-m', 'podman', '--root', join(place.path, 'root'), '--runroot', join(place.path, 'run'), '--storage-driver', 'vfs', ...args],
      { encoding: 'utf8', stdio: 'pipe' },
    )
  for (const format of ['oci-archive', 'docker-archive'] as const) {
    // Its docker-archive reader takes no compressed files, not its own either.
    for (const compress of format === 'oci-archive' ? (['none', 'gzip'] as const) : (['none'] as const)) {
      const path = join(place.path, `${format}-${compress}`)
      await saveImage(place.store, image, path, { format, compress, tags: ['docker.io/library/app:1'] })
      podman('load', '-q', '-i', path)
      assert.is(`sha256:${podman('images', '--no-trunc', '-q', 'docker.io/library/app:1').trim().replace('sha256:', '')}`, image.id, path)
      if (compress === 'none') {
        const saved = join(place.path, `from-podman-${format}`)
        podman('save', '-q', '--format', format, '-o', saved, 'docker.io/library/app:1')
        assert.equal((await loadImages(await another(place, `store-${format}`), saved))[0]?.tags, ['app:1'])
      }
      podman('rmi', 'docker.io/library/app:1')
    }
  }
})

test('layers that are compressed twice over, and by zstd, are plain in a docker archive', async () => {
  if (!has('zstd')) return skip('zstd is not installed')
  await using place = await bench()
  const plain = tar(dir('z'), file('z/f', 'zstd'))
  const made = makeImage([plain], { tag: 'docker.io/library/z:1' })
  const packed = execFileSync('zstd', ['-q', '-c'], { input: plain })
  const store = place.store
  const layer = await store.blobs.put(packed)
  const [image] = await loadImages(await another(place, 'plain'), writeFiles(join(place.path, 'p'), layoutFiles([made])))
  // The second is what other engines read all the same: by what it is, not by what it is called.
  for (const type of ['tar+zstd', 'tar+gzip']) {
    const put = await new Images(store).put(
      {
        config: { platform: parsePlatform('linux/amd64'), config: {}, diffIds: [image?.layers[0]?.diffId as never], history: [] },
        layers: [{ mediaType: `application/vnd.oci.image.layer.v1.${type}`, ...layer }],
      },
      { tags: ['z:1'] },
    )
    const saved = join(place.path, `${type}.tar`)
    await saveImage(store, put, saved, { format: 'docker-archive' })
    const [loaded] = await loadImages(await another(place, type), saved)
    assert.equal([loaded?.id, loaded?.layers[0]?.mediaType], [put.id, 'application/vnd.oci.image.layer.v1.tar'])
  }
})

test.run()
