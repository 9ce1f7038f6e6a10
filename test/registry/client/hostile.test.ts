// HOSTILE.md, "Images and registries": each row against a registry in this process that does just that.
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import * as assert from 'uvu/assert'
import { configMediaType, indexMediaType, manifestMediaType } from '../../../lib/images/index.ts'
import { type PullOptions, pullImage } from '../../../lib/registry/index.ts'
import { digestOf } from '../../../lib/store/index.ts'
import { type MadeImage, makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, type Pretender, pretend, type Request, type Trick } from './pretender.ts'

const big = makeImage([tar(file('big', randomBytes(300_000).toString('latin1')))])
const blobs = [...big.blobs]
/** The layer is what is large. */
const [layerDigest, layer] = blobs.reduce((one, other) => (one[1].length > other[1].length ? one : other))
const quick: PullOptions = { retries: 1, timeouts: { connect: 2000, headers: 700, idle: 700 } }

function isLayer({ path }: Request): boolean {
  return path.endsWith(layerDigest)
}

function isManifest({ path }: Request): boolean {
  return path.includes('/manifests/')
}

/** Sends the layer's bytes as somebody who does not keep to their number. */
function sends(headers: Record<string, string | number>, write: (response: ServerResponse) => void): Trick {
  return (request, response) => {
    if (!isLayer(request)) return undefined
    response.writeHead(200, headers)
    write(response)
    return true
  }
}

function manifestOf(value: unknown, mediaType: string = manifestMediaType, headers: Record<string, string> = {}): Trick {
  return (request, response) => {
    if (!isManifest(request)) return undefined
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
    response.writeHead(200, { 'content-type': mediaType, ...headers })
    response.end(request.method === 'HEAD' ? undefined : bytes)
    return true
  }
}

const config = { mediaType: configMediaType, digest: digestOf('{}'), size: 2 }
const descriptor = { mediaType: manifestMediaType, digest: `sha256:${'0'.repeat(64)}`, size: 10 }
const isParsed = { schemaVersion: 2, mediaType: manifestMediaType }

function configOf(value: unknown): MadeImage {
  return makeImage([tar(file('a', 'a'))], { config: value as object })
}

const forever: Trick = sends({}, (response) => {
  const piece = Buffer.alloc(65_536)
  const more = (): void => {
    if (!response.destroyed) response.write(piece, () => setImmediate(more))
  }
  more()
})

interface Case {
  readonly name: string
  readonly trick: Trick
  readonly codes: readonly string[]
  readonly image?: MadeImage
  readonly options?: PullOptions
}

const changed = Buffer.from(layer)
changed[1000] = (changed[1000] ?? 0) ^ 1

