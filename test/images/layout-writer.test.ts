import { execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { type ImageData, loadImages, parsePlatform, saveImage } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'
import { type Bench, bench, layers, layoutFiles, makeImage, writeFiles } from './maker.ts'

const saver = fileURLToPath(new URL('saver.ts', import.meta.url))
const platform = parsePlatform('linux/amd64')

/** A store with so many images of the same layers, `app:0` and on. */
async function stored(place: Bench, count: number): Promise<readonly ImageData[]> {
  const made = Array.from({ length: count }, (_, each) =>
    makeImage(layers, { platform, tag: `docker.io/library/app:${each}`, config: { author: String(each) } }),
  )
  const images = await loadImages(place.store, writeFiles(join(place.path, 'source'), layoutFiles(made)))
  return [...images].sort((one, other) => (one.tags.join() < other.tags.join() ? -1 : 1))
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

/** The names of a layout whose blobs are all as they should be, and which holds nothing else. */
async function namesIn(place: Bench, path: string): Promise<string[]> {
  assert.equal(readdirSync(path).sort(), ['blobs', 'index.json', 'oci-layout'], 'the files of a layout alone')
  const other = join(place.path, 'other')
  const loaded = await loadImages(await Store.open(other), path)
  rmSync(other, { recursive: true })
  return loaded.flatMap(({ tags }) => tags).sort()
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, each) => `app:${each}`)

test('images that are saved into one layout at once are all in it, be it new or there', async () => {
  await using place = await bench()
  const images = await stored(place, 9)
  const path = join(place.path, 'deep', 'layout')
  await Promise.all(images.slice(0, 6).map((image) => saveImage(place.store, image, path, { format: 'oci' })))
  assert.equal(await namesIn(place, path), numbered(6))
  await Promise.all(images.slice(6).map((image) => saveImage(place.store, image, path, { format: 'oci' })))
  assert.equal(await namesIn(place, path), numbered(9))
})

test('so are those of several processes', async () => {
  await using place = await bench()
  await stored(place, 5)
  const path = join(place.path, 'layout')
  await Promise.all(
    numbered(5).map((name) => promisify(execFile)(process.execPath, ['--import', 'tsx', saver, place.store.root, name, path])),
  )
  assert.equal(await namesIn(place, path), numbered(5))
})

test('those of several stores too, and in a directory that its user may not read', async () => {
  await using place = await bench()
  const images = await stored(place, 4)
  const other = await Store.open(join(place.path, 'second'))
  const others = await loadImages(other, join(place.path, 'source'))
  const path = join(place.path, 'layout')
  await Promise.all([
    ...images.slice(0, 2).map((image) => saveImage(place.store, image, path, { format: 'oci' })),
    ...others
      .filter(({ tags }) => !['app:0', 'app:1'].includes(tags[0] ?? ''))
      .map((image) => saveImage(other, image, path, { format: 'oci' })),
  ])
  assert.equal(await namesIn(place, path), numbered(4))
  const closed = join(place.path, 'closed')
  mkdirSync(closed)
  chmodSync(closed, 0o300)
  await Promise.all(images.map((image) => saveImage(place.store, image, closed, { format: 'oci' })))
  chmodSync(closed, 0o700)
  assert.equal(await namesIn(place, closed), numbered(4))
  assert.equal(
    readdirSync(place.store.path('locks')).filter((name) => name.startsWith('layout')),
    [],
  )
})

test('a save that fails takes nothing from those beside it, and a layout of failures alone is not there', async () => {
  await using place = await bench()
  const images = await stored(place, 6)
  // The config comes after the manifest: of these something was written when they fail.
  for (const { id } of images.slice(0, 3)) await place.store.blobs.remove(id)
  const saveAll = (all: readonly ImageData[], path: string): Promise<(string | undefined)[]> =>
    Promise.all(all.map((image) => codeOf(saveImage(place.store, image, path, { format: 'oci' }))))
  const failed = ['store_invalid', 'store_invalid', 'store_invalid']
  const path = join(place.path, 'layout')
  assert.equal(await saveAll(images, path), [...failed, 'none', 'none', 'none'])
  assert.equal(await namesIn(place, path), ['app:3', 'app:4', 'app:5'])
  assert.equal(await saveAll(images.slice(0, 3), join(place.path, 'deep', 'none')), failed)
  assert.not.ok(existsSync(join(place.path, 'deep')))
})

test('a save waits for whoever has locked the layout, and its signal ends that', async () => {
  await using place = await bench()
  const [image] = (await stored(place, 1)) as [ImageData]
  const path = join(place.path, 'layout')
  mkdirSync(path)
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec sleep 600'], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    const abort = new AbortController()
    const saved = codeOf(saveImage(place.store, image, path, { format: 'oci', signal: abort.signal }))
    assert.is(await Promise.race([saved, new Promise((resolve) => setTimeout(resolve, 200, 'waits'))]), 'waits')
    assert.equal(readdirSync(path), [])
    abort.abort()
    assert.is(await saved, 'aborted')
  } finally {
    process.kill(-(holder.pid as number), 'SIGKILL')
  }
  await saveImage(place.store, image, path, { format: 'oci' })
  assert.equal(await namesIn(place, path), ['app:0'])
})

