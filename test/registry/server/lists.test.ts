import * as assert from 'uvu/assert'
import { digestOf } from '../../../lib/store/index.ts'
import { test } from '../../support/uvu.ts'
import { asManifest, descriptorOf, Fixture, indexManifest, indexType, type Manifest, manifestType } from './fixture.ts'

/** Follows Link headers from `path` to the end. */
async function walk(f: Fixture, path: string, field: string): Promise<{ pages: string[][]; all: string[] }> {
  const pages: string[][] = []
  for (let next: string | undefined = path; next !== undefined; ) {
    const { text, headers } = await f.ask('GET', next)
    pages.push(JSON.parse(text)[field])
    const link: string | null = headers.get('link')
    next = link === null ? undefined : /^<([^>]+)>; rel="next"$/.exec(link)?.[1]
    assert.ok(link === null || next !== undefined, `not a link: ${link}`)
  }
  return { pages, all: pages.flat() }
}

test('tags are listed in order, by pages as large as is asked for', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a/b', 'c')
  for (const tag of ['b', 'a', 'Z', '10', '9', '_x']) await f.pushManifest('a/b', manifest, tag)
  const sorted = ['10', '9', 'Z', '_x', 'a', 'b', 'c']
  const { status, text, headers } = await f.ask('GET', '/v2/a/b/tags/list')
  assert.is(status, 200)
  assert.equal(JSON.parse(text), { name: 'a/b', tags: sorted })
  assert.is(headers.get('link'), null)
  for (const n of [1, 3, 6, 7, 100]) {
    const { pages, all } = await walk(f, `/v2/a/b/tags/list?n=${n}`, 'tags')
    assert.equal(all, sorted)
    assert.is(pages.length, Math.ceil(7 / n))
  }
  assert.equal((await walk(f, '/v2/a/b/tags/list?n=2&last=Z', 'tags')).pages, [
    ['_x', 'a'],
    ['b', 'c'],
  ])
  assert.equal((await walk(f, '/v2/a/b/tags/list?last=0', 'tags')).all, sorted)
  assert.equal((await walk(f, '/v2/a/b/tags/list?last=zz', 'tags')).all, [])
})

test('a page of 0 is empty and the last, and n is a number', async () => {
  await using f = await Fixture.start()
  await f.pushImage('a', 'one')
  const { text, headers } = await f.ask('GET', '/v2/a/tags/list?n=0')
  assert.equal([JSON.parse(text).tags, headers.get('link')], [[], null])
  for (const n of ['-1', 'x', '', '1.5']) {
    const { status, code } = await f.ask('GET', `/v2/a/tags/list?n=${n}`)
    assert.equal([status, code], [400, 'PAGINATION_NUMBER_INVALID'])
  }
})

test('a repository that is not there has no list of tags', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('only/blobs', 'x')
  for (const name of ['nothing', 'only/blobs']) {
    const { status, code } = await f.ask('GET', `/v2/${name}/tags/list`)
    assert.equal([status, code], [404, 'NAME_UNKNOWN'])
  }
})

test('repositories are listed in order and by pages', async () => {
  await using f = await Fixture.start()
  for (const name of ['b', 'a/z', 'a', 'c/d/e']) await f.pushImage(name, 'one')
  await f.store.refs.set('127.0.0.1:5000/elsewhere:1', (await f.store.refs.list())[0]!.descriptor)
  assert.equal(await walk(f, '/v2/_catalog', 'repositories'), { pages: [['a', 'a/z', 'b', 'c/d/e']], all: ['a', 'a/z', 'b', 'c/d/e'] })
  assert.equal((await walk(f, '/v2/_catalog?n=3', 'repositories')).pages, [['a', 'a/z', 'b'], ['c/d/e']])
  assert.equal((await walk(f, '/v2/_catalog?n=3&last=a', 'repositories')).all, ['a/z', 'b', 'c/d/e'])
})

function artifact(subject: Manifest, more: Record<string, unknown>): Manifest {
  return asManifest({
    schemaVersion: 2,
    mediaType: manifestType,
    config: descriptorOf('{}', 'application/vnd.oci.empty.v1+json'),
    layers: [],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    ...more,
  })
}

