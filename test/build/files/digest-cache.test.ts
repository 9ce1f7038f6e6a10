import { appendFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { planCopy } from '../../../lib/build/copy.ts'
import { ContextDirectory } from '../../../lib/build/files/context-directory.ts'
import { DigestCache, type FileIdentity } from '../../../lib/build/files/digest-cache.ts'
import type { SourceEntry } from '../../../lib/build/files/entry.ts'
import { Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

const one = 'a1'.repeat(32)
const other = 'b2'.repeat(32)
const file: FileIdentity = { dev: 2049, ino: 77, size: 5, mtimeMs: 1_700_000_000_123.25, ctimeMs: 1_700_000_000_124.5, mode: 0o100644 }
const muchLater = file.ctimeMs + 60_000

interface Place {
  readonly store: Store
  readonly directory: string
  /** The files of the store in which digests are. */
  saved(): string[]
  open(context?: string): Promise<DigestCache>
}

async function withPlace(work: (place: Place) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('digests')
  const store = await Store.open(join(directory.path, 'store'))
  mkdirSync(join(directory.path, 'context'))
  const cache = store.path('cache', 'context')
  await work({
    store,
    directory: join(directory.path, 'context'),
    saved: () => readdirSync(cache).map((name) => join(cache, name)),
    open: (context = '/somewhere') => DigestCache.open(store, context),
  })
  assert.equal(readdirSync(store.path('tmp')), [], 'nothing is left in tmp')
}

async function saveOne({ open }: Place): Promise<void> {
  const cache = await open()
  cache.set(file, one, muchLater)
  await cache.save()
}

test('a digest is known again for the file that looks the same in every respect, and for no other', () =>
  withPlace(async (place) => {
    await saveOne(place)
    const cache = await place.open()
    assert.is(cache.get(file), one)
    for (const [name, value] of Object.entries(file)) assert.is(cache.get({ ...file, [name]: value + 0.25 }), undefined, name)
    assert.is((await place.open('/elsewhere')).get(file), undefined, 'each context has its own')
  }))

test('a file that had changed less than two seconds before it was read, or has a time to come, is not remembered', () =>
  withPlace(async ({ open }) => {
    const cache = await open()
    cache.set(file, one, file.ctimeMs + 1900)
    assert.is(cache.get(file), undefined)
    cache.set({ ...file, mtimeMs: muchLater + 1 }, one, muchLater)
    assert.is(cache.get({ ...file, mtimeMs: muchLater + 1 }), undefined)
    cache.set(file, one, file.ctimeMs + 2100)
    assert.is(cache.get(file), one)
  }))

test('what is torn or damaged counts as none, and is replaced', () =>
  withPlace(async (place) => {
    for (const damage of [
      (path: string) => truncateSync(path, 60),
      (path: string) => appendFileSync(path, 'x'),
      (path: string) => writeFileSync(path, ''),
      (path: string) => {
        const bytes = readFileSync(path)
        bytes[80] = (bytes[80] ?? 0) ^ 1
        writeFileSync(path, bytes)
      },
    ]) {
      await saveOne(place)
      for (const path of place.saved()) damage(path)
      assert.is((await place.open()).get(file), undefined)
    }
    await saveOne(place)
    assert.is((await place.open()).get(file), one)
  }))

test('what a build did not look at stays for others, what has turned out wrong does not', () =>
  withPlace(async (place) => {
    await saveOne(place)
    const cache = await place.open()
    cache.set({ ...file, ino: 78 }, other, muchLater)
    await cache.save()
    const next = await place.open()
    assert.equal([next.get(file), next.get({ ...file, ino: 78 })], [one, other])
    next.forget(file)
    assert.is(next.get(file), undefined)
    await next.save()
    const last = await place.open()
    assert.equal([last.get(file), last.get({ ...file, ino: 78 })], [undefined, other])
  }))

test('processes that save at once leave the whole of one, and a store remembers no more than 32 contexts', () =>
  withPlace(async (place) => {
    await Promise.all(
      Array.from({ length: 40 }, async (_, at) => {
        const cache = await place.open(`/context-${at % 36}`)
        cache.set({ ...file, ino: at + 1 }, one, muchLater)
        await cache.save()
      }),
    )
    assert.ok(place.saved().length <= 32, String(place.saved().length))
    const found = await Promise.all(
      Array.from({ length: 40 }, async (_, at) => (await place.open(`/context-${at % 36}`)).get({ ...file, ino: at + 1 })),
    )
    assert.ok(found.filter((digest) => digest === one).length >= 20)
  }))

test('a context reads no file twice that has not changed, and every one that has', () =>
  withPlace(async ({ open, directory }) => {
    const path = (name: string) => join(directory, name)
    for (const name of ['a', 'b', 'c']) writeFileSync(path(name), name)
    const request = { paths: ['.'], where: 'the context' }
    /** The files that were read, and the key of it all. */
    const plan = async (): Promise<{ read: string[]; content: string }> => {
      const read: string[] = []
      const source = new (class extends ContextDirectory {
        override async *read(entry: SourceEntry): AsyncIterable<Buffer> {
          read.push(entry.origin)
          yield* super.read(entry)
        }
        override readNow(entry: SourceEntry): Buffer {
          read.push(entry.origin)
          return super.readNow(entry)
        }
      })(directory)
      source.use(await open(source.root))
      const { content } = await planCopy(request, source)
      await source[Symbol.asyncDispose]()
      return { read, content }
    }
    const first = await plan()
    assert.equal((await plan()).read, ['a', 'b', 'c'], 'just written: they may change unseen')
    await sleep(2100)
    assert.equal((await plan()).read, ['a', 'b', 'c'])
    assert.equal(await plan(), { read: [], content: first.content })
    const { atime, mtime } = lstatSync(path('b'))
    writeFileSync(path('b'), 'B')
    utimesSync(path('b'), atime, mtime)
    const changed = await plan()
    assert.equal(changed.read, ['b'], 'its size and its time of change are as they were')
    assert.is.not(changed.content, first.content)
    writeFileSync(path('b'), 'b')
    assert.is((await plan()).content, first.content, 'the key is of contents, not of times')
  }))

test.run()