const cases: readonly Case[] = [
  {
    name: 'I01 a blob of other bytes',
    trick: sends({ 'content-length': layer.length }, (to) => to.end(changed)),
    codes: ['digest_mismatch'],
  },
  {
    name: 'I01 a blob announced shorter',
    trick: sends({ 'content-length': 10 }, (to) => to.end(layer.subarray(0, 10))),
    codes: ['size_mismatch'],
  },
  { name: 'I01 a blob that ends too early', trick: sends({}, (to) => to.end(layer.subarray(0, 10))), codes: ['size_mismatch'] },
  {
    name: 'I01 a blob announced longer',
    trick: sends({ 'content-length': layer.length + 1 }, (to) => to.end(Buffer.concat([layer, Buffer.from('x')]))),
    codes: ['size_mismatch'],
  },
  {
    name: 'I01 a blob one byte longer',
    trick: sends({}, (to) => to.end(Buffer.concat([layer, Buffer.from('x')]))),
    codes: ['size_mismatch'],
  },
  { name: 'I01 a blob without end', trick: forever, codes: ['size_mismatch'] },
  {
    name: 'I01 a blob that stalls',
    trick: sends({ 'content-length': layer.length }, (to) => to.write(layer.subarray(0, 10))),
    codes: ['registry_unavailable'],
  },
  {
    name: 'I01 a manifest of other bytes than its digest header says',
    trick: manifestOf(isParsed, manifestMediaType, { 'docker-content-digest': `sha256:${'1'.repeat(64)}` }),
    codes: ['digest_mismatch'],
  },
  {
    name: 'I02 both layers and manifests',
    trick: manifestOf({ ...isParsed, config, layers: [], manifests: [] }),
    codes: ['image_invalid'],
  },
  {
    name: 'I02 an index sent as a manifest',
    trick: manifestOf({ schemaVersion: 2, mediaType: indexMediaType, manifests: [] }),
    codes: ['image_invalid'],
  },
  {
    name: 'I02 a manifest sent as an index',
    trick: manifestOf({ ...isParsed, config, layers: [] }, indexMediaType),
    codes: ['image_invalid'],
  },
  {
    name: 'I03 an index of 100,000 entries',
    trick: manifestOf({ schemaVersion: 2, manifests: Array(100_000).fill({}) }, indexMediaType),
    codes: ['limit_exceeded'],
  },
  { name: 'I03 a manifest of 5 MB', trick: manifestOf(Buffer.alloc(5_000_000, ' ')), codes: ['limit_exceeded'] },
  {
    name: 'I03 a manifest without end',
    trick: (request, response) => {
      if (!isManifest(request)) return undefined
      response.writeHead(200, { 'content-type': manifestMediaType })
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536, ' '), () => setImmediate(more))
      }
      more()
      return true
    },
    codes: ['limit_exceeded'],
  },
  { name: 'I03 an index that is its own child', trick: endlessIndex(), codes: ['limit_exceeded', 'digest_mismatch'] },
  {
    name: 'I04 a layer with a path for a digest',
    trick: manifestOf({ ...isParsed, config, layers: [{ ...descriptor, digest: 'sha256:../../x' }] }),
    codes: ['image_invalid'],
  },
  {
    name: 'I04 a digest header that is a path',
    trick: manifestOf(isParsed, manifestMediaType, { 'docker-content-digest': 'sha256:../../x' }),
    codes: ['registry_protocol'],
  },
  {
    name: 'I04 a digest in upper case',
    trick: manifestOf({ ...isParsed, config: { ...config, digest: config.digest.toUpperCase() }, layers: [] }),
    codes: ['image_invalid'],
  },
  {
    name: 'I04 a digest of an unknown kind',
    trick: manifestOf({ ...isParsed, config: { ...config, digest: `md5:${'0'.repeat(32)}` }, layers: [] }),
    codes: ['image_invalid'],
  },
  { name: 'I05 a config without rootfs', trick: () => undefined, image: configOf({ rootfs: undefined }), codes: ['image_invalid'] },
  {
    name: 'I05 a config of nulls',
    trick: () => undefined,
    image: configOf({ architecture: null, os: null, config: null, rootfs: null, history: null }),
    codes: ['image_invalid'],
  },
  { name: 'I05 a config whose env is a number', trick: () => undefined, image: configOf({ config: { Env: 7 } }), codes: ['image_invalid'] },
  { name: 'I05 a manifest of null', trick: manifestOf(null), codes: ['image_invalid'] },
  { name: 'I05 a manifest that is a list', trick: manifestOf([]), codes: ['image_invalid'] },
  { name: 'I05 a manifest that is not JSON', trick: manifestOf(Buffer.from('<html>')), codes: ['image_invalid'] },
  { name: 'I05 a page of a portal', trick: manifestOf(Buffer.from('<html>'), 'text/html'), codes: ['registry_protocol'] },
  {
    name: 'I05 a manifest of an unknown type',
    trick: manifestOf({ schemaVersion: 2 }, 'application/vnd.example+json'),
    codes: ['registry_protocol'],
  },
  { name: "I05 Docker's schema 1 as JSON", trick: manifestOf({ schemaVersion: 1 }, 'application/json'), codes: ['image_invalid'] },
  {
    name: "I05 Docker's schema 1",
    trick: manifestOf({ schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
    codes: ['image_invalid'],
  },
  {
    name: 'I05 a layer of negative size',
    trick: manifestOf({ ...isParsed, config, layers: [{ ...descriptor, size: -1 }] }),
    codes: ['image_invalid'],
  },
  {
    name: 'I05 a layer of 2^50 bytes',
    trick: manifestOf({
      ...isParsed,
      config,
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: descriptor.digest, size: 2 ** 50 }],
    }),
    codes: ['limit_exceeded', 'registry_not_found'],
  },
  { name: 'I10 429 with Retry-After: 100000', trick: status(429, { 'retry-after': '100000' }), codes: ['registry_unavailable'] },
  { name: 'I10 503 for ever', trick: status(503), codes: ['registry_unavailable'] },
  { name: 'I10 500 of nonsense', trick: status(500), codes: ['registry_unavailable'] },
  { name: 'I10 never an answer', trick: (request) => isManifest(request), codes: ['registry_unavailable'] },
  { name: 'I10 headers one byte at a time', trick: trickle(), codes: ['registry_unavailable'] },
  { name: 'I10 headers of a megabyte', trick: longHeaders(), codes: ['registry_protocol'] },
  {
    name: 'redirects in a circle',
    trick: (request, response) => isManifest(request) && redirect(response, request.path),
    codes: ['registry_protocol'],
  },
  {
    name: 'a redirect to a file',
    trick: (request, response) => isManifest(request) && redirect(response, 'file:///etc/passwd'),
    codes: ['registry_protocol'],
  },
  {
    name: 'a redirect without a place',
    trick: (request, response) => isManifest(request) && redirect(response, undefined),
    codes: ['registry_protocol'],
  },
  { name: '403', trick: status(403), codes: ['registry_denied'] },
  { name: '404', trick: status(404), codes: ['registry_not_found'] },
  { name: '418', trick: status(418), codes: ['registry_protocol'] },
]