test('referrers are listed with type and annotations, filtered by type, and nobody else’s', async () => {
  await using f = await Fixture.start()
  const image = await f.pushImage('a', 'one')
  await f.pushBlob('a', '{}')
  const signature = artifact(image, { artifactType: 'application/example.signature', annotations: { by: 'me' } })
  const sbom = artifact(image, { config: descriptorOf('{}', 'application/example.sbom') })
  const index = indexManifest([], {
    subject: JSON.parse(signature.text).subject,
    artifactType: 'application/example.index',
  })
  for (const each of [signature, sbom, index]) assert.is((await f.pushManifest('a', each)).headers.get('oci-subject'), image.digest)
  await f.pushImage('b', 'one')

  const all = await f.ask('GET', `/v2/a/referrers/${image.digest}`)
  assert.is(all.status, 200)
  assert.is(all.headers.get('content-type'), indexType)
  assert.is(all.headers.get('oci-filters-applied'), null)
  const list = JSON.parse(all.text)
  assert.equal([list.schemaVersion, list.mediaType], [2, indexType])
  const expected = [
    {
      mediaType: manifestType,
      digest: signature.digest,
      size: signature.size,
      artifactType: 'application/example.signature',
      annotations: { by: 'me' },
    },
    { mediaType: manifestType, digest: sbom.digest, size: sbom.size, artifactType: 'application/example.sbom' },
    { mediaType: indexType, digest: index.digest, size: index.size, artifactType: 'application/example.index' },
  ].sort((one, other) => (one.digest < other.digest ? -1 : 1))
  assert.equal(list.manifests, expected)

  const some = await f.ask('GET', `/v2/a/referrers/${image.digest}?artifactType=application/example.sbom`)
  assert.is(some.headers.get('oci-filters-applied'), 'artifactType')
  assert.equal(
    JSON.parse(some.text).manifests.map((each: Manifest) => each.digest),
    [sbom.digest],
  )

  await f.ask('DELETE', `/v2/a/manifests/${sbom.digest}`)
  assert.is(JSON.parse((await f.ask('GET', `/v2/a/referrers/${image.digest}`)).text).manifests.length, 2)
})

test('what has no referrers has an empty list of them, wherever it is', async () => {
  await using f = await Fixture.start()
  const image = await f.pushImage('a', 'one')
  await f.pushImage('b', 'one')
  await f.pushBlob('a', '{}')
  await f.pushManifest('a', artifact(image, {}))
  for (const path of [`a/referrers/${digestOf('x')}`, `b/referrers/${image.digest}`, `nowhere/referrers/${image.digest}`]) {
    const { status, text } = await f.ask('GET', `/v2/${path}`)
    assert.equal([status, JSON.parse(text).manifests], [200, []])
  }
  assert.is((await f.ask('GET', '/v2/a/referrers/latest')).code, 'DIGEST_INVALID')
})

test('more referrers than a manifest may hold are listed by pages', async () => {
  await using f = await Fixture.start()
  const image = await f.pushImage('a', 'one')
  await f.pushBlob('a', '{}')
  const artifactType = 'application/example.large'
  const pushed: string[] = []
  for (let at = 0; at < 3; at += 1) {
    const each = artifact(image, { artifactType, annotations: { at: String(at), long: 'x'.repeat(1_900_000) } })
    assert.is((await f.pushManifest('a', each)).status, 201)
    pushed.push(each.digest)
  }
  const found: string[] = []
  let pages = 0
  for (let next: string | undefined = `/v2/a/referrers/${image.digest}?artifactType=${artifactType}`; next; pages += 1) {
    const { text, headers } = await f.ask('GET', next)
    assert.ok(text.length <= 4 * 1024 * 1024)
    assert.is(headers.get('oci-filters-applied'), 'artifactType')
    found.push(...JSON.parse(text).manifests.map((each: Manifest) => each.digest))
    next = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1]
  }
  assert.equal(found, pushed.sort())
  assert.is(pages, 2)
})

test.run()
