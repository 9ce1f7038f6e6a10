// Multi-platform images: what of an index is chosen, and that all of it travels, whatever it lists.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { collectGarbage, Images, importImage, loadImages, parsePlatform, saveImage, verifyStore } from '../../../lib/images/index.ts'
import { pullImage, pushImage, RegistryServer } from '../../../lib/registry/index.ts'
import { digestOf, Store } from '../../../lib/store/index.ts'
import { layoutFiles, type MadeImage, makeImage, makeIndex, writeFiles } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, pretend } from './pretender.ts'

function made(platform: string, named = true, manifest: object = {}): MadeImage {
  const image = makeImage([tar(file('for', platform))], { platform: parsePlatform(platform), manifest })
  if (named) return image
  const { mediaType, digest, size } = image.descriptor
  return { blobs: image.blobs, descriptor: { mediaType, digest, size } }
}

const [amd64, v3, arm64, s390x] = [made('linux/amd64'), made('linux/amd64/v3'), made('linux/arm64'), made('linux/s390x')]
const opaque = Buffer.from('of no type that is known here')
const unknown: MadeImage = {
  blobs: new Map([[digestOf(opaque), opaque]]),
  descriptor: { mediaType: 'application/vnd.example.thing', digest: digestOf(opaque), size: opaque.length },
}
const here64 = process.arch === 'arm64' ? arm64 : amd64

for (const [what, index] of [
  ['for other machines only', makeIndex([made('linux/mips64le'), s390x])],
  ['that names no platforms', makeIndex([made('linux/s390x', false), made('linux/mips64le', false)])],
  ['with something of an unknown type', makeIndex([here64, unknown])],
] as const) {
  test(`all of an index ${what} is pulled, pushed, saved, loaded, verified and removed`, async () => {
    await using registry = await pretend({ 'app:1': index })
    await using here = await desk()
    const name = `${registry.host}/app:1`
    const pulled = await pullImage(here.store, name, { platform: 'all', retries: 0 })
    assert.is(pulled.root.digest, index.descriptor.digest)
    assert.equal(pulled.tags, [name])
    assert.equal((await here.content()).blobs, [...index.blobs.keys()].sort())
    const count = registry.requests.length
    await pullImage(here.store, name, { platform: 'all', retries: 0 })
    assert.is(registry.requests.length, count + 1, 'one HEAD')

    await using served = await RegistryServer.listen({ root: join(here.path, 'served') })
    const pushed = await pushImage(here.store, pulled, `${served.host}/app:1`, { platform: 'all', compression: 'none', retries: 0 })
    assert.is(pushed.digest, index.descriptor.digest)
    const again = await Store.open(join(here.path, 'again'))
    await pullImage(again, `${served.host}/app:1`, { platform: 'all', retries: 0 })
    await saveImage(here.store, pulled, join(here.path, 'app.tar'))
    const loaded = await Store.open(join(here.path, 'loaded'))
    await loadImages(loaded, join(here.path, 'app.tar'))
    for (const store of [again, loaded]) for (const digest of index.blobs.keys()) assert.ok(await store.blobs.has(digest as never), digest)

    await collectGarbage(here.store)
    assert.equal((await here.content()).blobs, [...index.blobs.keys()].sort())
    assert.ok((await verifyStore(here.store, () => Promise.resolve({ close: async () => {} } as never))).ok)
    await new Images(here.store).remove(name)
    await collectGarbage(here.store)
    assert.equal(await here.content(), { names: [], blobs: [] })
  })
}

test('what an index lists of an unknown type may be missing: there is no error, and the rest comes, goes and is verified', async () => {
  const whole = makeIndex([here64, unknown])
  const blobs = new Map([...whole.blobs].filter(([digest]) => digest !== unknown.descriptor.digest))
  await using registry = await pretend({ 'app:1': { ...whole, blobs } })
  await using here = await desk()
  const pulled = await pullImage(here.store, `${registry.host}/app:1`, { platform: 'all', retries: 0 })
  await saveImage(here.store, pulled, join(here.path, 'app.tar'))
  const loaded = await Store.open(join(here.path, 'loaded'))
  const [image] = await loadImages(loaded, join(here.path, 'app.tar'))
  assert.is(image?.root.digest, whole.descriptor.digest)
  assert.ok((await verifyStore(loaded, () => Promise.resolve({ close: async () => {} } as never))).ok)
})

