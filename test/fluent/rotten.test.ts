// A bit that flips on the disk stays where it is: no registry and no file gets it, and once the store is mended nothing remembers it.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { image, images, registry, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

async function failure(work: Promise<unknown>): Promise<{ code: string; hint?: string; message: string }> {
  return await work.then(
    () => ({ code: 'none', message: '' }),
    (error) => error,
  )
}

function blobPath(root: string, digest: string): string {
  return join(root, 'content', 'blobs', ...digest.split(':'))
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  const at = bytes.indexOf('content of')
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(path, bytes)
}

function recordsIn(root: string): string[] {
  const path = join(root, 'cache', 'compressed')
  return existsSync(path)
    ? readdirSync(path, { recursive: true })
        .map(String)
        .filter((name) => name.endsWith('.json'))
        .map((name) => join(path, name))
    : []
}

/** A store of its own for the calls inside. */
async function inStore<T>(root: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = root
  try {
    return await work()
  } finally {
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
}

const small = (name: string) =>
  image('scratch')
    .copy({ [name]: `content of ${name} `.repeat(100) }, '/')
    .build({ tag: `${name}:1` })

test('a plain layer that has rotted is pushed nowhere, and after the store is mended the right one arrives', async () => {
  using place = temporaryDirectory('rotten')
  const served = join(place.path, 'served')
  await using there = await registry({ root: served })
  await inStore(join(place.path, 'own'), async () => {
    const built = await small('one')
    const layer = built.layers[0]?.digest ?? ''
    const path = blobPath(store.root, layer)
    const right = readFileSync(path)
    flip(path)
    for (const compression of ['gzip', 'none'] as const) {
      const refused = await failure(built.push(`${there.host}/one:1`, { compression, retries: 0 }))
      assert.is(refused.code, 'digest_mismatch', compression)
      assert.match(refused.hint ?? '', /verify\(\{ mend: true \}\)/)
    }
    assert.equal(recordsIn(store.root), [])
    assert.equal(await images.tags(`${there.host}/one`).catch(({ code }) => code), 'registry_not_found')

    const { problems } = await store.verify({ mend: true })
    assert.equal(
      problems.map(({ what, mended }) => [what, mended]),
      [['digest', true]],
    )
    await store.prune({ cache: true })
    const again = await small('one')
    assert.is(again.layers[0]?.digest, layer)
    await again.push(`${there.host}/one:1`)
    const sent = readdirSync(join(served, 'content', 'blobs', 'sha256')).map((name) =>
      readFileSync(join(served, 'content', 'blobs', 'sha256', name)),
    )
    assert.ok(sent.some((bytes) => bytes[0] === 0x1f && gunzipSync(bytes).equals(right)))
    await store.remove()
  })
})

test('what a damaged layer became is forgotten with it; a record of it that nobody has checked is not believed', async () => {
  using place = temporaryDirectory('rotten')
  await using there = await registry({ root: join(place.path, 'served') })
  await inStore(join(place.path, 'own'), async () => {
    const one = await small('one')
    await one.push(`${there.host}/x:one`)
    const [record = ''] = recordsIn(store.root)
    const other = await small('other')
    await other.push(`${there.host}/x:other`)
    const theirs = recordsIn(store.root).find((each) => each !== record) ?? ''
    const { digest, size } = JSON.parse(readFileSync(record, 'utf8'))
    // As a push may have left it that did not look.
    writeFileSync(theirs, JSON.stringify({ digest, size }))
    const pushed = await other.push(`${there.host}/y:other`)
    const manifest = await fetch(`http://${there.host}/v2/y/manifests/${pushed.digest}`)
    const { layers } = (await manifest.json()) as { layers: { digest: string }[] }
    assert.is.not(layers[0]?.digest, digest)

    flip(blobPath(store.root, one.layers[0]?.digest ?? ''))
    await store.verify({ mend: true })
    assert.equal(recordsIn(store.root), [theirs])
    await store.remove()
  })
})

for (const format of ['oci-archive', 'docker-archive', 'oci'] as const) {
  test(`an image with a rotten blob is not saved as ${format}: nothing is left where it was to be`, async () => {
    using place = temporaryDirectory('rotten')
    await inStore(join(place.path, 'own'), async () => {
      const built = await small('one')
      flip(blobPath(store.root, built.layers[0]?.digest ?? ''))
      mkdirSync(join(place.path, 'to'))
      for (const target of [join(place.path, 'to', 'saved'), join(place.path, 'to', 'new', 'saved')]) {
        if (format !== 'oci' && target.includes('new')) continue
        const refused = await failure(built.save(target, { format }))
        assert.is(refused.code, 'digest_mismatch')
        assert.match(refused.hint ?? '', /mend: true/)
        assert.equal(readdirSync(join(place.path, 'to')), [])
      }
      await store.remove()
    })
  })
}

test.run()
