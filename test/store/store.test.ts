import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { foreignHint } from '../../lib/store/foreign.ts'
import { type Descriptor, defaultRoot, digestOf, ownedName, Store } from '../../lib/store/index.ts'
import { testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return await promise.then(
    () => undefined,
    (error: { code: string }) => error.code,
  )
}

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

function descriptor(text: string): Descriptor {
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(text), size: text.length }
}

test('a new store is an OCI image layout with its other directories beside it, for its owner only', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(join(directory.path, 'new', 'store'))
  assert.equal(readdirSync(store.root).sort(), ['cache', 'containers', 'content', 'locks', 'snapshots', 'tmp', 'volumes'])
  assert.equal(JSON.parse(readFileSync(store.path('content', 'oci-layout'), 'utf8')), { imageLayoutVersion: '1.0.0' })
  assert.equal(JSON.parse(readFileSync(store.path('content', 'index.json'), 'utf8')).manifests, [])
  assert.is(statSync(store.root).mode & 0o777, 0o700)
  await Store.open(store.root)
})

test('the root comes from STRAKE_ROOT, else from the user', () => {
  assert.is(defaultRoot({ STRAKE_ROOT: '/x/y' }), '/x/y')
  const expected = process.getuid?.() === 0 ? '/var/lib/strake' : '/data/strake'
  assert.is(defaultRoot({ XDG_DATA_HOME: '/data' }), expected)
  assert.is(defaultRoot({ XDG_DATA_HOME: 'data' }), defaultRoot({}))
})

test('what somebody else has made in a store is told with the command that gives it back', () => {
  const refused = (path: string): Error => Object.assign(new Error('no'), { code: 'EACCES', path })
  const hint = foreignHint('/a store', refused('/'))
  if (process.geteuid?.() === 0) assert.is(hint, undefined)
  else assert.match(hint ?? '', /uid 0.* sudo find '\/a store' -uid 0 -exec chown -h \d+ \{\} \+$/)
  using directory = temporaryDirectory('store')
  assert.is(foreignHint('/a store', refused(directory.path)), undefined)
  assert.is(foreignHint('/a store', new Error('another')), undefined)
})

test('a place that cannot be a store is refused with what to do', async () => {
  using directory = temporaryDirectory('store')
  writeFileSync(join(directory.path, 'file'), '')
  assert.is(await codeOf(Store.open(join(directory.path, 'file', 'store'))), 'store_invalid')
})

testAs(test, ['subid', 'single'], 'a store that this user may read and not write is refused when it is opened', async () => {
  using directory = temporaryDirectory('store')
  const { root } = await Store.open(directory.path)
  for (const mode of [0o500, 0o700]) {
    for (const name of readdirSync(root)) chmodSync(join(root, name), mode)
    assert.is(await codeOf(Store.open(root)), mode === 0o500 ? 'store_invalid' : undefined)
  }
})

testAs(test, ['root'], 'a store on a file system that is mounted read-only is refused when it is opened', async () => {
  using directory = temporaryDirectory('store')
  const { root } = await Store.open(directory.path)
  const face = new URL('../../lib/store/index.ts', import.meta.url).pathname
  const code = `import { Store } from ${JSON.stringify(face)}; await Store.open(process.argv[1]).catch((error) => console.log(error.code, error.message))`
  const readOnly = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code, root]
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', readOnly, 'sh', root, ...node], { encoding: 'utf8' })
  assert.match(stdout, /^store_invalid the file system of the store .* is read-only/, stderr)
})

test('a blob comes back as it was put, from bytes or a stream, once', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const info = await blobs.put(pieces('hello ', 'world'))
  assert.equal(info, { digest: digestOf('hello world'), size: 11 })
  assert.equal(await blobs.put(Buffer.from('hello world')), info)
  assert.is((await blobs.read(info.digest)).toString(), 'hello world')
  const parts: Buffer[] = []
  for await (const part of await blobs.stream(info.digest)) parts.push(part as Buffer)
  assert.is(Buffer.concat(parts).toString(), 'hello world')
  const all = []
  for await (const each of blobs.list()) all.push(each)
  assert.equal(all, [info])
  await blobs.remove(info.digest)
  assert.not(await blobs.has(info.digest))
  assert.is(await codeOf(blobs.read(info.digest)), 'store_invalid')
})

