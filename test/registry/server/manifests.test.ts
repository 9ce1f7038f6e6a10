import { createHash } from 'node:crypto'
import * as assert from 'uvu/assert'
import { Images } from '../../../lib/images/index.ts'
import { digestOf } from '../../../lib/store/index.ts'
import { test } from '../../support/uvu.ts'
import { asManifest, configType, descriptorOf, Fixture, imageManifest, indexManifest, layerType, manifestType } from './fixture.ts'

test('a manifest is there by tag and by digest, byte for byte and of the type that it was pushed as', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a/b', 'one')
  for (const reference of ['one', manifest.digest]) {
    for (const method of ['GET', 'HEAD']) {
      const { status, headers, text } = await f.ask(method, `/v2/a/b/manifests/${reference}`)
      assert.is(status, 200)
      assert.is(headers.get('content-type'), manifestType)
      assert.is(headers.get('docker-content-digest'), manifest.digest)
      assert.is(headers.get('content-length'), String(manifest.size))
      assert.is(text, method === 'GET' ? manifest.text : '')
    }
  }
})

test('a pushed manifest is answered with where it is', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', 'c')
  await f.pushBlob('a', 'l')
  const manifest = imageManifest('c', ['l'])
  for (const reference of ['tag', manifest.digest]) {
    const { status, headers } = await f.pushManifest('a', manifest, reference)
    assert.is(status, 201)
    assert.is(headers.get('location'), `/v2/a/manifests/${manifest.digest}`)
    assert.is(headers.get('docker-content-digest'), manifest.digest)
    assert.is(headers.get('oci-subject'), null)
  }
})

const dockerTypes = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  foreign: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
}

test("Docker's types are kept", async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', 'c')
  await f.pushBlob('a', 'l')
  const manifest = asManifest({
    schemaVersion: 2,
    mediaType: dockerTypes.manifest,
    config: descriptorOf('c', dockerTypes.config),
    layers: [descriptorOf('l', dockerTypes.layer), { ...descriptorOf('elsewhere', dockerTypes.foreign), urls: ['https://example.com/l'] }],
  })
  assert.is((await f.pushManifest('a', manifest, 't')).status, 201)
  assert.is((await f.ask('GET', '/v2/a/manifests/t')).headers.get('content-type'), dockerTypes.manifest)
})

test('a manifest by its sha512 is there by that', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', 'c')
  const manifest = imageManifest('c', [])
  const digest = `sha512:${createHash('sha512').update(manifest.text).digest('hex')}`
  const { status, headers } = await f.pushManifest('a', manifest, digest)
  assert.equal([status, headers.get('docker-content-digest')], [201, digest])
  assert.is((await f.ask('GET', `/v2/a/manifests/${digest}`)).text, manifest.text)
})

test('an index is served whole, and its images by their digests', async () => {
  await using f = await Fixture.start()
  const [one, two] = [await f.pushImage('a', 'one'), await f.pushImage('a', 'two')]
  const index = indexManifest([one, two])
  assert.is((await f.pushManifest('a', index, 'both')).status, 201)
  await f.ask('DELETE', '/v2/a/manifests/one')
  assert.is((await f.ask('GET', '/v2/a/manifests/both')).text, index.text)
  assert.is((await f.ask('GET', `/v2/a/manifests/${one.digest}`)).text, one.text)
})

test('an artifact of any type is a manifest', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', '{}')
  const artifact = asManifest({
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType: 'application/vnd.example+type',
    config: descriptorOf('{}', 'application/vnd.oci.empty.v1+json'),
    layers: [descriptorOf('{}', 'application/vnd.oci.empty.v1+json')],
  })
  assert.is((await f.pushManifest('a', artifact, 't')).status, 201)
  assert.is((await f.ask('GET', '/v2/a/manifests/t')).text, artifact.text)
})

test('a tag that moves leaves its old manifest to be had by digest, until that is deleted', async () => {
  await using f = await Fixture.start()
  const old = await f.pushImage('a', 'latest', 'old')
  const young = await f.pushImage('a', 'latest', 'young')
  assert.is((await f.ask('GET', '/v2/a/manifests/latest')).text, young.text)
  assert.is((await f.ask('GET', `/v2/a/manifests/${old.digest}`)).text, old.text)
  assert.is((await f.ask('GET', `/v2/a/blobs/${digestOf('old')}`)).text, 'old')
  assert.equal((await f.contents()).names, ['a:latest', `a@${old.digest}`])
  assert.is((await f.ask('DELETE', `/v2/a/manifests/${old.digest}`)).status, 202)
  assert.is((await f.ask('GET', `/v2/a/manifests/${old.digest}`)).code, 'MANIFEST_UNKNOWN')
  assert.equal((await f.contents()).names, ['a:latest'])
})