function status(code: number, headers: Record<string, string> = {}): Trick {
  return (request, response) => {
    if (!isManifest(request)) return undefined
    response.writeHead(code, headers)
    response.end('\u0007<not json>')
    return true
  }
}

function redirect(response: ServerResponse, location: string | undefined): boolean {
  response.writeHead(302, location === undefined ? {} : { location })
  response.end()
  return true
}

function trickle(): Trick {
  return (request, response) => {
    if (!isManifest(request)) return undefined
    const text = `HTTP/1.1 200 OK\r\ncontent-type: ${manifestMediaType}\r\nx-long: ${'y'.repeat(10_000)}`
    let at = 0
    const timer = setInterval(() => response.socket?.write(text[at++] ?? 'y'), 50)
    response.socket?.on('close', () => clearInterval(timer))
    return true
  }
}

function longHeaders(): Trick {
  return (request, response) => {
    if (!isManifest(request)) return undefined
    response.socket?.write(`HTTP/1.1 200 OK\r\nx-long: ${'y'.repeat(1_000_000)}\r\n\r\n`)
    return true
  }
}

/** Whatever digest is asked for: an index whose only entry it is. */
function endlessIndex(): Trick {
  const entry = { mediaType: indexMediaType, digest: digestOf('x'), size: 1, platform: { os: 'linux', architecture: 'amd64' } }
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry] }))
  return (request, response) => {
    if (!isManifest(request)) return undefined
    response.writeHead(200, { 'content-type': indexMediaType })
    response.end(bytes)
    return true
  }
}

async function attempt(
  registry: Pretender,
  { options, image = big }: Partial<Case>,
): Promise<{ code: string; message: string; stack: string }> {
  await using here = await desk()
  const before = await here.content()
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, ...options }))
  const after = await here.content()
  assert.equal(after.names, before.names, 'no name of the store has changed')
  const allowed = new Set([...image.blobs.keys()])
  assert.ok(
    after.blobs.every((each) => allowed.has(each)),
    'nothing is kept but what is what it is said to be',
  )
  return error as never
}