test('I04: a blob under a sha512 digest works', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const digest = digestOf('x', 'sha512')
  assert.is((await blobs.put(pieces('x'), { digest })).digest, digest)
  assert.is((await blobs.read(digest)).toString(), 'x')
})

const wrong: readonly [string, { digest?: string; size?: number; maxSize?: number }, string][] = [
  ['I01: a blob of another digest', { digest: digestOf('other') }, 'digest_mismatch'],
  ['I01: a blob that is shorter', { size: 12 }, 'size_mismatch'],
  ['I01: a blob that is longer', { size: 10 }, 'size_mismatch'],
  ['L16: the digest right, the size wrong', { digest: digestOf('hello world'), size: 12 }, 'size_mismatch'],
  ['a blob beyond the limit', { maxSize: 10 }, 'limit_exceeded'],
]
for (const [what, expected, code] of wrong) {
  test(`${what} is refused and leaves nothing`, async () => {
    using directory = temporaryDirectory('store')
    const store = await Store.open(directory.path)
    assert.is(await codeOf(store.blobs.put(pieces('hello ', 'world'), expected as object)), code)
    assert.equal(readdirSync(store.path('content', 'blobs', 'sha256')), [])
    assert.equal(readdirSync(store.path('tmp')), [])
  })
}

test('I01: an endless blob is refused at the first byte too many', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  let given = 0
  let closed = false
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        given += 1
        yield Buffer.alloc(10)
      }
    } finally {
      closed = true
    }
  }
  assert.is(await codeOf(blobs.put(endless(), { size: 25 })), 'size_mismatch')
  assert.is(given, 3)
  assert.ok(closed)
})

test('a blob whose size on disk is not the one announced is not taken for it', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const { digest } = await blobs.put(Buffer.from('abc'))
  assert.is(await codeOf(blobs.put(pieces('abc'), { digest, size: 4 })), 'size_mismatch')
})

test('a blob that is there with another size than is announced is replaced, by what turns out to be it only', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const { digest, size } = await blobs.put(Buffer.from('abc'))
  writeFileSync(blobs.path(digest), 'a')
  assert.is(await codeOf(blobs.put(pieces('abd'), { digest, size })), 'digest_mismatch')
  assert.is(await blobs.size(digest), 1)
  await blobs.put(pieces('abc'), { digest, size })
  assert.is((await blobs.read(digest)).toString(), 'abc')
})

test('a source that fails leaves nothing', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from('abc')
    throw new Error('gone')
  }
  assert.is(
    await store.blobs.put(failing()).then(
      () => '',
      (error: Error) => error.message,
    ),
    'gone',
  )
  assert.equal(readdirSync(store.path('tmp')), [])
})

test('a flipped bit is found when a blob is read', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const { digest } = await blobs.put(Buffer.from('abc'))
  writeFileSync(blobs.path(digest), 'abd')
  assert.is(await codeOf(blobs.read(digest)), 'store_invalid')
})

test('a directory in the place of a blob is no blob: it goes when the blob comes, or is removed', async () => {
  using directory = temporaryDirectory('store')
  const { blobs } = await Store.open(directory.path)
  const { digest } = await blobs.put(Buffer.from('content'))
  await blobs.remove(digest)
  mkdirSync(join(blobs.path(digest), 'x'), { recursive: true })
  assert.is(await blobs.size(digest), undefined)
  await blobs.put(Buffer.from('content'))
  assert.is((await blobs.read(digest)).toString(), 'content')
  await blobs.remove(digest)
  mkdirSync(join(blobs.path(digest), 'x'), { recursive: true })
  await blobs.remove(digest)
  assert.not(existsSync(blobs.path(digest)))
})

