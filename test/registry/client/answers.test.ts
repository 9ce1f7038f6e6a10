// Answers in JSON that stall, or are cut: asked for again, and named by one code when they are so each time.
import type { ServerResponse } from 'node:http'
import * as assert from 'uvu/assert'
import { pullImage, pushImage, remoteCatalog, remoteReferrers, remoteTags } from '../../../lib/registry/index.ts'
import { digestOf } from '../../../lib/store/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { type Desk, desk, failure, type Pretender, pretend, refuse } from './pretender.ts'

const image = makeImage([tar(file('a', 'a'))])
const quick = { retries: 1, timeouts: { connect: 2000, headers: 1500, idle: 300 } }

/** Ways to send a part of an answer, and no more. */
const faults: Record<string, (response: ServerResponse, body: Buffer, headers: Record<string, string>) => void> = {
  'stalls, its length said': (response, body, headers) => {
    response.writeHead(200, { ...headers, 'content-length': body.length })
    response.write(body.subarray(0, 5))
  },
  'stalls, in chunks': (response, body, headers) => {
    response.writeHead(200, headers)
    response.write(body.subarray(0, 5))
  },
  'is cut, its length said': (response, body, headers) => {
    response.writeHead(200, { ...headers, 'content-length': body.length })
    response.write(body.subarray(0, 5), () => setTimeout(() => response.destroy(), 20))
  },
  'is cut, in chunks': (response, body, headers) => {
    response.writeHead(200, headers)
    response.write(body.subarray(0, 5), () => setTimeout(() => response.destroy(), 20))
  },
  'is ended too early, the connection closed': (response, body, headers) => {
    response.writeHead(200, { ...headers, 'content-length': body.length, connection: 'close' })
    response.write(body.subarray(0, 5), () => setTimeout(() => response.socket?.end(), 20))
  },
}

interface Asked {
  readonly path: RegExp
  readonly body: Buffer
  readonly headers?: Record<string, string>
  readonly ask: (host: string, here: Desk) => Promise<unknown>
  readonly setUp?: (registry: Pretender) => void
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const manifest = image.blobs.get(image.descriptor.digest) as Buffer
const asked: Record<string, Asked> = {
  'a manifest': {
    path: /manifests\/1$/,
    body: manifest,
    headers: { 'content-type': image.descriptor.mediaType },
    ask: (host, { store }) => pullImage(store, `${host}/app:1`, quick),
  },
  tags: { path: /tags\/list/, body: json({ name: 'app', tags: ['1'] }), ask: (host) => remoteTags(`${host}/app`, quick) },
  'the catalog': { path: /_catalog/, body: json({ repositories: ['app'] }), ask: (host) => remoteCatalog(host, quick) },
  referrers: {
    path: /referrers/,
    body: json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] }),
    ask: (host) => remoteReferrers(`${host}/app@${digestOf(manifest)}`, quick),
  },
  'a token': {
    path: /^\/token/,
    body: json({ token: 'good' }),
    ask: (host, { store }) => pullImage(store, `${host}/app:1`, quick),
    setUp: (registry) => {
      registry.tricks.push(({ path, headers }, response) => {
        if (path === '/token' || headers.authorization === 'Bearer good') return undefined
        refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': `Bearer realm="http://${registry.host}/token",service="s"` })
        return true
      })
    },
  },
}

for (const [what, { path, body, headers = { 'content-type': 'application/json' }, ask, setUp }] of Object.entries(asked))
  for (const [how, send] of Object.entries(faults))
    test(`${what} that ${how}: asked for again, and registry_unavailable in the end`, async () => {
      await using here = await desk()
      await using registry = await pretend({ 'app:1': image })
      setUp?.(registry)
      let faulty = 1
      let count = 0
      registry.tricks.push((request, response) => {
        if (request.method !== 'GET' || !path.test(request.path)) return undefined
        count += 1
        if (count <= faulty) send(response, body, headers)
        else response.writeHead(200, { ...headers, 'content-length': body.length }).end(body)
        return true
      })
      await ask(registry.host, here)
      assert.is(count, 2)
      faulty = Number.POSITIVE_INFINITY
      count = 0
      if (what === 'a token') return
      await using empty = await desk()
      const error = await failure(ask(registry.host, empty))
      assert.is(error.code, 'registry_unavailable', error.message)
      assert.is(count, 2)
      assert.equal(await empty.content(), { names: [], blobs: [] })
    })

for (const [how, send] of Object.entries(faults))
  test(`a token that ${how} each time: registry_unavailable`, async () => {
    await using here = await desk()
    await using registry = await pretend({ 'app:1': image })
    asked['a token']?.setUp?.(registry)
    registry.tricks.push((request, response) => {
      if (request.path === '/token') send(response, json({ token: 'good' }), {})
      return request.path === '/token'
    })
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick))
    assert.is(error.code, 'registry_unavailable', error.message)
  })

for (const [how, send] of Object.entries(faults))
  test(`a refusal that ${how} is a refusal all the same`, async () => {
    await using here = await desk()
    await using registry = await pretend({ 'app:1': image })
    registry.tricks.push((request, response) => {
      if (request.method !== 'GET' || !request.path.includes('/manifests/')) return undefined
      const { writeHead } = response
      response.writeHead = ((_: number, headers: Record<string, string>) => writeHead.call(response, 404, headers)) as never
      send(response, json({ errors: [] }), {})
      return true
    })
    assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, quick))).code, 'registry_not_found')
  })

for (const [how, send] of Object.entries(faults))
  test(`the answer to an upload that ${how} is taken by its status`, async () => {
    await using here = await desk()
    await using registry = await pretend({ 'app:1': image })
    const pulled = await pullImage(here.store, `${registry.host}/app:1`, quick)
    const sent = new Set<string>()
    registry.tricks.push((request, response) => {
      const { method, path, query } = request
      if (method === 'HEAD') refuse(response, 404, 'BLOB_UNKNOWN')
      else if (method === 'POST' || method === 'PUT') {
        sent.add(query.get('digest') ?? path)
        const { writeHead } = response
        const [status, more] = method === 'POST' ? [202, { location: `${path}1` }] : [201, {}]
        response.writeHead = ((_: number, headers: Record<string, string>) =>
          writeHead.call(response, status, { ...headers, ...more })) as never
        send(response, json({ some: 'thing' }), {})
      } else return undefined
      return true
    })
    const pushed = await pushImage(here.store, pulled, `${registry.host}/other:1`, { ...quick, compression: 'none' })
    assert.is(pushed.uploaded, 2)
    assert.is(sent.size, 4)
  })

test.run()
