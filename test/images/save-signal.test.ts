import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import * as assert from 'uvu/assert'
import { type ImageData, loadImages, type SaveOptions, saveImage } from '../../lib/images/index.ts'
import { file, tar } from '../layers/tar-maker.ts'
import { test } from '../support/uvu.ts'
import { type Bench, bench, layoutFiles, makeImage, writeFiles } from './maker.ts'

/** A store with an image that is larger than a pipe, and no smaller when it is compressed. */
async function stored(place: Bench): Promise<ImageData> {
  const noise = Buffer.alloc(300_000)
  for (let at = 0, state = 1; at < noise.length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    noise[at] = state >> 16
  }
  const [image] = await loadImages(
    place.store,
    writeFiles(join(place.path, 'source'), layoutFiles([makeImage([tar(file('noise', noise.toString('latin1')))])])),
  )
  return image as ImageData
}

/** What saving ends with, once `until` has resolved and its signal is aborted; nothing may be kept then. */
async function abortedAfter(
  place: Bench,
  until: Promise<unknown>,
  save: (options: SaveOptions) => Promise<void>,
  options: SaveOptions = {},
): Promise<void> {
  const abort = new AbortController()
  const saved = save({ ...options, signal: abort.signal }).then(
    () => undefined,
    (error: unknown) => error,
  )
  await until
  abort.abort('enough')
  const error = (await saved) as { code?: string; cause?: unknown }
  assert.equal([error?.code, error?.cause], ['aborted', 'enough'])
  assert.is(place.store.holds.held().size, 0, 'nothing is held any more')
}

/** The descriptors of this process that lead to a path. */
function opensOf(path: string): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  })
}

for (const options of [{}, { compress: 'gzip' }, { format: 'docker-archive' }] as const) {
  test(`the signal ends a save into a stream that takes no more, and destroys it: ${JSON.stringify(options)}`, async () => {
    await using place = await bench()
    const image = await stored(place)
    let begun: (value?: unknown) => void = () => {}
    const until = new Promise((resolve) => {
      begun = resolve
    })
    const target = new Writable({ write: () => begun() })
    await abortedAfter(place, until, (more) => saveImage(place.store, image, target, more), options)
    assert.ok(target.destroyed)
  })
}

test('a signal that is aborted before a save destroys the stream, which gets nothing', async () => {
  await using place = await bench()
  const image = await stored(place)
  let pieces = 0
  const target = new Writable({
    write: (_chunk, _encoding, done) => {
      pieces += 1
      done()
    },
  })
  const error = await saveImage(place.store, image, target, { signal: AbortSignal.abort() }).then(
    () => undefined,
    (cause: { code?: string }) => cause,
  )
  assert.equal([error?.code, target.destroyed, pieces], ['aborted', true, 0])
})

test('the signal ends saves into fifos that nobody opens, however many, and all that is of the process goes on', async () => {
  await using place = await bench()
  const image = await stored(place)
  const fifo = join(place.path, 'fifo')
  execFileSync('mkfifo', [fifo])
  // More than libuv has threads: were each of them waiting in open(2), no file could be read any more.
  const abort = new AbortController()
  const saves = Array.from({ length: 8 }, () =>
    saveImage(place.store, image, fifo, { signal: abort.signal }).then(
      () => 'saved',
      (error: { code?: string }) => error.code,
    ),
  )
  await saveImage(place.store, image, join(place.path, 'a.tar'))
  abort.abort()
  assert.equal(
    await Promise.all(saves),
    saves.map(() => 'aborted'),
  )
  assert.is(place.store.holds.held().size, 0)
  assert.equal(opensOf(fifo), [])
})

test('the signal ends a save into a fifo whose reader takes no more', async () => {
  await using place = await bench()
  const image = await stored(place)
  const fifo = join(place.path, 'fifo')
  execFileSync('mkfifo', [fifo])
  const reader = spawn('sh', ['-c', `exec <'${fifo}'; head -c 1 >/dev/null; echo begun; exec sleep 600`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const begun = new Promise((resolve) => reader.stdout.once('data', resolve))
    await abortedAfter(place, begun, (options) => saveImage(place.store, image, fifo, options))
    assert.equal(opensOf(fifo), [])
  } finally {
    reader.kill('SIGKILL')
  }
})

test('a fifo whose reader goes away is told as output that failed, and a device is written to', async () => {
  await using place = await bench()
  const image = await stored(place)
  const fifo = join(place.path, 'fifo')
  execFileSync('mkfifo', [fifo])
  const reader = spawn('head', ['-c', '1', fifo], { stdio: ['ignore', 'ignore', 'inherit'] })
  const code = await saveImage(place.store, image, fifo).then(
    () => 'saved',
    (error: { code?: string }) => error.code,
  )
  reader.kill('SIGKILL')
  assert.is(code, 'output_failed')
  await saveImage(place.store, image, '/dev/null', { signal: new AbortController().signal })
  const full = await saveImage(place.store, image, '/dev/full').catch((error: { code?: string }) => error.code)
  assert.is(full, 'store_full')
})

test('a fifo gets all of it, however slowly it is read', async () => {
  await using place = await bench()
  const image = await stored(place)
  const [fifo, whole, copy] = ['fifo', 'whole', 'copy'].map((name) => join(place.path, name)) as [string, string, string]
  execFileSync('mkfifo', [fifo])
  await saveImage(place.store, image, whole)
  const saved = saveImage(place.store, image, fifo)
  const reader = spawn('dd', [`if=${fifo}`, `of=${copy}`, 'bs=1000', 'status=none'], { stdio: 'inherit' })
  await Promise.all([saved, new Promise((resolve) => reader.once('close', resolve))])
  assert.ok(readFileSync(whole).equals(readFileSync(copy)))
})

test.run()