test('a deleted tag leaves the manifest, a deleted manifest takes its tags with it', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a', 'one')
  await f.pushManifest('a', manifest, 'two')
  await f.pushManifest('a', manifest, 'three')
  assert.is((await f.ask('DELETE', '/v2/a/manifests/one')).status, 202)
  assert.equal(JSON.parse((await f.ask('GET', '/v2/a/tags/list')).text).tags, ['three', 'two'])
  assert.is((await f.ask('GET', `/v2/a/manifests/${manifest.digest}`)).status, 200)
  assert.is((await f.ask('DELETE', `/v2/a/manifests/${manifest.digest}`)).status, 202)
  for (const reference of ['two', 'three', manifest.digest]) {
    for (const method of ['GET', 'DELETE']) {
      const { status, code } = await f.ask(method, `/v2/a/manifests/${reference}`)
      assert.equal([status, code], [404, 'MANIFEST_UNKNOWN'])
    }
  }
})

test('deleting in one repository is nothing to another', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a', 'one')
  await f.pushImage('b', 'one')
  await f.ask('DELETE', `/v2/a/manifests/${manifest.digest}`)
  assert.is((await f.ask('GET', '/v2/b/manifests/one')).text, manifest.text)
  assert.is((await f.ask('GET', `/v2/b/blobs/${digestOf('layer of one')}`)).status, 200)
})

test('an image that an index lists is deleted after it', async () => {
  await using f = await Fixture.start()
  const one = await f.pushImage('a', 'one')
  const index = indexManifest([one])
  await f.pushManifest('a', index, 'all')
  const refused = await f.ask('DELETE', `/v2/a/manifests/${one.digest}`)
  assert.equal([refused.status, refused.code], [405, 'UNSUPPORTED'])
  assert.is((await f.ask('DELETE', `/v2/a/manifests/${index.digest}`)).status, 202)
  assert.is((await f.ask('DELETE', `/v2/a/manifests/${one.digest}`)).status, 202)
})

test('what was pushed is an image of the store, and what is in the store can be pulled', async () => {
  await using f = await Fixture.start()
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf('l')] } })
  await f.pushBlob('a', config)
  await f.pushBlob('a', 'l')
  const manifest = imageManifest(config, ['l'])
  await f.pushManifest('a', manifest, 'pushed')
  const images = new Images(f.store)
  const image = await images.get('a:pushed')
  assert.is(image.digest, manifest.digest)
  await images.tag(image, 'ghcr.io/org/b:built')
  await images.tag(image, 'debian:12')
  assert.is((await f.ask('GET', '/v2/ghcr.io/org/b/manifests/built')).text, manifest.text)
  assert.is((await f.ask('GET', `/v2/ghcr.io/org/b/blobs/${digestOf('l')}`)).text, 'l')
  for (const name of ['debian', 'library/debian', 'docker.io/library/debian', 'docker.io/debian'])
    assert.is((await f.ask('GET', `/v2/${name}/manifests/12`)).text, manifest.text, name)
})

test('names that read otherwise as a reference are repositories all the same', async () => {
  await using f = await Fixture.start()
  for (const name of [
    'a'.repeat(64),
    'a__b.c/d',
    'localhost',
    'localhost/x',
    'a.b',
    'a.b/c',
    'x/library/y',
    'blobs/uploads',
    'a/manifests/b',
  ]) {
    const manifest = await f.pushImage(name, 'tag', name)
    assert.is((await f.ask('GET', `/v2/${name}/manifests/tag`)).text, manifest.text, name)
    assert.is((await f.ask('GET', `/v2/${name}/blobs/${digestOf(name)}`)).text, name)
    const { tags } = JSON.parse((await f.ask('GET', `/v2/${name}/tags/list`)).text)
    assert.equal(tags, ['tag'], name)
  }
  assert.is(JSON.parse((await f.ask('GET', '/v2/_catalog')).text).repositories.length, 9)
})

test('a blob that a manifest names must be there, an artifact’s subject need not', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', 'c')
  const subject = { ...descriptorOf('nowhere', manifestType) }
  const manifest = imageManifest('c', [], { subject })
  const { status, headers } = await f.pushManifest('a', manifest)
  assert.equal([status, headers.get('oci-subject')], [201, subject.digest])
})

