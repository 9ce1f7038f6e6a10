// test: timeout 400
// Debian's docker-registry as the registry, skopeo as the other client.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import * as assert from 'uvu/assert'
import { type Image, image, images, type PushOptions, store, type TransferEvent } from '../../../lib/index.ts'
import { pullImage } from '../../../lib/registry/index.ts'
import { amd64, arm64, layoutFiles, makeIndex, writeFiles } from '../../images/maker.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { suite } from '../../support/uvu.ts'
import { authority, type Distribution, distribution, run } from './distribution.ts'
import { desk, failure } from './pretender.ts'

interface Place {
  readonly registry: Distribution
  readonly built: Image
  readonly directory: string
}

const test = suite<{ place: Place | undefined }>('distribution', { place: undefined })
const directory = temporaryDirectory('pulls')
const roots = { one: join(directory.path, 'one'), two: join(directory.path, 'two') }
const stored = randomBytes(2_000_000).toString('base64')

test.before(async (context) => {
  context.place = await prepare()
})

async function prepare(): Promise<Place | undefined> {
  if (!has('docker-registry') || !has('skopeo')) {
    skip('docker-registry and skopeo are not installed')
    return undefined
  }
  process.env.STRAKE_ROOT = roots.one
  const built = await image()
    .from('host')
    .copy({ 'srv/hello': 'hello\n', 'srv/stored': stored }, '/')
    .run('ln /srv/hello /srv/again; mkdir /srv/d; touch /srv/d/x')
    .run('rm /srv/d/x')
    .cmd(['cat', '/srv/hello'])
    .build({ tag: 'hello:1' })
  return { registry: await distribution(), built, directory: directory.path }
}

test.after(async ({ place }) => {
  await place?.registry[Symbol.asyncDispose]()
  for (const root of Object.values(roots)) {
    process.env.STRAKE_ROOT = root
    if (place) await store.remove()
  }
  directory[Symbol.dispose]()
})

function phases(events: readonly TransferEvent[], kind: TransferEvent['kind']): string[] {
  return events.filter((each) => each.kind === kind && !['download', 'upload', 'compress'].includes(each.phase)).map(({ phase }) => phase)
}

test('what skopeo pushed is pulled, runs, is tagged anew, pushed back, and skopeo reads it', async ({ place }) => {
  if (!place) return
  const { host } = place.registry
  run('skopeo', 'copy', '--dest-tls-verify=false', `oci:${roots.one}/content:hello:1`, `docker://${host}/from/skopeo:1`)
  process.env.STRAKE_ROOT = roots.two
  const events: TransferEvent[] = []
  const pulled = await images.pull(`${host}/from/skopeo:1`, { onProgress: (event) => events.push(event) })
  assert.equal(pulled.tags, [`${host}/from/skopeo:1`])
  assert.is((await pulled.exec(['cat', '/srv/hello'])).stdout, 'hello\n')
  assert.is((await pulled.exec('stat -c %h /srv/again; ls /srv/d; md5sum < /srv/stored')).stdout.split('\n')[0], '2')
  assert.is(phases(events, 'layer').filter((phase) => phase === 'done').length, pulled.layers.length)
  assert.is(phases(events, 'layer').filter((phase) => phase === 'unpacked').length, pulled.layers.length)
  for (const { bytes, total } of events) assert.ok(total === undefined || bytes <= total)
  await pulled.tag(`${host}/back/again:2`)
  const pushed = await pulled.push(`${host}/back/again:2`)
  assert.is(pushed.digest, pulled.digest, 'it is compressed already: nothing changes')
  const seen = JSON.parse(run('skopeo', 'inspect', '--tls-verify=false', `docker://${host}/back/again:2`)) as {
    Digest: string
    Layers: string[]
  }
  assert.is(seen.Digest, pulled.digest)
  assert.equal(
    seen.Layers,
    pulled.layers.map(({ digest }) => digest),
  )
  assert.equal([...(await images.tags(`${host}/back/again`))], ['2'])
})

