import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { parsePlatform } from '../../../lib/images/index.ts'
import { type PullOptions, pullImage, pushImage, type TransferEvent } from '../../../lib/registry/index.ts'
import { Store } from '../../../lib/store/index.ts'
import { amd64, arm64, makeImage, makeIndex } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { desk, failure, pretend } from './pretender.ts'

const quick: PullOptions = { retries: 0, platform: 'linux/amd64' }

test('mirrors are asked first, in their order; what one does not have or does wrong, the next may', async () => {
  await using registry = await pretend({ 'org/app:1': amd64 })
  await using empty = await pretend({})
  await using lying = await pretend({ 'org/app:1': amd64 })
  await using good = await pretend({ 'cache/org/app:1': amd64 })
  await using here = await desk()
  lying.tricks.push((request, response) => {
    if (!request.path.includes('/blobs/')) return undefined
    response.end('lies')
    return true
  })
  const auth = { username: 'me', password: 'secret' }
  const mirrors = ['127.0.0.1:1', empty.host, lying.host, `${good.host}/cache`]
  const pulled = await pullImage(here.store, `${registry.host}/org/app:1`, { ...quick, mirrors, auth })
  assert.is(pulled.digest, amd64.descriptor.digest)
  assert.equal(pulled.tags, [`${registry.host}/org/app:1`])
  assert.is(registry.requests.length, 0)
  assert.ok([empty, lying, good].every(({ requests }) => requests.length > 0 && requests.every(({ headers }) => !headers.authorization)))
})

test('without a mirror that works it is the registry, and its error that counts', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, mirrors: ['127.0.0.1:1'] })
  const error = await failure(pullImage(here.store, `${registry.host}/other:1`, { ...quick, mirrors: ['127.0.0.1:1'] }))
  assert.is(error.code, 'registry_not_found')
})

const options: readonly [string, object][] = [
  ['platform', { platform: 'linux' }],
  ['platform', { platform: 7 }],
  ['policy', { policy: 'sometimes' }],
  ['parallel', { parallel: 0 }],
  ['retries', { retries: -1 }],
  ['retries', { retries: 1.5 }],
  ['idle', { timeouts: { idle: Number.NaN } }],
  ['headers', { timeouts: { headers: -1 } }],
  ['connect', { timeouts: { connect: null } }],
  ['fileByte', { limits: { fileByte: 7 } }],
  ['blobBytes', { limits: { blobBytes: '7' } }],
  ['auth', { auth: { username: 'a:b', password: '' } }],
  ['auth', { auth: { username: 'a' } }],
  ['auth', { auth: { token: 'a\r\nb' } }],
  ['auth', { auth: 'me' }],
  ['tls', { tls: { cert: 'x' } }],
  ['tls', { tls: { ca: 7 } }],
  ['mirror', { mirrors: ['https://a.example'] }],
  ['mirror', { mirrors: [7] }],
  ['mirrors', { mirrors: 'a.example' }],
]
for (const [name, wrong] of options) {
  test(`the option ${JSON.stringify(wrong)} is refused by its name, before any request`, async () => {
    await using registry = await pretend({ 'app:1': amd64 })
    await using here = await desk()
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, wrong as PullOptions))
    assert.is(error.code, 'invalid_argument')
    assert.match(error.message, name)
    assert.is(registry.requests.length, 0)
  })
}

for (const time of [0, Number.POSITIVE_INFINITY]) {
  test(`times of ${time} are none, each of them`, async () => {
    await using registry = await pretend({ 'app:1': amd64 })
    await using here = await desk()
    registry.tricks.push(async (request, response) => {
      await sleep(50)
      const bytes = amd64.blobs.get(request.path.split('/').at(-1) ?? '')
      if (!request.path.includes('/blobs/') || bytes === undefined) return undefined
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 10))
      await sleep(50)
      response.end(bytes.subarray(10))
      return true
    })
    const timeouts = { connect: time, headers: time, idle: time }
    const pulled = await pullImage(here.store, `${registry.host}/app:1`, { ...quick, timeouts })
    assert.is(pulled.digest, amd64.descriptor.digest)
  })
}

