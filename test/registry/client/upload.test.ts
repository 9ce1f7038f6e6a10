import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as assert from 'uvu/assert'
import { Images } from '../../../lib/images/index.ts'
import { type PushOptions, pullImage, pushImage } from '../../../lib/registry/index.ts'
import { digestOf } from '../../../lib/store/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { type Desk, desk, failure, pretend } from './pretender.ts'

const image = makeImage([tar(file('big', randomBytes(400_000).toString('latin1')))], { gzip: true })
const quick: PushOptions = { retries: 2, timeouts: { connect: 2000, headers: 3000, idle: 3000 } }

interface Taker extends AsyncDisposable {
  readonly host: string
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, Buffer>
  readonly requests: { method: string; path: string; authorization: string | undefined }[]
  /** Looks at a request first; true where it has answered. */
  trick: (request: IncomingMessage, response: ServerResponse, count: number) => boolean
}

/** A registry that takes uploads, whole and in chunks, and may be told to misbehave. */
async function taker(locationOf: (path: string) => string = (path) => path): Promise<Taker> {
  const parts = new Map<string, Buffer>()
  let uploads = 0
  const self: Taker = {
    host: '',
    blobs: new Map(),
    manifests: new Map(),
    requests: [],
    trick: () => false,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://registry')
    const { method = '' } = request
    self.requests.push({ method, path: url.pathname, authorization: request.headers.authorization })
    if (self.trick(request, response, self.requests.length)) return
    const pieces: Buffer[] = []
    const id = /\/uploads\/(.+)$/.exec(url.pathname)?.[1]
    try {
      for await (const piece of request) pieces.push(piece as Buffer)
    } catch {
      // Of a request that breaks off, what has come stays.
      if (id) parts.set(id, Buffer.concat([parts.get(id) ?? Buffer.alloc(0), ...pieces]))
      return
    }
    const body = Buffer.concat(pieces)
    const reply = (status: number, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-length': '0', ...headers }).end()
    }
    const manifest = /\/manifests\/(.+)$/.exec(url.pathname)?.[1]
    const blob = /\/blobs\/(sha256:.+)$/.exec(url.pathname)?.[1]
    if (manifest && method === 'PUT') self.manifests.set(manifest, body)
    if (manifest) return reply(method === 'PUT' ? 201 : self.manifests.has(manifest) ? 200 : 404)
    if (blob) return reply(self.blobs.has(blob) ? 200 : 404)
    if (method === 'POST') return reply(202, { location: locationOf(`/v2/app/blobs/uploads/${++uploads}?_state=a%2Bb`) })
    if (id === undefined) return reply(404)
    if (url.searchParams.get('_state') !== 'a+b') return reply(400)
    const all = Buffer.concat([parts.get(id) ?? Buffer.alloc(0), body])
    if (method === 'GET')
      return reply(204, { location: locationOf(`${url.pathname}?_state=a%2Bb`), range: `0-${Math.max(0, all.length - 1)}` })
    const range = /^([0-9]+)-([0-9]+)$/.exec(request.headers['content-range'] ?? '')
    if (range && Number(range[1]) !== all.length - body.length) return reply(416)
    parts.set(id, all)
    if (method === 'PATCH') return reply(202, { location: locationOf(`${url.pathname}?_state=a%2Bb`), range: `0-${all.length - 1}` })
    const digest = url.searchParams.get('digest') ?? ''
    if (digestOf(all) !== digest) return reply(400)
    self.blobs.set(digest, all)
    reply(201)
  }
  const server = createServer((request, response) => void take(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(self, { host: `127.0.0.1:${(server.address() as AddressInfo).port}` })
}

/** The image in a store. */
async function stored(here: Desk): Promise<Awaited<ReturnType<typeof pullImage>>> {
  await using registry = await pretend({ 'app:1': image })
  return await pullImage(here.store, `${registry.host}/app:1`)
}

function complete({ blobs, manifests }: Taker): void {
  for (const [digest, bytes] of image.blobs) if (digest !== image.descriptor.digest) assert.equal(blobs.get(digest), bytes)
  assert.equal(manifests.get('1'), image.blobs.get(image.descriptor.digest))
}

test('a blob goes up whole, and by a location whose query stays letter for letter', async () => {
  await using here = await desk()
  await using registry = await taker()
  const pushed = await pushImage(here.store, await stored(here), `${registry.host}/app:1`, quick)
  assert.is(pushed.uploaded, 2)
  complete(registry)
})

for (const cut of [1, 2, 3]) {
  test(`in chunks: request ${cut} that breaks off is taken up where it broke`, async () => {
    await using here = await desk()
    await using registry = await taker()
    let patches = 0
    registry.trick = (request) => {
      if (request.method !== 'PATCH') return false
      patches += 1
      if (patches === cut) request.once('data', () => request.socket.destroy())
      return false
    }
    await pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, chunkSize: 150_000 })
    complete(registry)
    assert.ok(patches >= 4)
  })
}

test('an upload that breaks off is begun again', async () => {
  await using here = await desk()
  await using registry = await taker()
  let puts = 0
  registry.trick = (request) => {
    if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return false
    puts += 1
    if (puts === 1) request.once('data', () => request.socket.destroy())
    return false
  }
  await pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, parallel: 1 })
  complete(registry)
})

test('an upload whose answer was lost is found to be there', async () => {
  await using here = await desk()
  await using registry = await taker()
  let puts = 0
  registry.trick = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return false
    puts += 1
    if (puts === 1) response.end = () => response.destroy()
    return false
  }
  await pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, parallel: 1 })
  complete(registry)
  assert.is(puts, 2, 'one for each blob')
})