test('pulled again it costs one HEAD; when it is missing only, nothing; never, nothing', async ({ place }) => {
  if (!place) return
  const { registry } = place
  const { host } = registry
  process.env.STRAKE_ROOT = roots.two
  const first = await images.pull(`${host}/from/skopeo:1`)
  const log = registry.log().length
  assert.is((await images.pull(`${host}/from/skopeo:1`, { policy: 'missing' })).digest, first.digest)
  assert.is((await images.pull(`${host}/from/skopeo:1`, { policy: 'never' })).digest, first.digest)
  assert.is((await images.pull(`${host}/from/skopeo@${first.digest}`)).digest, first.digest)
  assert.is((await images.get(`${host}/from/skopeo@${first.digest}`)).digest, first.digest)
  assert.equal((await images.pull(`${host}/from/skopeo@${first.digest}`)).tags, first.tags, 'a digest is no tag')
  const before = registry.log().slice(log)
  assert.is((await images.pull(`${host}/from/skopeo:1`)).digest, first.digest)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const requests =
    registry
      .log()
      .slice(log + before.length)
      .match(/"(?:GET|HEAD) [^"]*"/g) ?? []
  assert.ok(requests.length <= 1 && requests.every((each) => each.startsWith('"HEAD')), requests.join('\n'))
  assert.is((await failure(images.pull(`${host}/not/here:1`, { policy: 'never' }))).code, 'image_not_found')
  assert.is((await failure(images.pull(`${host}/not/here:1`))).code, 'registry_not_found')
})

const ways: readonly [string, PushOptions][] = [
  ['compressed', {}],
  ['as it is', { compression: 'none' }],
  ['in chunks', { chunkSize: 100_000 }],
  ['one blob at a time', { parallel: 1 }],
  ...('createZstdCompress' in zlib ? [['as zstd', { compression: 'zstd' }] as [string, PushOptions]] : []),
]
for (const [index, [how, options]] of ways.entries()) {
  test(`a built image is pushed ${how}; skopeo's copy of it runs; pushed again nothing is sent`, async ({ place }) => {
    if (!place) return
    const { host } = place.registry
    const name = `${host}/built/way${index}:1`
    process.env.STRAKE_ROOT = roots.one
    const pushed = await place.built.push(name, options)
    const again = await place.built.push(name, options)
    assert.equal({ ...again, uploaded: 0 }, { ...pushed, uploaded: 0, uploadedBytes: 0 })
    const layout = join(place.directory, `way${index}`)
    run('skopeo', 'copy', '--src-tls-verify=false', `docker://${name}`, `oci:${layout}:1`)
    process.env.STRAKE_ROOT = roots.two
    const copied = await image(`oci:${layout}:1`).build()
    assert.is(copied.id, place.built.id, 'the config is the same')
    assert.is((await copied.exec(['cat', '/srv/stored'])).stdout, stored)
    assert.is((await copied.exec('ls /srv/d')).stdout, '')
  })
}

test('into another repository of the registry layers are mounted, not sent', async ({ place }) => {
  if (!place) return
  const { host } = place.registry
  process.env.STRAKE_ROOT = roots.one
  await place.built.push(`${host}/mount/one:1`)
  const events: TransferEvent[] = []
  const pushed = await place.built.push(`${host}/mount/two:1`, { onProgress: (event) => events.push(event) })
  assert.ok(
    phases(events, 'layer').every((phase) => phase === 'mounted'),
    phases(events, 'layer').join(' '),
  )
  assert.is(pushed.uploaded, 1, 'the config alone')
  assert.match(run('skopeo', 'inspect', '--tls-verify=false', `docker://${host}/mount/two:1`), pushed.digest)
})