test('a certificate of an unknown authority is refused, and neither HTTP nor credentials are tried; its authority may be stored for the host', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  const paths = authority(here.path)
  const tls = { cert: readFileSync(paths.cert, 'utf8'), key: readFileSync(paths.key, 'utf8') }
  await using registry = await pretend({ 'app:1': amd64 }, { tls })
  const name = `${registry.host}/app:1`
  const error = await failure(pullImage(here.store, name, quick))
  assert.is(error.code, 'registry_unavailable')
  assert.match(error.hint ?? '', 'insecure: true')
  assert.is(registry.requests.length, 0)
  await pullImage(here.store, name, { ...quick, insecure: true })
  const stored = join(process.env.XDG_CONFIG_HOME ?? '', 'containers', 'certs.d', registry.host)
  mkdirSync(stored, { recursive: true })
  writeFileSync(join(stored, 'ca.crt'), readFileSync(paths.ca))
  assert.is((await pullImage(here.store, name, quick)).digest, amd64.descriptor.digest)
})

test('what is not there is named as it was asked for: a tag after a colon, a digest after an @', async () => {
  await using registry = await pretend({})
  await using here = await desk()
  const digest = `sha256:${'0'.repeat(64)}`
  for (const [name, shown] of [
    ['app:1', 'app:1'],
    [`app@${digest}`, `app@${digest}`],
  ] as const) {
    const error = await failure(pullImage(here.store, `${registry.host}/${name}`, quick))
    assert.is(error.code, 'registry_not_found')
    assert.ok(error.message.includes(` ${shown}`), error.message)
  }
})

test('plain HTTP is not spoken where it is refused by name', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  await using here = await desk()
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, insecure: false }))).code, 'registry_unavailable')
  assert.is(registry.requests.length, 0)
})

test('an image for another platform than was asked for is refused, and one without an index is taken as it is', async () => {
  await using registry = await pretend({ 'app:1': arm64 })
  await using here = await desk()
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, quick))).code, 'image_not_found')
  assert.is((await pullImage(here.store, `${registry.host}/app:1`)).platform.architecture, 'arm64')
})

test('no more blobs at a time than parallel says, and each once', async () => {
  const image = makeImage(Array.from({ length: 8 }, (_, index) => tar(file(`f${index}`, String(index)))))
  await using registry = await pretend({ 'app:1': image })
  await using here = await desk()
  let now = 0
  let most = 0
  registry.tricks.push(async (request) => {
    if (!request.path.includes('/blobs/')) return undefined
    now += 1
    most = Math.max(most, now)
    await new Promise((resolve) => setTimeout(resolve, 40))
    now -= 1
    return undefined
  })
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, parallel: 3 })
  assert.is(most, 3)
  const paths = registry.requests.filter(({ path }) => path.includes('/blobs/')).map(({ path }) => path)
  assert.is(new Set(paths).size, paths.length)
})

test('the layers that had arrived are not fetched again by the next try', async () => {
  const image = makeImage([tar(file('a', 'a')), tar(file('b', 'b'))])
  const [, last] = (JSON.parse(String(image.blobs.get(image.descriptor.digest))) as { layers: { digest: string }[] }).layers
  await using registry = await pretend({ 'app:1': image })
  await using here = await desk()
  registry.tricks.push((request, response) => {
    if (!request.path.endsWith(last?.digest ?? '')) return undefined
    response.writeHead(403).end()
    return true
  })
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, parallel: 1 }))).code, 'registry_denied')
  assert.equal((await here.content()).names, [])
  registry.tricks.length = 0
  registry.requests.length = 0
  const events: TransferEvent[] = []
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, onProgress: (event) => events.push(event) })
  assert.is(registry.requests.filter(({ path }) => path.includes('/blobs/')).length, 1)
  assert.equal(
    events
      .filter(({ kind, phase }) => kind === 'layer' && phase !== 'download')
      .map(({ phase }) => phase)
      .sort(),
    ['done', 'present'],
  )
})