test('I07 an upload that goes on at another host goes there without credentials', async () => {
  await using here = await desk()
  await using storage = await taker((path) => `http://${storage.host}${path}`)
  await using registry = await taker((path) => `http://${storage.host}${path}`)
  registry.trick = (request, response) => {
    if (request.headers.authorization) return false
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
    return true
  }
  await pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, auth: { username: 'me', password: 'secret' } })
  assert.ok(storage.requests.length >= 2)
  assert.ok(storage.requests.every(({ authorization }) => authorization === undefined))
  assert.is(storage.blobs.size, 2)
})

const refusals: readonly [string, number, string][] = [
  ['wants other credentials', 401, 'registry_unauthorized'],
  ['does not allow it', 403, 'registry_denied'],
  ['has no such repository', 404, 'registry_not_found'],
  ['finds it too large', 413, 'registry_denied'],
  ['finds it wrong', 400, 'registry_protocol'],
  ['is not well', 500, 'registry_unavailable'],
]
for (const [what, status, code] of refusals) {
  test(`a registry that ${what}: ${code}, with its words, and no manifest is sent`, async () => {
    await using here = await desk()
    await using registry = await taker()
    registry.trick = (request, response) => {
      if (request.method !== 'POST') return false
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ errors: [{ code: 'WHY', message: 'be\u001b[31mcause' }] }))
      return true
    }
    const error = await failure(pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, retries: 1 }))
    assert.is(error.code, code)
    assert.match(error.message, 'WHY')
    assert.not.match(error.message, /[\u0000-\u001f]/)
    assert.is(registry.manifests.size, 0)
  })
}

for (const location of [undefined, 'file:///etc/passwd', 'http://me:you@127.0.0.1/', 'http://[', '']) {
  test(`an upload whose location is ${location}: registry_protocol`, async () => {
    await using here = await desk()
    await using registry = await taker()
    registry.trick = (request, response) => {
      if (request.method !== 'POST') return false
      response.writeHead(202, location === undefined ? {} : { location }).end()
      return true
    }
    const error = await failure(pushImage(here.store, await stored(here), `${registry.host}/app:1`, quick))
    assert.ok(error.code === 'registry_protocol' || (location === '' && error.code === 'registry_not_found'), error.code)
  })
}

for (const method of ['POST', 'PATCH', 'PUT'] as const) {
  const options: PushOptions = { ...quick, parallel: 1, ...(method === 'PATCH' ? { chunkSize: 150_000 } : {}) }
  const pushed = async (
    answer: (response: ServerResponse) => void,
  ): Promise<{ error: Awaited<ReturnType<typeof failure>>; count: number }> => {
    await using here = await desk()
    await using registry = await taker()
    registry.trick = (request, response) => {
      if (request.method !== method) return false
      request.resume()
      request.on('end', () => answer(response))
      return true
    }
    const error = await failure(pushImage(here.store, await stored(here), `${registry.host}/app:1`, options))
    return { error, count: registry.requests.filter((each) => each.method === method).length }
  }

  test(`${method} of an upload that is refused each time is sent once, and as often again as the option says`, async () => {
    const { error, count } = await pushed((response) => response.writeHead(503).end())
    assert.is(error.code, 'registry_unavailable')
    assert.is(count, 3)
  })

  test(`${method} of an upload that is to be sent in an hour only: registry_unavailable at once`, async () => {
    for (const status of [429, 503]) {
      const { error, count } = await pushed((response) => response.writeHead(status, { 'retry-after': '3600' }).end())
      assert.is(error.code, 'registry_unavailable')
      assert.is(count, 1)
      assert.match(error.hint ?? '', '3600 s')
    }
  })
}

test('chunks that are refused for a moment are sent again from where they are, as often as it takes', async () => {
  await using here = await desk()
  await using registry = await taker()
  let patches = 0
  registry.trick = (request, response) => {
    if (request.method !== 'PATCH' || ++patches % 3 === 0) return false
    request.resume()
    request.on('end', () => response.writeHead(503, { 'retry-after': '0' }).end())
    return true
  }
  await pushImage(here.store, await stored(here), `${registry.host}/app:1`, { ...quick, parallel: 1, chunkSize: 150_000 })
  complete(registry)
  assert.is(registry.requests.filter(({ method }) => method === 'POST').length, 2, 'one for each blob')
})

test('a manifest that is too large for a registry is not a matter of who asks', async () => {
  await using here = await desk()
  await using registry = await taker()
  registry.trick = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/manifests/')) return false
    response.writeHead(413).end()
    return true
  }
  const error = await failure(pushImage(here.store, await stored(here), `${registry.host}/app:1`, quick))
  assert.is(error.code, 'registry_denied')
  assert.not.match(error.hint ?? '', 'user')
})

test('a push is aborted at once, and a digest that the image does not have is refused', async () => {
  await using here = await desk()
  await using registry = await taker()
  const kept = await stored(here)
  const error = await failure(pushImage(here.store, kept, `${registry.host}/app@sha256:${'0'.repeat(64)}`, quick))
  assert.is(error.code, 'digest_mismatch')
  registry.trick = (request) => request.method === 'PUT'
  const signal = AbortSignal.timeout(300)
  const started = performance.now()
  assert.is((await failure(pushImage(here.store, kept, `${registry.host}/other:1`, { signal }))).code, 'aborted')
  assert.ok(performance.now() - started < 2000)
  assert.ok((await new Images(here.store).list()).length === 1)
})

test.run()
