// test: timeout 300
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, image, images, type StrakeError, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('store')
let place: ReturnType<typeof temporaryDirectory>

test.before(() => {
  place = temporaryDirectory('store')
  process.env.STRAKE_ROOT = join(place.path, 'store')
})
test.before.each(async () => {
  for (const each of await images.list()) await images.remove(each.digest)
  await store.prune({ images: 'all', cache: true })
})
test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})

async function failure(promise: Promise<unknown>): Promise<StrakeError> {
  try {
    await promise
  } catch (error) {
    return error as StrakeError
  }
  throw new Error('it was to be refused')
}

const blobPath = (digest: string): string => join(store.root, 'content/blobs', digest.replace(':', '/'))
const snapshots = (): string[] => readdirSync(join(store.root, 'snapshots')).sort()

async function base(): Promise<Image> {
  return await image('host').run('echo x > /x').cmd(['sleep', '100']).build({ tag: 'base:1' })
}

test('nothing that a name or the cache leads to is garbage; what nothing leads to goes, with its snapshots', async () => {
  const built = await base()
  const before = snapshots()
  await built.tag('base:2')
  await images.untag('base:1')
  assert.equal(await store.prune(), { blobs: [], snapshots: [], bytes: 0, images: [], records: 0, mounts: 0 })
  await images.remove('base:2')
  await store.prune()
  assert.ok(existsSync(blobPath(built.layers[0]?.digest as string)), 'the cache of the build keeps layers')
  assert.not(existsSync(blobPath(built.digest)))
  assert.equal(snapshots(), before)
  const pruned = await store.prune({ cache: true })
  assert.equal([...pruned.blobs].sort(), built.layers.map(({ digest }) => digest as string).sort())
  assert.ok(pruned.records >= 2)
  assert.equal(snapshots(), [])
  const usage = await store.usage()
  assert.equal([usage.bytes, usage.images.count, usage.garbage.count], [0, 0, 0])
})

test('a build after its cache and its snapshots were pruned makes the same again', async () => {
  const built = await base()
  await store.prune({ images: 'all' })
  assert.equal(await images.list(), [])
  assert.is((await base()).digest, built.digest, 'by the cache')
  assert.is((await built.exec('cat /x')).stdout, 'x\n')
})

test('usage tells what an image has of its own, what it shares, and what could be reclaimed', async () => {
  const one = await base()
  const other = await image(one).run('echo yy > /y').build({ tag: 'other:1' })
  await store.prune({ cache: true })
  const usage = await store.usage()
  const shared = one.layers.reduce((sum, { size }) => sum + size, 0)
  const own = other.layers.at(-1)?.size as number
  const small = (each: Image): number => each.size - each.layers.reduce((sum, { size }) => sum + size, 0)
  const entry = (tag: string) => usage.images.list.find(({ tags }) => tags.includes(tag))
  assert.equal(
    [entry('base:1'), entry('other:1')],
    [
      { digest: one.digest, tags: ['base:1'], bytes: shared + small(one), shared, unique: small(one), inUse: false },
      { digest: other.digest, tags: ['other:1'], bytes: shared + own + small(other), shared, unique: own + small(other), inUse: false },
    ],
  )
  assert.is(usage.images.bytes, shared + own + small(one) + small(other))
  assert.is(usage.images.reclaimable, usage.images.bytes)
  assert.is(usage.snapshots.count, 3)
  assert.is(usage.reclaimable, usage.bytes)
  await using container = await other.start({ cmd: ['sleep', '100'] })
  await container.exec('echo 12345 > /written')
  const running = await store.usage()
  assert.equal([running.containers.count, running.containers.reclaimable], [1, 0])
  assert.ok(running.containers.bytes >= 6)
  assert.equal([running.images.reclaimable, running.snapshots.reclaimable], [small(one), 0])
  assert.is(running.images.list.find(({ digest }) => digest === other.digest)?.inUse, true)
})

test('an image that a container runs from is not removed unless forced, and stays on disk until the container is gone', async () => {
  const built = await base()
  await store.prune({ cache: true })
  const container = await built.start()
  try {
    const error = await failure(images.remove('base:1'))
    assert.is(error.code, 'image_in_use')
    assert.equal(error.details?.processes, [process.pid])
    assert.equal((await store.prune({ images: 'all' })).images, [])
    await images.remove('base:1', { force: true })
    assert.is((await failure(images.get('base:1'))).code, 'image_not_found')
    assert.equal((await store.prune({ images: 'all', cache: true })).snapshots, [])
    assert.is((await container.exec('cat /x')).stdout, 'x\n')
    const kept = await container.snapshot({ tag: 'kept:1' })
    assert.is(kept.layers.length, built.layers.length + 1)
    await images.remove('kept:1')
  } finally {
    await container.remove()
  }
  assert.is((await store.prune({ images: 'all', cache: true })).snapshots.length, built.layers.length)
})