test('what reads as a digest is no name to pull by: no registry is asked', async () => {
  await using here = await desk()
  const error = await failure(pullImage(here.store, `sha256:${'a'.repeat(64)}`, quick))
  assert.is(error.code, 'invalid_reference')
  assert.match(error.message, 'it reads as a digest')
})

test('what is in the store with another size than the manifest says is fetched anew, a layer as well as the config', async () => {
  const image = makeImage([tar(file('a', 'a')), tar(file('b', 'b'))], { platform: parsePlatform('linux/amd64') })
  await using registry = await pretend({ 'app:1': image, 'all:1': makeIndex([image, arm64]) })
  await using here = await desk()
  const { id, layers } = await pullImage(here.store, `${registry.host}/app:1`, quick)
  for (const digest of [layers[0]?.digest, layers[1]?.digest, id] as const) {
    for (const { policy, name } of [{ name: 'app:1' }, { name: 'app:1', policy: 'missing' }, { name: 'all:1' }] as const) {
      truncateSync(here.store.blobs.path(digest as never), 3)
      await pullImage(here.store, `${registry.host}/${name}`, { ...quick, policy })
      assert.equal(await here.store.blobs.read(digest as never), image.blobs.get(digest ?? ''))
    }
  }
  const all = { ...quick, platform: 'all' }
  await pullImage(here.store, `${registry.host}/all:1`, all)
  for (const { blobs } of [image, arm64])
    for (const [digest, bytes] of blobs) {
      truncateSync(here.store.blobs.path(digest as never), 3)
      await pullImage(here.store, `${registry.host}/all:1`, all)
      assert.equal(await here.store.blobs.read(digest as never), bytes)
    }
})

test('two processes that pull the same image at once both have it', async () => {
  const image = makeImage([tar(file('a', 'a'.repeat(3_000_000))), tar(file('b', 'b'.repeat(1_000_000)))])
  await using registry = await pretend({ 'app:1': image })
  await using here = await desk()
  const puller = fileURLToPath(new URL('puller.ts', import.meta.url))
  const pull = (): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', puller, here.store.root, `${registry.host}/app:1`])
  const done = await Promise.all([pull(), pull()])
  for (const { stdout } of done) assert.match(stdout, image.descriptor.digest)
  const store = await Store.open(here.store.root)
  for (const [digest, bytes] of image.blobs) assert.equal(await store.blobs.read(digest as never), bytes)
})

test('a full disk is store_full, and leaves nothing half-written', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  await using here = await desk()
  const full = Object.create(here.store, {
    blobs: {
      value: {
        size: () => Promise.resolve(undefined),
        put: () => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })),
      },
    },
  }) as Store
  assert.is((await failure(pullImage(full, `${registry.host}/app:1`, quick))).code, 'store_full')
})

test('what an image of an index was pulled as is known again: nothing is fetched, whatever the type of what the name stands for', async () => {
  await using registry = await pretend({ 'app:1': makeIndex([amd64, arm64]) })
  await using here = await desk()
  const first = await pullImage(here.store, `${registry.host}/app:1`, quick)
  registry.requests.length = 0
  assert.equal(await pullImage(here.store, `${registry.host}/app:1`, quick), first)
  assert.equal(
    registry.requests.map(({ method }) => method),
    ['HEAD'],
  )
})

test('to push an image whose blob is gone is store_invalid', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  await using here = await desk()
  const image = await pullImage(here.store, `${registry.host}/app:1`, quick)
  await here.store.blobs.remove(image.layers[0]?.digest as never)
  registry.tricks.push((request, response) => {
    if (request.method !== 'HEAD') return undefined
    response.writeHead(404).end()
    return true
  })
  assert.is((await failure(pushImage(here.store, image, `${registry.host}/app:2`, { retries: 0 }))).code, 'store_invalid')
})

test.run()