for (const each of cases) {
  test(`${each.name}: ${each.codes.join(' or ')}, in good time, the store as before`, async () => {
    await using registry = await pretend({ 'app:1': each.image ?? big })
    registry.tricks.push(each.trick)
    const started = performance.now()
    const error = await attempt(registry, each)
    assert.ok(each.codes.includes(error.code), `${error.code}: ${error.message}\n${error.stack}`)
    assert.not.match(error.message, /[\u0000-\u001f]/)
    assert.ok(performance.now() - started < 10_000)
  })
}

test('I01 the first byte too many ends it: an endless blob is not read on', async () => {
  await using registry = await pretend({ 'app:1': big })
  let sent = 0
  registry.tricks.push(
    sends({}, (response) => {
      const more = (): void => {
        if (response.destroyed) return
        sent += 65_536
        response.write(Buffer.alloc(65_536), () => setImmediate(more))
      }
      more()
    }),
  )
  assert.is((await attempt(registry, {})).code, 'size_mismatch')
  assert.ok(sent < layer.length + 20_000_000, `${sent} bytes were sent`)
})

test('I04 sha512 works', async () => {
  const manifest = JSON.parse((big.blobs.get(big.descriptor.digest) as Buffer).toString()) as { layers: { digest: string }[] }
  const long = digestOf(layer, 'sha512')
  const bytes = Buffer.from(JSON.stringify({ ...manifest, layers: [{ ...manifest.layers[0], digest: long }] }))
  const image = {
    descriptor: { ...big.descriptor, digest: digestOf(bytes), size: bytes.length },
    blobs: new Map([...big.blobs, [long, layer], [digestOf(bytes), bytes]]),
  }
  await using registry = await pretend({ 'app:1': image as MadeImage })
  await using here = await desk()
  assert.is((await pullImage(here.store, `${registry.host}/app:1`, quick)).layers[0]?.digest, long)
})

test('I06 the urls of a foreign layer are not fetched: the registry itself is asked', async () => {
  await using elsewhere = await pretend({})
  const manifest = JSON.parse((big.blobs.get(big.descriptor.digest) as Buffer).toString()) as { layers: object[] }
  const foreign = {
    ...manifest.layers[0],
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar',
    urls: [`http://${elsewhere.host}/layer`],
  }
  const bytes = Buffer.from(JSON.stringify({ ...manifest, layers: [foreign] }))
  const image = {
    descriptor: { ...big.descriptor, digest: digestOf(bytes), size: bytes.length },
    blobs: new Map([...big.blobs, [digestOf(bytes), bytes]]),
  }
  await using registry = await pretend({ 'app:1': image as MadeImage })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, quick)
  assert.is(elsewhere.requests.length, 0)
  registry.tricks.push((request, response) => {
    if (!isLayer(request)) return undefined
    response.writeHead(404).end()
    return true
  })
  assert.is((await attempt(registry, { image: image as MadeImage })).code, 'registry_not_found')
  assert.is(elsewhere.requests.length, 0)
})

test('I10 what is refused for a moment is asked for again, when the registry says so', async () => {
  await using registry = await pretend({ 'app:1': big })
  await using here = await desk()
  const times: number[] = []
  registry.tricks.push((request, response) => {
    if (!isManifest(request) || times.push(performance.now()) > 1) return undefined
    response.writeHead(429, { 'retry-after': '1' }).end()
    return true
  })
  await pullImage(here.store, `${registry.host}/app:1`, quick)
  assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 990)
})

test('I11 a reference that is none makes no request', async () => {
  await using registry = await pretend({ 'app:1': big })
  await using here = await desk()
  for (const path of [
    'a/../b',
    'a%2e%2e/b',
    'a b',
    'n'.repeat(300),
    'App',
    'app:..',
    `app:${'t'.repeat(200)}`,
    `app:sha256:${'a'.repeat(64)}`,
    'app@sha256:../../x',
  ])
    assert.is((await failure(pullImage(here.store, `${registry.host}/${path}`, quick))).code, 'invalid_reference', path)
  assert.is(registry.requests.length, 0)
})

test.run()