test('what another process runs from is in use, and free once that process is gone', async () => {
  const built = await base()
  const script = `
    const { images } = await import(${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)})
    const container = await (await images.get('base:1')).start()
    console.log(container.pid)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  try {
    const error = await failure(images.remove('base:1'))
    assert.equal([error.code, error.details?.processes], ['image_in_use', [child.pid]])
    await images.remove('base:1', { force: true })
    assert.equal((await store.prune({ images: 'all', cache: true })).snapshots, [])
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  assert.is((await store.prune({ images: 'all', cache: true })).snapshots.length, built.layers.length)
})

test('prune removes what a process that was killed had begun, though the store was open before', async () => {
  await base()
  const child = spawn('true')
  await once(child, 'exit')
  const name = `${child.pid}-1-0-1-x`
  for (const directory of ['tmp', 'snapshots']) writeFileSync(join(store.root, directory, `.tmp.${name}`), 'x')
  await store.prune()
  for (const directory of ['tmp', 'snapshots'])
    assert.equal(
      readdirSync(join(store.root, directory)).filter((each) => each.startsWith('.tmp')),
      [],
    )
})

test('prune takes images without a name, or all, and leaves those that are young', async () => {
  const built = await base()
  const unnamed = await image(built).label({ a: 'b' }).build()
  assert.equal((await store.prune({ images: 'untagged', olderThan: 3600_000 })).images, [])
  assert.equal((await store.prune({ images: 'untagged' })).images, [{ digest: unnamed.digest, tags: [] }])
  assert.equal((await store.prune({ cache: true, olderThan: 3600_000 })).records, 0)
  assert.equal((await store.prune({ images: 'all' })).images, [{ digest: built.digest, tags: ['base:1'] }])
})

test('verify finds a flipped bit and names who uses it; mended, the image is gone and everything else whole', async () => {
  const built = await base()
  const other = await image('scratch').copy({ f: 'f' }, '/').build({ tag: 'other:1' })
  assert.equal((await store.verify()).problems, [])
  const layer = built.layers.at(-1)?.digest as string
  const bytes = readFileSync(blobPath(layer))
  bytes[700] = (bytes[700] as number) ^ 1
  writeFileSync(blobPath(layer), bytes)
  const report = await store.verify()
  assert.is(report.ok, false)
  assert.equal(
    report.problems.map(({ kind, what, digest, path, usedBy, mended }) => ({ kind, what, digest, path, usedBy, mended })),
    [
      {
        kind: 'blob',
        what: 'digest',
        digest: layer,
        path: blobPath(layer),
        usedBy: { tags: ['base:1'], images: [built.digest], processes: [] },
        mended: false,
      },
    ],
  )
  const mended = await store.verify({ mend: true })
  assert.equal([mended.ok, mended.problems.map((each) => each.mended)], [true, [true]])
  assert.equal((await store.verify()).problems, [])
  assert.is((await failure(images.get('base:1'))).code, 'image_not_found')
  assert.is((await images.get('other:1')).digest, other.digest)
  assert.is((await (await base()).exec('cat /x')).stdout, 'x\n')
})

test('verify finds blobs that are cut short, missing, or damaged manifests', async () => {
  const built = await base()
  writeFileSync(blobPath(built.layers[0]?.digest as string), 'short')
  rmSync(blobPath(built.layers[1]?.digest as string))
  const what = (await store.verify()).problems.map((each) => [each.what, each.digest, each.usedBy.tags])
  assert.equal(what, [
    ['size', built.layers[0]?.digest, ['base:1']],
    ['missing', built.layers[1]?.digest, ['base:1']],
  ])
  assert.ok((await store.verify({ mend: true })).ok)
  const again = await base()
  writeFileSync(blobPath(again.digest), '{}')
  assert.is((await failure(store.prune())).code, 'store_invalid', 'what a damaged manifest needs is not known')
  assert.ok((await store.verify({ mend: true })).ok)
  await store.prune()
  assert.equal((await store.verify()).problems, [])
})

test('verify finds a directory in the place of a layer, a config or a manifest; mended, it is gone', async () => {
  for (const part of ['layer', 'config', 'manifest'] as const) {
    const built = await base()
    const digest = { layer: built.layers.at(-1)?.digest as string, config: built.id, manifest: built.digest }[part]
    rmSync(blobPath(digest))
    mkdirSync(join(blobPath(digest), 'below'), { recursive: true })
    const [problem, ...more] = (await store.verify()).problems
    assert.equal([problem?.digest, problem?.what, problem?.usedBy.tags, more.length], [digest, 'missing', ['base:1'], 0], part)
    assert.ok((await store.verify({ mend: true })).ok)
    assert.not(existsSync(blobPath(digest)))
    assert.ok((await base()).digest)
    assert.ok((await store.verify()).ok)
  }
})

test('verify finds a snapshot that was changed, and mending has it unpacked anew', async () => {
  const built = await base()
  await store.verify()
  const top = join(store.root, 'snapshots', built.layers.at(-1)?.chainId.slice(7) as string)
  rmSync(join(top, 'x'))
  const { problems } = await store.verify()
  assert.equal(
    problems.map(({ kind, what, usedBy }) => [kind, what, usedBy.tags]),
    [['snapshot', 'changed', ['base:1']]],
  )
  assert.ok((await store.verify({ mend: true })).ok)
  assert.is((await built.exec('cat /x')).stdout, 'x\n')
  assert.equal((await store.verify()).problems, [])
})

test('verify is aborted, and tells how far it is', async () => {
  await base()
  const seen: number[] = []
  await store.verify({ onProgress: ({ done, total }) => seen.push(done / total) })
  assert.is(seen.at(-1), 1)
  assert.is((await failure(store.verify({ signal: AbortSignal.abort() }))).code, 'aborted')
})

test.run()
