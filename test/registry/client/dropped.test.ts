// HOSTILE.md, I09 and I10: connections that drop while a layer is on its way, registries that are asked for the rest of it, calls that are aborted.
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import * as assert from 'uvu/assert'
import { type PullOptions, pullImage } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, pretend, type Request, sendBytes, type Trick } from './pretender.ts'

const big = makeImage([tar(file('big', randomBytes(300_000).toString('latin1')))])
/** The layer is what is large. */
const [layerDigest, layer] = [...big.blobs].reduce((one, other) => (one[1].length > other[1].length ? one : other))
const quick: PullOptions = { retries: 1, timeouts: { connect: 2000, headers: 700, idle: 700 } }

function isLayer({ path }: Request): boolean {
  return path.endsWith(layerDigest)
}

for (const broken of [0, 1, 2, 511, 4096, 65_536, 65_537, layer.length - 1]) {
  test(`I09 a connection dropped after ${broken} bytes is taken up again`, async () => {
    await using registry = await pretend({ 'app:1': big })
    await using here = await desk()
    let drops = 0
    registry.tricks.push((request, response) => {
      if (!isLayer(request) || drops > 0) return undefined
      drops += 1
      response.writeHead(200, { 'content-length': layer.length })
      response.write(layer.subarray(0, broken), () => setTimeout(() => response.destroy(), 20))
      return true
    })
    const image = await pullImage(here.store, `${registry.host}/app:1`, quick)
    assert.equal(await here.store.blobs.read(image.layers[0]?.digest as never), layer)
    const ranges = registry.requests.filter(isLayer).map(({ headers }) => headers.range)
    assert.is(ranges.length, 2)
    // What was on its way when the connection was reset may be lost.
    if (broken > 1) assert.match(ranges[1] ?? `bytes=${broken}-`, /^bytes=[0-9]+-$/)
  })
}

const answersToRange: Record<string, (request: Request, response: ServerResponse) => void> = {
  'sends all of it again (200)': (_, response) => response.writeHead(200, { 'content-length': layer.length }).end(layer),
  'starts at an earlier place': (_, response) =>
    response.writeHead(206, { 'content-range': `bytes 5-${layer.length - 1}/${layer.length}` }).end(layer.subarray(5)),
  'starts at a later place': (request, response) =>
    request.headers.range
      ? response
          .writeHead(206, { 'content-range': `bytes ${layer.length - 5}-${layer.length - 1}/${layer.length}` })
          .end(layer.subarray(layer.length - 5))
      : sendBytes(request, response, layer),
  'says nonsense about where': (request, response) =>
    request.headers.range ? response.writeHead(206, { 'content-range': 'bytes x' }).end('zzz') : sendBytes(request, response, layer),
  'does not say where': (request, response) =>
    request.headers.range ? response.writeHead(206).end('zzz') : sendBytes(request, response, layer),
  'says another size': (request, response) =>
    request.headers.range
      ? response.writeHead(206, { 'content-range': 'bytes 100-200/201' }).end('z'.repeat(101))
      : sendBytes(request, response, layer),
  'cannot satisfy it (416)': (request, response) =>
    request.headers.range ? response.writeHead(416).end() : sendBytes(request, response, layer),
}
for (const [what, second] of Object.entries(answersToRange)) {
  test(`I09 asked for the rest, a registry ${what}: the right bytes all the same`, async () => {
    await using registry = await pretend({ 'app:1': big })
    await using here = await desk()
    let drops = 0
    registry.tricks.push((request, response) => {
      if (!isLayer(request)) return undefined
      drops += 1
      if (drops > 1) second(request, response)
      else {
        response.writeHead(200, { 'content-length': layer.length })
        response.write(layer.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50))
      }
      return true
    })
    const image = await pullImage(here.store, `${registry.host}/app:1`, quick)
    assert.equal(await here.store.blobs.read(image.layers[0]?.digest as never), layer)
    assert.ok(registry.requests.filter(isLayer)[1]?.headers.range)
  })
}

test('I09 a connection that always drops is given up', async () => {
  await using registry = await pretend({ 'app:1': big })
  registry.tricks.push((request, response) => {
    if (!isLayer(request)) return undefined
    response.writeHead(200, { 'content-length': layer.length })
    response.write(layer.subarray(0, 10), () => setTimeout(() => response.destroy(), 5))
    return true
  })
  await using here = await desk()
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick))
  assert.is(error.code, 'registry_unavailable')
  assert.equal((await here.content()).names, [])
})

const stuck: Record<string, Trick> = {
  'does not answer': (request) => request.path.includes('/manifests/'),
  'does not send a layer': isLayer,
  'wants it to wait': (_, response) => {
    response.writeHead(503, { 'retry-after': '30' }).end()
    return true
  },
}
for (const [what, trick] of Object.entries(stuck)) {
  test(`I10 an aborted pull ends at once, when the registry ${what}`, async () => {
    await using registry = await pretend({ 'app:1': big }, { trick })
    await using here = await desk()
    const reason = new Error('enough')
    const control = new AbortController()
    setTimeout(() => control.abort(reason), 300)
    const started = performance.now()
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { signal: control.signal }))
    assert.is(error.code, 'aborted')
    assert.is(error.cause, reason)
    assert.ok(performance.now() - started < 2000)
  })
}

test('a call that was aborted before it began makes no request', async () => {
  await using registry = await pretend({ 'app:1': big })
  await using here = await desk()
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, { signal: AbortSignal.abort() }))).code, 'aborted')
  assert.is(registry.requests.length, 0)
})

test.run()