test('what a registry has of an unknown type only among its manifests comes, too; a layer in an index is a blob', async () => {
  const layer = { blobs: unknown.blobs, descriptor: { ...unknown.descriptor, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' } }
  for (const child of [unknown, layer]) {
    await using registry = await pretend({ 'app:1': makeIndex([here64, child]) })
    await using here = await desk()
    registry.tricks.push(({ path }, response) => {
      if (!path.endsWith(child.descriptor.digest)) return undefined
      if (path.includes('/blobs/')) response.writeHead(404).end()
      else response.end(opaque)
      return true
    })
    await pullImage(here.store, `${registry.host}/app:1`, { platform: 'all', retries: 0 })
    assert.ok(await here.store.blobs.has(child.descriptor.digest as never))
  }
})

test('an artifact, and an index of artifacts, is image_invalid or image_not_found, and no name is given', async () => {
  const artifact = makeImage([], {
    manifest: { config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 } },
  })
  const whole = { ...artifact, blobs: new Map([...artifact.blobs, [digestOf('{}') as string, Buffer.from('{}')]]) }
  await using registry = await pretend({ 'app:1': whole, 'app:2': makeIndex([whole]), 'app:3': makeIndex([whole, whole]) })
  await using here = await desk()
  for (const tag of ['1', '2', '3']) {
    const error = await failure(pullImage(here.store, `${registry.host}/app:${tag}`, { platform: 'all', retries: 0 }))
    assert.ok(['image_invalid', 'image_not_found'].includes(error.code), error.code)
  }
  assert.equal((await here.content()).names, [])
})

test('what is pulled does not depend on what was pulled before: a variant is chosen from the index anew', async () => {
  await using registry = await pretend({ 'app:1': makeIndex([amd64, v3]) })
  const name = `${registry.host}/app:1`
  const order: readonly [string, MadeImage][] = [
    ['linux/amd64', amd64],
    ['linux/amd64/v3', v3],
    ['linux/amd64', amd64],
    ['linux/amd64/v2', amd64],
    ['linux/amd64/v3', v3],
  ]
  for (const policy of ['always', 'missing'] as const) {
    await using here = await desk()
    for (const [platform, wanted] of policy === 'always' ? order : order.slice(0, 2))
      assert.is((await pullImage(here.store, name, { platform, policy, retries: 0 })).digest, wanted.descriptor.digest, platform)
    const count = registry.requests.length
    await pullImage(here.store, name, { platform: 'linux/amd64/v3', policy, retries: 0 })
    assert.is(registry.requests.length, count + (policy === 'always' ? 1 : 0))
    assert.is((await pullImage(here.store, name, { platform: 'linux/amd64', policy: 'never' })).digest, v3.descriptor.digest)
  }
})

test('linux/arm is v7 where there is one, and x86_64 and aarch64 are amd64 and arm64', async () => {
  const arms = ['linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6'].map((each) => made(each))
  await using registry = await pretend({ 'app:1': makeIndex([...arms, amd64, arm64]) })
  await using here = await desk()
  for (const [platform, wanted] of [
    ['linux/arm', arms[1]],
    ['linux/armhf', arms[1]],
    ['linux/arm/v6', arms[2]],
    ['linux/x86_64', amd64],
    ['linux/aarch64', arm64],
    ['Linux/ARM64/v8', arm64],
  ] as const)
    assert.is((await pullImage(here.store, `${registry.host}/app:1`, { platform, retries: 0 })).digest, wanted?.descriptor.digest, platform)
})

test('an index of one image that is for another machine is refused as one of two is, and comes where that platform is asked for', async () => {
  const index = makeIndex([s390x])
  const bare = made('linux/s390x', false)
  const empty = { ...bare, descriptor: { ...bare.descriptor, platform: {} as never } }
  const images = { 'app:1': index, 'app:plain': bare, 'app:silent': makeIndex([bare]), 'app:empty': makeIndex([empty]) }
  await using registry = await pretend(images)
  await using here = await desk()
  const name = `${registry.host}/app:1`
  const layout = { kind: 'layout', path: writeFiles(join(here.path, 'layout'), layoutFiles([index])) } as const
  for (const work of [() => pullImage(here.store, name, { retries: 0 }), () => importImage(here.store, layout)]) {
    const error = await failure(work())
    assert.is(error.code, 'image_not_found')
    assert.match(error.message, 'only for linux/s390x')
    assert.match(error.hint ?? '', "{ platform: 'linux/s390x' }")
    assert.equal(error.details?.offered, ['linux/s390x'])
    assert.equal((await here.content()).names, [])
  }
  const platform = 'linux/s390x'
  for (const digest of [
    (await pullImage(here.store, name, { platform, retries: 0 })).digest,
    (await importImage(here.store, layout, { platform: parsePlatform(platform) })).digest,
  ])
    assert.is(digest, s390x.descriptor.digest)
  assert.is((await pullImage(here.store, name, { platform: 'all', retries: 0 })).root.digest, index.descriptor.digest)
  // What says nothing of a platform is taken, as by docker.
  for (const tag of ['plain', 'silent', 'empty'])
    assert.is((await pullImage(here.store, `${registry.host}/app:${tag}`, { retries: 0 })).digest, bare.descriptor.digest, tag)
})

test('images.get takes a platform as the others do, and refuses what is none', async () => {
  await using registry = await pretend({ 'app:1': makeIndex([amd64, arm64]) })
  await using here = await desk()
  const name = `${registry.host}/app:1`
  await pullImage(here.store, name, { platform: 'all', retries: 0 })
  const images = new Images(here.store)
  for (const platform of ['linux/arm64', { os: 'linux', architecture: 'arm64' }])
    assert.is((await images.get(name, { platform })).digest, arm64.descriptor.digest)
  for (const platform of ['arm64', 7, null, {}])
    assert.is((await failure(images.get(name, { platform: platform as never }))).code, 'invalid_argument')
})

test('a push of all that compresses: attestations and subjects name what is in the registry', async () => {
  const about = { subject: { mediaType: amd64.descriptor.mediaType, digest: amd64.descriptor.digest, size: amd64.descriptor.size } }
  const statement = makeImage([tar(file('statement', '{}'))], { manifest: about })
  const signature = makeImage([tar(file('signature', 'x'))], {
    manifest: { subject: { ...about.subject, digest: statement.descriptor.digest, size: statement.descriptor.size } },
  })
  const annotations = { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': amd64.descriptor.digest }
  const platform = { os: 'unknown', architecture: 'unknown' }
  const index = makeIndex([signature, { ...statement, descriptor: { ...statement.descriptor, annotations, platform } }, amd64])
  await using here = await desk()
  mkdirSync(join(here.path, 'layout'))
  writeFiles(join(here.path, 'layout'), layoutFiles([index]))
  const [loaded] = await loadImages(here.store, join(here.path, 'layout'), {})
  await using served = await RegistryServer.listen({ root: join(here.path, 'served') })
  await pushImage(here.store, loaded as never, `${served.host}/app:1`, { platform: 'all', retries: 0 })
  interface Part {
    readonly digest: string
    readonly size: number
    readonly annotations: Record<string, string>
  }
  const get = async (reference: string): Promise<{ manifests: Part[]; subject: Part }> => {
    const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
    return (await (await fetch(`${served.url}/v2/app/manifests/${reference}`, { headers: { accept } })).json()) as never
  }
  const [sign, attest, image] = (await get('1')).manifests as [Part, Part, Part]
  assert.is.not(image.digest, amd64.descriptor.digest, 'its layer was compressed')
  assert.is(attest.annotations['vnd.docker.reference.digest'], image.digest)
  assert.is((await get(attest.digest)).subject.digest, image.digest)
  assert.is((await get(attest.digest)).subject.size, image.size)
  assert.is((await get(sign.digest)).subject.digest, attest.digest)
})

test.run()
