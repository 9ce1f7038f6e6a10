import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { Images, type ImportOptions, importImage, importRootfsFile, loadImages } from '../../lib/images/index.ts'
import type { Store } from '../../lib/store/index.ts'
import { file, tar } from '../layers/tar-maker.ts'
import { test } from '../support/uvu.ts'
import { bench, layers, layoutFiles, makeImage, tarOf, writeFiles } from './maker.ts'

const loader = fileURLToPath(new URL('loader.ts', import.meta.url))

interface Told {
  readonly code?: string
  readonly cause?: unknown
  readonly details?: { readonly limit?: string }
}

async function toldBy(promise: Promise<unknown>): Promise<Told> {
  return await promise.then(
    () => ({ code: 'none' }),
    (error: Told) => error,
  )
}

async function assertEmpty(store: Store, what: string): Promise<void> {
  for await (const { digest } of store.blobs.list()) assert.unreachable(`${what}: ${digest} stays`)
  assert.equal(await store.refs.list(), [], what)
  assert.equal(readdirSync(store.path('tmp')), [], what)
  assert.is(store.holds.held().size, 0, what)
}

type Read = (store: Store, path: string, options: ImportOptions) => Promise<unknown>

/** Each way to bring in an image: what makes what it reads, and what reads it. */
async function ways(path: string): Promise<readonly (readonly [string, string, Read])[]> {
  const image = (gzip: boolean) => makeImage([tar(file('large', 'x'.repeat(100_000)))], { gzip, tag: 'docker.io/library/app:1' })
  const written = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(path, name), bytes)
    return join(path, name)
  }
  const load: Read = (store, from, options) => loadImages(store, from, options)
  const rootfs: Read = (store, from, options) => importRootfsFile(store, from, options)
  return [
    ['a layout', writeFiles(join(path, 'plain'), layoutFiles([image(false)])), load],
    ['a layout of gzipped layers', writeFiles(join(path, 'gzip'), layoutFiles([image(true)])), load],
    ['an archive', written('a.tar', await tarOf(layoutFiles([image(false)]))), load],
    ['an archive of gzipped layers', written('g.tar', await tarOf(layoutFiles([image(true)]))), load],
    ['a gzipped archive', written('a.tgz', gzipSync(await tarOf(layoutFiles([image(false)])))), load],
    ['a root file system', written('r.tar', tar(file('large', 'x'.repeat(100_000)))), rootfs],
    ['a gzipped root file system', written('r.tgz', gzipSync(tar(file('large', 'x'.repeat(100_000))))), rootfs],
    ['a layout to build from', join(path, 'plain'), (store, from, options) => importImage(store, { kind: 'layout', path: from }, options)],
  ]
}

test('limits hold for whatever is loaded or imported, also for layers that are compressed', async () => {
  await using place = await bench()
  for (const [what, path, read] of await ways(place.path)) {
    for (const limit of ['fileBytes', 'layerBytes'] as const) {
      const error = await toldBy(read(place.store, path, { limits: { [limit]: 50_000 } }))
      assert.equal([error.code, error.details?.limit], ['limit_exceeded', limit], what)
      await assertEmpty(place.store, what)
    }
    assert.is((await toldBy(read(place.store, path, { limits: { fileBytes: 1e6, layerBytes: 1e7 } }))).code, 'none', what)
    for (const { root } of await new Images(place.store).list()) await new Images(place.store).remove(root.digest)
    for await (const { digest } of place.store.blobs.list()) await place.store.blobs.remove(digest)
  }
})

test('layers that are compressed are stored as they are where limits have them looked into', async () => {
  await using place = await bench()
  const noise = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => Math.imul(at, 2_654_435_761) >>> 13))
  const made = makeImage([...layers, tar(file('noise', noise.toString('latin1')))], { gzip: true, tag: 'docker.io/library/app:1' })
  const path = writeFiles(join(place.path, 'l'), layoutFiles([made]))
  const [image] = await loadImages(place.store, path, { limits: {} })
  for (const { digest, size } of image?.layers ?? []) assert.is((await place.store.blobs.size(digest)) ?? 0, size)
})

test('a signal that is aborted before anything is read leaves the store as it was', async () => {
  await using place = await bench()
  for (const [what, path, read] of await ways(place.path)) {
    const error = await toldBy(read(place.store, path, { signal: AbortSignal.abort('enough') }))
    assert.equal([error.code, error.cause], ['aborted', 'enough'], what)
    await assertEmpty(place.store, what)
  }
})

test('a signal that is aborted while a blob is written leaves the store as it was', async () => {
  await using place = await bench()
  for (const [what, path, read] of await ways(place.path)) {
    const abort = new AbortController()
    const put = place.store.blobs.put.bind(place.store.blobs)
    place.store.blobs.put = async (...given) => {
      abort.abort('enough')
      return await put(...given)
    }
    const error = await toldBy(read(place.store, path, { signal: abort.signal }))
    place.store.blobs.put = put
    assert.equal([error.code, error.cause], ['aborted', 'enough'], what)
    await assertEmpty(place.store, what)
  }
})

/** What the loader says of a pipe that gets this, and whose end comes at once or not at all. */
async function saidOfPipe(store: Store, bytes: Uint8Array, isWhole: boolean): Promise<string> {
  // What Node gives a child is a socket.
  const child = spawn(
    'sh',
    ['-c', 'cat | "$0" "$@"', process.execPath, '--import', 'tsx', loader, store.root, ...(isWhole ? [] : ['aborted'])],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  child.stdin.write(bytes)
  if (isWhole) child.stdin.end()
  let said = ''
  for await (const piece of child.stdout) {
    said += String(piece)
    if (said.endsWith('\n')) child.stdin.destroy()
  }
  return said
}

test('the signal ends what is read from a pipe into which nothing comes any more', async () => {
  await using place = await bench()
  const archive = await tarOf(layoutFiles([makeImage(layers)]))
  for (const begun of [Buffer.alloc(0), archive.subarray(0, 700)]) assert.is(await saidOfPipe(place.store, begun, false), 'aborted\n')
  await assertEmpty(place.store, 'a pipe')
  assert.is(await saidOfPipe(place.store, archive, true), 'loaded 1\n')
})

test.run()