test('a name points to one image; an image may have many names or none', async () => {
  using directory = temporaryDirectory('store')
  const { refs } = await Store.open(directory.path)
  await refs.set('a:1', descriptor('one'))
  await refs.set('b:1', descriptor('one'))
  await refs.set('a:1', descriptor('two'))
  assert.equal(
    (await refs.list()).map(({ name, descriptor: { digest } }) => [name, digest]),
    [
      ['b:1', digestOf('one')],
      ['a:1', digestOf('two')],
    ],
  )
  await refs.unset('a:1')
  assert.equal(
    (await refs.list()).map(({ name }) => name),
    ['b:1', undefined],
  )
  await refs.set('c:1', descriptor('two'))
  assert.equal(
    (await refs.list()).map(({ name }) => name),
    ['b:1', 'c:1'],
  )
  await refs.set(undefined, descriptor('two'))
  assert.is((await refs.list()).length, 2, 'one that has a name is not kept a second time')
  assert.equal(await refs.remove(digestOf('two')), ['c:1'])
  assert.is(await refs.get('c:1'), undefined)
  assert.is(await refs.unset('c:1'), undefined)
})

test('changes of several at once are all kept', async () => {
  using directory = temporaryDirectory('store')
  const one = await Store.open(directory.path)
  const other = await Store.open(directory.path)
  await Promise.all(Array.from({ length: 20 }, (_, each) => (each % 2 ? one : other).refs.set(`n:${each}`, descriptor(`${each}`))))
  assert.is((await one.refs.list()).length, 20)
})

test('annotations and fields of others in index.json stay', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  writeFileSync(
    store.path('content', 'index.json'),
    JSON.stringify({ schemaVersion: 2, annotations: { a: 'b' }, manifests: [{ ...descriptor('one'), annotations: { x: 'y' } }] }),
  )
  await store.refs.set('n:1', { ...descriptor('one'), annotations: { x: 'y' } })
  const index = JSON.parse(readFileSync(store.path('content', 'index.json'), 'utf8'))
  assert.equal(index.annotations, { a: 'b' })
  assert.equal(
    index.manifests.map((each: Descriptor) => each.annotations),
    [{ x: 'y', 'org.opencontainers.image.ref.name': 'n:1' }],
  )
})

for (const [what, text] of [
  ['not JSON', '{'],
  ['no index', '[]'],
  ['null', 'null'],
  ['a digest that is a path', '{"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../../x"}]}'],
] as const) {
  test(`an index.json that is ${what} is store_invalid`, async () => {
    using directory = temporaryDirectory('store')
    const store = await Store.open(directory.path)
    writeFileSync(store.path('content', 'index.json'), text)
    assert.is(await codeOf(store.refs.list()), 'store_invalid')
  })
}

test('what processes that are gone left half done is swept on open, what the living have is not', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  const dead = '4194000-1-deadbeef-1-x'
  writeFileSync(store.path('tmp', `${dead}.blob`), '')
  mkdirSync(store.path('snapshots', `.tmp.${dead}`, 'a'), { recursive: true })
  const kept = [store.path('tmp', `${ownedName()}.blob`), store.temporary('snapshots'), store.path('snapshots', 'a'.repeat(64))]
  for (const path of kept) mkdirSync(path)
  await Store.open(directory.path)
  assert.equal(readdirSync(store.path('tmp')).length + readdirSync(store.path('snapshots')).length, 3)
  for (const path of kept) assert.ok(existsSync(path))
})

test('work under a lock that fails gives the lock back', async () => {
  using directory = temporaryDirectory('store')
  const store = await Store.open(directory.path)
  assert.is(
    await store
      .withLock('x', () => Promise.reject(new Error('no')))
      .then(
        () => '',
        (error: Error) => error.message,
      ),
    'no',
  )
  assert.is(await store.withLock('x', () => Promise.resolve(7), { timeout: 500 }), 7)
})

test.run()
