// Registries that have moved: what asks and what sends is sent on, and learns no more than it must.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import * as assert from 'uvu/assert'
import { deleteRemote, pullImage, pushImage, RegistryServer, remoteTags } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { type Desk, desk, failure, pretend, type Request, type Trick } from './pretender.ts'

const image = makeImage([tar(file('big', randomBytes(200_000).toString('latin1')))], { gzip: true })
const quick = { retries: 0, compression: 'none', timeouts: { connect: 2000, headers: 5000, idle: 5000 } } as const
const auth = { username: 'me', password: 'secret' }

async function pulled(here: Desk): Promise<Awaited<ReturnType<typeof pullImage>>> {
  await using from = await pretend({ 'app:1': image })
  return await pullImage(here.store, `${from.host}/app:1`, { retries: 0 })
}

function moved(status: number, to: (request: Request) => string): Trick {
  return (request, response) => {
    const query = request.query.size > 0 ? `?${request.query}` : ''
    // What is sent has to be taken, or the connection breaks.
    response.req.resume()
    response.req.once('end', () => response.writeHead(status, { location: `${to(request)}${request.path}${query}` }).end())
    return true
  }
}

for (const status of [307, 308])
  for (const chunkSize of [undefined, 50_000])
    test(`a push to a registry that has moved goes there (${status}${chunkSize ? ', in chunks' : ''}), and so does a deletion`, async () => {
      await using here = await desk()
      await using there = await desk()
      await using registry = await RegistryServer.listen({ root: there.store.root })
      await using old = await pretend({}, { trick: moved(status, () => registry.url) })
      const app = await pulled(here)
      const pushed = await pushImage(here.store, app, `${old.host}/app:1`, { ...quick, chunkSize })
      assert.is(pushed.uploaded, 2)
      assert.equal(await remoteTags(`${registry.host}/app`), ['1'])
      await deleteRemote(`${old.host}/app:1`, { retries: 0 })
      assert.equal(await remoteTags(`${registry.host}/app`), [])
    })

test('each request of an upload may be sent on, its body from the beginning', async () => {
  await using here = await desk()
  await using there = await desk()
  await using registry = await RegistryServer.listen({ root: there.store.root })
  const app = await pulled(here)
  await using front = await pretend({}, { trick: moved(307, () => registry.url) })
  // Uploads go on at the one that sends everything on, too.
  await using back = await pretend(
    {},
    {
      trick: async (request, response) => {
        if (request.method !== 'POST') return await moved(308, () => registry.url)(request, response)
        const answer = await fetch(`${registry.url}${request.path}?${request.query}`, { method: 'POST' })
        response.writeHead(answer.status, { location: answer.headers.get('location') ?? '' }).end()
        return true
      },
    },
  )
  for (const host of [front.host, back.host]) await pushImage(here.store, app, `${host}/${host === back.host ? 'b' : 'a'}:1`, quick)
  assert.ok(back.requests.some(({ method }) => method === 'PUT'))
  assert.equal([await remoteTags(`${registry.host}/a`), await remoteTags(`${registry.host}/b`)], [['1'], ['1']])
})

test('a redirect that may change the method is not followed by what sends', async () => {
  for (const status of [301, 302, 303]) {
    await using here = await desk()
    await using elsewhere = await pretend({})
    await using old = await pretend({}, { trick: moved(status, () => `http://${elsewhere.host}`) })
    old.tricks.push(({ method }, response) => method === 'HEAD' && notFound(response))
    const error = await failure(pushImage(here.store, await pulled(here), `${old.host}/app:1`, quick))
    assert.is(error.code, 'registry_protocol')
    assert.is(elsewhere.requests.length, 0)
  }
})

function notFound(response: ServerResponse): true {
  response.writeHead(404).end()
  return true
}

test('where it is sent on to another host, a push takes no credentials along; in a circle it ends', async () => {
  await using here = await desk()
  await using elsewhere = await pretend({}, { trick: (_, response) => notFound(response) })
  const trick: Trick = (request, response) => {
    if (request.headers.authorization !== undefined) return moved(307, () => `http://${elsewhere.host}`)(request, response)
    response.writeHead(401, { 'www-authenticate': 'Basic realm="here"' }).end()
    return true
  }
  await using old = await pretend({}, { trick })
  const app = await pulled(here)
  assert.is((await failure(pushImage(here.store, app, `${old.host}/app:1`, { ...quick, auth }))).code, 'registry_not_found')
  assert.ok(elsewhere.requests.some(({ method }) => method === 'POST'))
  assert.ok(elsewhere.requests.every(({ headers }) => headers.authorization === undefined))
  old.tricks.push(({ method }, response) => method === 'HEAD' && notFound(response))
  old.tricks.push((request, response) => request.method === 'POST' && moved(307, () => '')(request, response))
  const error = await failure(pushImage(here.store, app, `${old.host}/app:1`, quick))
  assert.is(error.code, 'registry_protocol')
  assert.match(error.message, 'more than 5 times')
})

test('a refresh token, which is in a body, is not sent on to another host', async () => {
  await using here = await desk()
  await using elsewhere = await pretend({})
  await using registry = await pretend({ 'app:1': image })
  registry.tricks.push((request, response) => {
    if (request.path === '/token') return moved(307, () => `http://${elsewhere.host}`)(request, response)
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${registry.host}/token",service="s"` }).end()
    return true
  })
  mkdirSync(String(process.env.DOCKER_CONFIG), { recursive: true })
  writeFileSync(`${process.env.DOCKER_CONFIG}/config.json`, JSON.stringify({ auths: { [registry.host]: { identitytoken: 'refresh' } } }))
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, { retries: 0 }))).code, 'registry_protocol')
  assert.is(elsewhere.requests.length, 0)
})

test('from https to http it is followed by who is insecure only', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  const paths = authority(here.path)
  const [ca, cert, key] = [paths.ca, paths.cert, paths.key].map((path) => readFileSync(path, 'utf8')) as [string, string, string]
  await using there = await desk()
  await using plain = await RegistryServer.listen({ root: there.store.root })
  await using old = await pretend({}, { tls: { cert, key }, trick: moved(307, () => plain.url) })
  const app = await pulled(here)
  const error = await failure(pushImage(here.store, app, `${old.host}/app:1`, { ...quick, tls: { ca } }))
  assert.is(error.code, 'registry_protocol')
  assert.match(error.message, 'which is not followed')
  await pushImage(here.store, app, `${old.host}/app:1`, { ...quick, insecure: true })
  assert.equal(await remoteTags(`${plain.host}/app`), ['1'])
})

test.run()
