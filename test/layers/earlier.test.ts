import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type LayerEntry, storeLayer, storeLayerAgain } from '../../lib/layers/index.ts'
import { type Digest, Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** What a step packs: files by path. Sorted as a layer is. */
type Files = ReadonlyMap<string, Partial<LayerEntry> & { readonly text?: string }>

class Bench {
  readonly #base: string
  readonly read: string[] = []
  readonly store: Store
  #count = 0

  constructor(base: string, store: Store) {
    this.#base = base
    this.store = store
  }

  *entries(files: Files, read: string[] = []): Generator<LayerEntry> {
    for (const [path, { text, ...entry }] of [...files].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const content = (): Buffer | Iterable<Buffer> => {
        read.push(path)
        const bytes = Buffer.from(text ?? '')
        return bytes.length > 100_000 ? [bytes.subarray(0, 5), bytes.subarray(5)] : bytes
      }
      if (text === undefined) yield { path, type: 'directory', ...entry }
      else yield { path, type: 'file', size: Buffer.byteLength(text), digest: sha256(text), content, ...entry }
    }
  }

  /** Packs by the step; resolves to the paths whose content was asked for. Asserts that it is what is packed with nothing known. */
  async pack(files: Files, options: { clampTime?: number } = {}, step = 'step'): Promise<string[]> {
    const read: string[] = []
    const again = await storeLayerAgain(this.store, step, () => this.entries(files, read), options)
    this.#count += 1
    const fresh = await Store.open(join(this.#base, `fresh-${this.#count}`))
    const whole = await storeLayer(fresh, this.entries(files), options)
    assert.equal(again, whole)
    assert.ok(readFileSync(this.blob(again.descriptor.digest)).equals(readFileSync(fresh.blobs.path(whole.descriptor.digest))))
    return read
  }

  blob(digest: Digest): string {
    return this.store.blobs.path(digest)
  }

  /** What the store remembers. */
  remembered(): string[] {
    const directory = this.store.path('cache', 'packed')
    return existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []
  }

  async digestOf(files: Files): Promise<Digest> {
    return (await storeLayerAgain(this.store, 'step', () => this.entries(files))).descriptor.digest
  }
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('earlier')
  const store = await Store.open(join(directory.path, 'store'))
  await work(new Bench(directory.path, store))
  assert.equal(readdirSync(store.path('tmp')), [], 'nothing is left in tmp')
}

function manyFiles(count = 600): Map<string, Partial<LayerEntry> & { readonly text?: string }> {
  const files = new Map<string, Partial<LayerEntry> & { readonly text?: string }>([['d', {}]])
  for (let at = 0; at < count; at += 1) files.set(`d/f${at}`, { text: `${at} ${'x'.repeat((at * 37) % 1500)}` })
  files.set('d/large', { text: 'l'.repeat(1_300_000) })
  files.set('e', { mode: 0o700 })
  return files
}

test('what is as it was is taken over unread, and the layer is that of a first time', () =>
  withBench(async (bench) => {
    const files = manyFiles()
    assert.is((await bench.pack(files)).length, 601)
    assert.equal(await bench.pack(files), [])
    files.set('d/f7', { text: 'changed' })
    assert.equal(await bench.pack(files), ['d/f7'])
    files.delete('d/f300')
    files.set('a', { text: 'the first one' })
    files.set('z', { text: '' })
    files.set('d/large', { text: 'm'.repeat(1_300_001) })
    assert.equal(await bench.pack(files), ['a', 'd/large', 'z'])
    for (const path of [...files.keys()].filter((each) => each.startsWith('d/f1'))) files.delete(path)
    assert.equal(await bench.pack(files), [])
  }))

test('an entry is another one if anything of it is', () =>
  withBench(async (bench) => {
    const files = manyFiles()
    await bench.pack(files)
    const text = 'the same'
    const changes: Partial<LayerEntry>[] = [
      {},
      { mode: 0o600 },
      { uid: 5 },
      { gid: 5 },
      { uid: 55 },
      { mtime: { sec: 5, nsec: 0 } },
      { mtime: { sec: 5, nsec: 7 } },
      { xattrs: new Map([['user.a', Buffer.from('1')]]) },
      { xattrs: new Map([['user.a', Buffer.from([0, 255])]]) },
    ]
    for (const change of changes) {
      files.set('d/f5', { text, ...change })
      assert.equal(await bench.pack(files), ['d/f5'], JSON.stringify(change))
    }
    files.set('d/f5', { text, mtime: { sec: 900, nsec: 5 } })
    assert.equal(await bench.pack(files, { clampTime: 1000 }), ['d/f5'])
    assert.equal(await bench.pack(files, { clampTime: 900 }), ['d/f5'], 'the time that counts is the one it is clamped to')
  }))

test('links, and names that end where others begin, are told apart', () =>
  withBench(async (bench) => {
    const files = manyFiles()
    const link = (path: string, linkPath: string): void => {
      files.set(path, { type: 'symlink', linkPath })
    }
    link('l/ab', 'c')
    await bench.pack(files)
    files.delete('l/ab')
    link('l/a', 'bc')
    await bench.pack(files)
    link('l/a', 'b'.repeat(200))
    files.set(`${'n'.repeat(90)}/${'m'.repeat(140)}`, { text: 'long' })
    await bench.pack(files)
    await bench.pack(files)
  }))

test('a random history of a directory makes the layers that it would make with nothing known', () =>
  withBench(async (bench) => {
    let seed = 20261130
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return seed % below
    }
    const files = manyFiles(500)
    for (let round = 0; round < 12; round += 1) {
      for (let change = random(40); change >= 0; change -= 1) {
        const path = `d/f${random(700)}`
        if (random(3) === 0) files.delete(path)
        else files.set(path, { text: `${random(5)}`, ...(random(4) === 0 ? { mode: 0o755 } : {}) })
      }
      await bench.pack(files)
    }
  }))

test('each step has its own, the last layer counts, and small layers are not remembered', () =>
  withBench(async (bench) => {
    const files = manyFiles()
    await bench.pack(files)
    assert.is((await bench.pack(files, {}, 'another')).length, 601)
    assert.is(bench.remembered().length, 2)
    await bench.pack(new Map([['f', { text: '1' }]]), {}, 'small')
    assert.is(bench.remembered().length, 2)
  }))

test('a layer whose blob is damaged, shorter or gone is packed anew, and so is one of which what is known is torn', () =>
  withBench(async (bench) => {
    const files = manyFiles()
    const damages: ((blob: string) => void)[] = [
      (blob) => {
        const bytes = readFileSync(blob)
        bytes[700_000] = (bytes[700_000] ?? 0) ^ 1
        writeFileSync(blob, bytes)
      },
      (blob) => truncateSync(blob, 4000),
      (blob) => truncateSync(blob, readFileSync(blob).length - 10),
      (blob) => rmSync(blob),
      () => {
        for (const path of bench.remembered()) truncateSync(path, 3000)
      },
      () => {
        for (const path of bench.remembered()) writeFileSync(path, '')
      },
    ]
    for (const [index, damage] of damages.entries()) {
      const digest = await bench.digestOf(files)
      damage(bench.blob(digest))
      files.set('d/f1', { text: `after damage ${index}` })
      assert.ok((await bench.pack(files)).length >= 601, `damage ${index}`)
      assert.equal(await bench.pack(files), [], 'and is known from then on')
      files.set('d/f2', { text: `after damage ${index}` })
    }
  }))

test.run()
