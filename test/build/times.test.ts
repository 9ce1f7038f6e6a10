import { lutimesSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { bind } from '../../lib/build/index.ts'
import { type ImageBuilder, image } from '../../lib/fluent/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { packLayer, walkTar } from '../../lib/layers/index.ts'
import { test } from '../support/uvu.ts'
import { type Bench, withBench } from './bench.ts'

const scratch = image('scratch')
const epoch = 1_700_000_000
/** Both before the epoch. */
const years = [978_307_200, 1_009_843_200] as const

/** Gives everything in a directory, and itself, that time. */
function date(path: string, time: number): void {
  for (const each of ['', ...readdirSync(path, { recursive: true, encoding: 'utf8' })]) lutimesSync(join(path, each), time, time)
}

function layOut(context: string): void {
  mkdirSync(join(context, 'd/sub'), { recursive: true })
  writeFileSync(join(context, 'd/f'), 'text')
  writeFileSync(join(context, 'd/sub/g'), 'more')
  symlinkSync('f', join(context, 'd/link'))
}

async function withEpoch(work: (bench: Bench) => Promise<void>, seconds = epoch): Promise<void> {
  process.env.SOURCE_DATE_EPOCH = String(seconds)
  try {
    await withBench(work)
  } finally {
    delete process.env.SOURCE_DATE_EPOCH
  }
}

/** The times of all that is in the last layer. */
async function timesOf({ runtime }: Bench, built: ImageData): Promise<ReadonlySet<number>> {
  const times = new Set<number>()
  const digest = built.layers.at(-1)?.digest
  assert.ok(digest)
  for await (const { mtime } of walkTar([await runtime.store.blobs.read(digest)])) times.add(mtime.sec)
  return times
}

async function tarOf(mtime: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  const entries = [{ path: 'f', type: 'file', content: 'text', mtime: { sec: mtime, nsec: 0 } }] as const
  for await (const piece of packLayer(entries)) pieces.push(piece)
  return Buffer.concat(pieces)
}

const copies: Readonly<Record<string, ImageBuilder>> = {
  'a copy': scratch.copy('.', '/srv/'),
  'a copy that is linked': scratch.copy('.', '/srv/', { link: true }),
  'a copy that keeps the directories of its paths': scratch.copy('d/sub/g', '/srv/', { parents: true }),
  'an add': scratch.add('.', '/srv/'),
  'an add that is linked': scratch.add('d', '/srv/', { link: true }),
}

for (const [name, copy] of Object.entries(copies)) {
  test(`with SOURCE_DATE_EPOCH the times of the context's files are that, whatever they were: ${name}`, () =>
    withEpoch(async (bench) => {
      layOut(bench.context)
      const digests = new Set<string>()
      for (const time of years) {
        date(bench.context, time)
        const built = await bench.build(copy, { noCache: true })
        digests.add(built.digest)
        assert.equal([...(await timesOf(bench, built))], [epoch])
      }
      assert.is(digests.size, 1)
    }))
}

test('with SOURCE_DATE_EPOCH the times of a tar as context, of listed files and of files from memory are that', () =>
  withEpoch(async (bench) => {
    layOut(bench.context)
    const root = join(bench.context, 'd')
    const digests: string[] = []
    for (const time of years) {
      date(bench.context, time)
      for (const context of [{ files: ['f'], root }, { tar: await tarOf(time) }, { memory: { f: 'text' } }])
        digests.push((await bench.build(scratch.copy('f', '/'), { context, noCache: true })).digest)
    }
    assert.is(new Set(digests).size, 1)
  }))

test('with SOURCE_DATE_EPOCH the time of a file that is downloaded is that', () =>
  withEpoch(async (bench) => {
    let changed = new Date(years[0] * 1000)
    const server = createServer((_, response) => response.setHeader('last-modified', changed.toUTCString()).end('x'))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    try {
      const address = server.address()
      const add = scratch.add(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/f`, '/')
      const first = await bench.build(add, { noCache: true })
      changed = new Date(years[1] * 1000)
      assert.is((await bench.build(add, { noCache: true })).digest, first.digest)
      assert.equal([...(await timesOf(bench, first))], [epoch])
    } finally {
      await new Promise((done) => server.close(done))
    }
  }))

test('with SOURCE_DATE_EPOCH a command sees files of the context that are bound with that time', () =>
  withEpoch(async (bench) => {
    layOut(bench.context)
    const seen: (string | undefined)[] = []
    for (const time of years) {
      date(bench.context, time)
      const built = await bench.build(image('host').run('stat -c %Y /b/f /b/sub > /seen', { mounts: [bind('/b', { source: 'd' })] }), {
        noCache: true,
      })
      seen.push(await bench.read(built, 'seen'))
    }
    assert.equal(seen, Array(2).fill(`${epoch}\n${epoch}\n`))
  }))

test('with SOURCE_DATE_EPOCH what comes from another image or is unpacked from an archive keeps an earlier time', () =>
  withEpoch(async (bench) => {
    const [old] = years
    writeFileSync(join(bench.context, 'a.tar'), await tarOf(old))
    const unpacked = scratch.add('a.tar', '/')
    assert.equal([...(await timesOf(bench, await bench.build(unpacked)))], [old])
    assert.equal([...(await timesOf(bench, await bench.build(scratch.copy('/f', '/', { from: unpacked }))))], [old])
    assert.equal([...(await timesOf(bench, await bench.build(scratch.copy('/f', '/', { from: unpacked, link: true }))))], [old])
    writeFileSync(join(bench.context, 'a.tar'), await tarOf(epoch + 5))
    assert.equal([...(await timesOf(bench, await bench.build(unpacked)))], [epoch])
  }))

test("without SOURCE_DATE_EPOCH files have their own times, and a layer is put together from one of another epoch's only where they are the same", () =>
  withBench(async (bench) => {
    const [old] = years
    for (let at = 0; at < 520; at += 1) writeFileSync(join(bench.context, `f${at}`), `${at}`)
    date(bench.context, old)
    const copy = scratch.copy('.', '/')
    const digests: string[] = []
    for (const given of [undefined, epoch, epoch + 1, undefined]) {
      if (given === undefined) delete process.env.SOURCE_DATE_EPOCH
      else process.env.SOURCE_DATE_EPOCH = String(given)
      const built = await bench.build(copy, { noCache: true })
      assert.equal([...(await timesOf(bench, built))], [given ?? old])
      digests.push(built.layers.at(-1)?.digest ?? '')
    }
    assert.is(digests[3], digests[0])
    assert.is(new Set(digests).size, 3)
  }))

test.run()