test('an index: this platform, another one, all of them; pushed as a whole it is the same index', async ({ place }) => {
  if (!place) return
  const { host } = place.registry
  const index = makeIndex([amd64, arm64], 'multi')
  const layout = writeFiles(join(place.directory, 'multi'), layoutFiles([index]))
  run('skopeo', 'copy', '--all', '--preserve-digests', '--dest-tls-verify=false', `oci:${layout}:multi`, `docker://${host}/multi:1`)
  await using here = await desk()
  const other = await pullImage(here.store, `${host}/multi:1`, { platform: 'linux/arm64/v8' })
  assert.is(other.platform.architecture, 'arm64')
  assert.is(other.digest, arm64.descriptor.digest)
  const own = await pullImage(here.store, `${host}/multi:1`, { platform: 'linux/amd64' })
  assert.is(own.digest, amd64.descriptor.digest, 'what is there for another platform does not count')
  const refused = await failure(pullImage(here.store, `${host}/multi:1`, { platform: 'linux/s390x' }))
  assert.is(refused.code, 'image_not_found')
  assert.match(refused.message, 'linux/amd64, linux/arm64')
  assert.is((await here.store.refs.get(`${host}/multi:1`))?.digest, amd64.descriptor.digest, 'the name is as before')
  process.env.STRAKE_ROOT = join(here.path, 'store')
  const all = await images.pull(`${host}/multi:1`, { platform: 'all' })
  assert.is((await here.store.refs.get(`${host}/multi:1`))?.digest, index.descriptor.digest)
  const pushed = await all.push(`${host}/multi/copy:1`, { platform: 'all', compression: 'none' })
  assert.is(pushed.digest, index.descriptor.digest)
  const raw = run('skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${host}/multi/copy:1`)
  assert.is(raw, index.blobs.get(index.descriptor.digest)?.toString())
  const compressed = await all.push(`${host}/multi/gzip:1`, { platform: 'all' })
  assert.is.not(compressed.digest, pushed.digest, "arm64's layers were plain")
  for (const architecture of ['amd64', 'arm64'])
    run(
      'skopeo',
      '--override-arch',
      architecture,
      'copy',
      '--src-tls-verify=false',
      `docker://${host}/multi/gzip:1`,
      `oci:${here.path}/${architecture}:1`,
    )
  assert.is((await failure(place.built.push(`${host}/multi/none:1`, { platform: 'all' }))).code, 'image_not_found')
})

test('tags come in pages, repositories are listed, a manifest is deleted by its digest', async ({ place }) => {
  if (!place) return
  const { host } = place.registry
  process.env.STRAKE_ROOT = roots.one
  const pushed = await place.built.push(`${host}/listed:a`)
  for (const tag of ['b', 'c']) await place.built.push(`${host}/listed:${tag}`)
  assert.equal([...(await images.tags(`${host}/listed`))].sort(), ['a', 'b', 'c'])
  assert.ok((await images.catalog(host)).includes('listed'))
  assert.equal(await images.referrers(`${host}/listed:a`), [])
  const refused = await failure(images.deleteRemote(`${host}/listed:a`))
  assert.is(refused.code, 'registry_denied')
  assert.match(refused.hint ?? '', pushed.digest)
  await images.deleteRemote(`${host}/listed@${pushed.digest}`)
  assert.is((await failure(images.pull(`${host}/listed:b`))).code, 'registry_not_found')
  assert.is((await failure(images.tags(`${host}/never/was`))).code, 'registry_not_found')
})

test('with a password over TLS of an own authority: both are needed, and each has its error', async ({ place }) => {
  if (!place) return
  if (!has('htpasswd') || !has('openssl')) return skip('htpasswd and openssl are not installed')
  const paths = authority(place.directory)
  const htpasswd = run('htpasswd', '-Bbn', 'me', 'secret')
  await using registry = await distribution({ htpasswd, tls: { cert: paths.cert, key: paths.key } })
  process.env.STRAKE_ROOT = roots.one
  const name = `${registry.host}/private:1`
  const tls = { ca: readFileSync(paths.ca) }
  const auth = { username: 'me', password: 'secret' }
  assert.is((await failure(place.built.push(name, { auth, retries: 0 }))).code, 'registry_unavailable')
  assert.match((await failure(place.built.push(name, { auth, retries: 0 }))).hint ?? '', 'tls')
  assert.is((await failure(place.built.push(name, { tls }))).code, 'registry_unauthorized')
  assert.is((await failure(place.built.push(name, { tls, auth: { ...auth, password: 'no' } }))).code, 'registry_unauthorized')
  const pushed = await place.built.push(name, { tls, auth })
  process.env.STRAKE_ROOT = roots.two
  assert.is((await images.pull(name, { tls, auth })).digest, pushed.digest)
  assert.is((await images.pull(name, { insecure: true, auth })).digest, pushed.digest)
  assert.ok(run('skopeo', 'inspect', '--tls-verify=false', '--creds', 'me:secret', `docker://${name}`).includes(pushed.digest))
})

test("a client's certificate is shown to a registry that wants one", async ({ place }) => {
  if (!place) return
  if (!has('openssl')) return skip('openssl is not installed')
  const paths = authority(place.directory)
  await using registry = await distribution({ tls: { cert: paths.cert, key: paths.key, clientCa: paths.ca } })
  process.env.STRAKE_ROOT = roots.one
  const name = `${registry.host}/certified:1`
  const ca = readFileSync(paths.ca)
  assert.is((await failure(place.built.push(name, { tls: { ca }, retries: 0 }))).code, 'registry_unavailable')
  await place.built.push(name, { tls: { ca, cert: readFileSync(paths.clientCert), key: readFileSync(paths.clientKey) } })
})

test.run()