test('a blob that is there and is not what its name says is written anew', async () => {
  await using place = await bench()
  const [image] = (await stored(place, 1)) as [ImageData]
  const path = join(place.path, 'layout')
  await saveImage(place.store, image, path, { format: 'oci' })
  const blobs = [...image.layers.map(({ digest }) => digest), image.id].map((digest) => join(path, 'blobs', digest.replace(':', '/')))
  const before = blobs.map((blob) => readFileSync(blob))
  truncateSync(blobs[0] as string, 10)
  writeFileSync(blobs[1] as string, Buffer.alloc(before[1]?.length as number, 'x'))
  await saveImage(place.store, image, path, { format: 'oci' })
  assert.equal(
    blobs.map((blob) => readFileSync(blob)),
    before,
  )
  rmSync(blobs[0] as string)
  mkdirSync(join(blobs[0] as string, 'of somebody'), { recursive: true })
  assert.is(await codeOf(saveImage(place.store, image, path, { format: 'oci' })), 'image_invalid')
  assert.ok(existsSync(join(blobs[0] as string, 'of somebody')))
})

test('what others have written into index.json stays', async () => {
  await using place = await bench()
  const [image, second] = (await stored(place, 2)) as [ImageData, ImageData]
  const path = join(place.path, 'layout')
  await saveImage(place.store, image, path, { format: 'oci' })
  const index = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')) as { manifests: object[] }
  const [entry] = index.manifests
  const theirs = { ...index, annotations: { 'org.example': 'a' }, 'x-more': [1], manifests: [{ ...entry, urls: ['https://x.invalid/'] }] }
  writeFileSync(join(path, 'index.json'), `\ufeff${JSON.stringify(theirs)}`)
  await saveImage(place.store, second, path, { format: 'oci' })
  const now = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')) as { manifests: object[] }
  assert.equal({ ...now, manifests: now.manifests.slice(0, 1) }, theirs)
  assert.is(now.manifests.length, 2)
})

test('a directory that is no layout, or cannot be one, is refused before anything is written', async () => {
  await using place = await bench()
  const [image] = (await stored(place, 1)) as [ImageData]
  const path = join(place.path, 'layout')
  mkdirSync(path)
  writeFileSync(join(path, 'index.json'), '{}')
  assert.is(await codeOf(saveImage(place.store, image, path, { format: 'oci' })), 'image_invalid')
  assert.equal(readdirSync(path), ['index.json'])
  writeFileSync(join(place.path, 'file'), 'x')
  assert.is(await codeOf(saveImage(place.store, image, join(place.path, 'file'), { format: 'oci' })), 'invalid_argument')
  assert.is(await codeOf(saveImage(place.store, image, join(place.path, 'file', 'layout'), { format: 'oci' })), 'invalid_argument')
})

test.run()