const config = 'c'
const layer = 'l'
const whole = imageManifest(config, [layer])
const refused: readonly (readonly [name: string, manifest: { text: string; mediaType: string }, status: number, code: string])[] = [
  ['no JSON', { ...whole, text: '{' }, 400, 'MANIFEST_INVALID'],
  ['no object', { ...whole, text: '[]' }, 400, 'MANIFEST_INVALID'],
  ['null', { ...whole, text: 'null' }, 400, 'MANIFEST_INVALID'],
  ['nothing', { ...whole, text: '' }, 400, 'MANIFEST_INVALID'],
  ['not UTF-8', { ...whole, text: '\ud800' }, 400, 'MANIFEST_INVALID'],
  ['schema 1', { ...asManifest({ schemaVersion: 1 }), mediaType: manifestType }, 400, 'MANIFEST_INVALID'],
  ['of another type than it says', { ...whole, mediaType: 'application/vnd.oci.image.index.v1+json' }, 400, 'MANIFEST_INVALID'],
  ['of an unknown type', { ...whole, mediaType: 'text/html' }, 400, 'MANIFEST_INVALID'],
  ['image and index in one', imageManifest(config, [layer], { manifests: [] }), 400, 'MANIFEST_INVALID'],
  ['without a config', asManifest({ schemaVersion: 2, mediaType: manifestType, layers: [] }), 400, 'MANIFEST_INVALID'],
  [
    'with a digest that is none',
    imageManifest(config, [], { layers: [{ ...descriptorOf(layer, layerType), digest: 'sha256:../../x' }] }),
    400,
    'MANIFEST_INVALID',
  ],
  [
    'with a size that is wrong',
    imageManifest(config, [], { layers: [{ ...descriptorOf(layer, layerType), size: 7 }] }),
    400,
    'MANIFEST_INVALID',
  ],
  [
    'with a size below 0',
    imageManifest(config, [], { config: { ...descriptorOf(config, configType), size: -1 } }),
    400,
    'MANIFEST_INVALID',
  ],
  ['with layers that are no list', imageManifest(config, [], { layers: {} }), 400, 'MANIFEST_INVALID'],
  ['with a layer that is missing', imageManifest(config, [layer, 'missing']), 404, 'MANIFEST_BLOB_UNKNOWN'],
  ['with a config that is missing', imageManifest('missing', [layer]), 404, 'MANIFEST_BLOB_UNKNOWN'],
  ['an index of a missing image', indexManifest([imageManifest('x', [])]), 404, 'MANIFEST_BLOB_UNKNOWN'],
  ['of more than 4 MiB', imageManifest(config, [layer], { annotations: { long: 'x'.repeat(4 * 1024 * 1024) } }), 413, 'SIZE_INVALID'],
]
test('a manifest that is not whole is refused with what is wrong, and nothing is stored', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', config)
  await f.pushBlob('a', layer)
  await f.pushBlob('other', 'missing')
  const before = await f.contents()
  for (const [name, { text, mediaType }, status, code] of refused) {
    const answer = await f.ask('PUT', '/v2/a/manifests/tag', { headers: { 'content-type': mediaType }, body: text })
    assert.equal([name, answer.status, answer.code], [name, status, code])
    assert.ok(JSON.parse(answer.text).errors[0].message.length > 0)
    assert.equal(await f.contents(), before, name)
  }
})

test('a manifest without a type, under a wrong digest or under what is no tag is refused', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', config)
  await f.pushBlob('a', layer)
  assert.is((await f.askRaw('PUT', '/v2/a/manifests/tag', { body: whole.text })).code, 'MANIFEST_INVALID')
  assert.is((await f.pushManifest('a', whole, digestOf('other'))).code, 'DIGEST_INVALID')
  assert.is((await f.pushManifest('a', whole, 'sha256:abc')).code, 'DIGEST_INVALID')
  for (const tag of ['.tag', '-tag', 'a b', 'x'.repeat(129), '%00', 'ä'])
    assert.is((await f.pushManifest('a', whole, tag)).code, 'TAG_INVALID', tag)
  assert.is((await f.pushManifest('a', whole, 'x'.repeat(128))).status, 201)
})

test('what is no tag is simply not there', async () => {
  await using f = await Fixture.start()
  await f.pushImage('a', 'one')
  for (const reference of ['.INVALID_MANIFEST_NAME', 'two', digestOf('x')]) {
    const { status, code } = await f.ask('GET', `/v2/a/manifests/${reference}`)
    assert.equal([status, code], [404, 'MANIFEST_UNKNOWN'])
  }
})

test('a manifest that has rotted on disk is not served', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a', 'one')
  const { writeFileSync } = await import('node:fs')
  writeFileSync(f.store.path('content', 'blobs', 'sha256', manifest.digest.slice(7)), 'x'.repeat(manifest.size))
  const { status, code, text } = await f.ask('GET', '/v2/a/manifests/one')
  assert.equal([status, code], [500, 'UNKNOWN'])
  assert.not.match(text, /content\/blobs/)
})

test('many manifests pushed at once are all there', async () => {
  await using f = await Fixture.start()
  await Promise.all(Array.from({ length: 15 }, (_, index) => f.pushImage('a', `t${index}`)))
  assert.is(JSON.parse((await f.ask('GET', '/v2/a/tags/list')).text).tags.length, 15)
})

test.run()
