import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { inspect } from 'node:util'
import * as assert from 'uvu/assert'
import { type RegistryOptions, RegistryServer, registry, StrakeError } from '../../../lib/index.ts'
import { digestOf, Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { certificates } from './certificates.ts'
import { Fixture } from './fixture.ts'

async function failure(promise: Promise<unknown>): Promise<StrakeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.instance(error, StrakeError)
  return error as StrakeError
}

test('a registry listens on this machine only, on a port of its own, and says where', async () => {
  using directory = temporaryDirectory()
  await using r = await registry({ port: 0, root: directory.path })
  assert.instance(r, RegistryServer)
  assert.match(r.host, /^127\.0\.0\.1:\d+$/)
  assert.is(r.host, `127.0.0.1:${r.port}`)
  assert.is(r.url, `http://${r.host}`)
  assert.is(r.root, directory.path)
  assert.is((await fetch(`${r.url}/v2/`)).status, 200)
})

test('the store that it serves is the current one unless another is named', async () => {
  const before = process.env.STRAKE_ROOT
  using directory = temporaryDirectory()
  process.env.STRAKE_ROOT = directory.path
  try {
    await using r = await registry()
    assert.is(r.root, directory.path)
  } finally {
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
})

test('IPv6 is written with brackets', async () => {
  await using f = await Fixture.start({ host: '::1' })
  assert.is(f.registry.host, `[::1]:${f.registry.port}`)
  assert.is((await f.ask('GET', '/v2/')).status, 200)
})

const wrong: readonly (readonly [name: string, options: unknown])[] = [
  ['no object', 5],
  ['a port that is none', { port: 70_000 }],
  ['a port as text', { port: '5000' }],
  ['a part of a port', { port: 1.5 }],
  ['an empty host', { host: '' }],
  ['a root that is no path', { root: 7 }],
  ['auth without users', { auth: {} }],
  ['an empty password', { auth: { me: '' } }],
  ['a user with a colon', { auth: { 'a:b': 'c' } }],
  ['a password that is no text', { auth: { me: 5 } }],
  ['tls without a key', { tls: { cert: 'x' } }],
  ['tls that is no PEM', { tls: { cert: 'x', key: 'y' } }],
  ['a limit of 0', { maxBlobSize: 0 }],
  ['a limit that is no number', { maxUploads: '3' }],
  ['a time that no timer has', { idleTimeout: 2 ** 40 }],
  ['an option that nobody knows', { password: 'secret' }],
  ['an address of another machine', { host: '192.0.2.1' }],
]
for (const [name, options] of wrong) {
  test(`${name} is an invalid_argument`, async () => {
    using directory = temporaryDirectory()
    const all = typeof options === 'object' ? { root: directory.path, ...options } : options
    const error = await failure(registry(all as RegistryOptions))
    assert.is(error.code, 'invalid_argument')
    assert.not.match(error.message, /secret/)
  })
}

test('a port that is in use is told, with what to do', async () => {
  await using f = await Fixture.start()
  const error = await failure(registry({ port: f.registry.port, root: f.registry.root }))
  assert.is(error.code, 'address_in_use')
  assert.match(error.message, new RegExp(f.registry.host))
  assert.match(error.hint ?? '', /port: 0/)
  assert.equal(error.details, { host: '127.0.0.1', port: f.registry.port })
})

test('a request for a whole URL is answered as one for its path, whatever host it names', async () => {
  await using f = await Fixture.start()
  const ask = async (path: string, method = 'GET'): Promise<string> => {
    const request = httpRequest({ host: '127.0.0.1', port: f.registry.port, path, method }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return `${response.statusCode} ${Buffer.concat(await response.toArray())}`
  }
  for (const origin of [f.registry.url, 'http://registry.example', 'HTTPS://user@[::1]:5000']) {
    for (const path of ['/v2/', '/v2/_catalog?n=1', '/v2/a/tags/list', '/v2/%zz', '/nowhere?x=/v2/'])
      assert.is(await ask(`${origin}${path}`), await ask(path), path)
    assert.match(await ask(`${origin}/v2/`), /^200 /)
    assert.match(await ask(`${origin}/v2/`, 'HEAD'), /^200 /)
    for (const none of ['', '?n=1']) assert.match(await ask(`${origin}${none}`), /^404 .*UNSUPPORTED/)
  }
  assert.match(await ask('ftp://registry.example/v2/'), /^404 /)
})

test('with auth every endpoint wants a user and that user’s password', async () => {
  await using f = await Fixture.start({ auth: { me: 'se:cret', you: 'ünïcode' } })
  const basic = (pair: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` })
  for (const path of ['/v2/', '/v2/_catalog', '/v2/a/tags/list', `/v2/a/blobs/${digestOf('x')}`, '/nowhere']) {
    const { status, code, headers } = await f.ask('GET', path)
    assert.equal([path, status, code], [path, 401, 'UNAUTHORIZED'])
    assert.match(headers.get('www-authenticate') ?? '', /^Basic realm="[^"]+"/)
  }
  const refused = ['me:', 'me:secret', 'you:se:cret', ':se:cret', ':', 'me', '', 'nobody:x', '__proto__:x', 'constructor:']
  for (const pair of refused) assert.is((await f.ask('GET', '/v2/', { headers: basic(pair) })).status, 401, pair)
  for (const authorization of ['Basic', 'Basic !!', 'Bearer abc', 'se:cret'])
    assert.is((await f.ask('GET', '/v2/', { headers: { authorization } })).status, 401)
  for (const pair of ['me:se:cret', 'you:ünïcode']) assert.is((await f.ask('GET', '/v2/', { headers: basic(pair) })).status, 200)
  const before = await f.contents()
  assert.is((await f.ask('POST', `/v2/a/blobs/uploads/?digest=${digestOf('x')}`, { body: 'x' })).status, 401)
  assert.equal(await f.contents(), before)
})

test('its picture shows where it is and who may in, and no password', async () => {
  await using f = await Fixture.start({ auth: { me: 'secret' } })
  const shown = inspect(f.registry)
  assert.is(shown, `Registry(${f.registry.url}, store ${f.registry.root}, users: me)`)
  assert.not.match(JSON.stringify(f.registry), /secret/)
  await f.registry.close()
  assert.match(inspect(f.registry), /closed/)
})

async function ask(url: string, tls: Record<string, string>): Promise<number | string> {
  const { get } = await import('node:https')
  return await new Promise((resolve) => {
    const request = get(`${url}/v2/`, { ...tls, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
  })
}

test('with tls it speaks https only; with ca it wants a certificate of every client', async () => {
  using directory = temporaryDirectory('tls')
  const { ca, cert, key, clientCert, clientKey } = certificates(directory.path)
  {
    await using f = await Fixture.start({ tls: { cert, key: Buffer.from(key) } })
    assert.match(f.registry.url, /^https:/)
    assert.is(await ask(f.registry.url, { ca }), 200)
    assert.match(String(await ask(f.registry.url, {})), /SELF_SIGNED|UNABLE_TO/)
    const plain = fetch(`http://${f.registry.host}/v2/`).then(
      ({ status }) => status,
      () => 'refused',
    )
    assert.is(await plain, 'refused')
  }
  await using f = await Fixture.start({ tls: { cert, key, ca } })
  assert.type(await ask(f.registry.url, { ca }), 'string')
  assert.is(await ask(f.registry.url, { ca, cert: clientCert, key: clientKey }), 200)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  for (const other of [clientKey, rsa]) {
    const error = await failure(Fixture.start({ tls: { cert, key: other } }))
    assert.is(error.code, 'invalid_argument')
  }
})

test('close ends connections and uploads under way, and can be called twice', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  const body = ReadableStream.from(
    (async function* () {
      yield Buffer.from('abc')
      await new Promise(() => {})
    })(),
  )
  const hanging = fetch(`${f.registry.url}${path}`, { method: 'PATCH', body, duplex: 'half' } as RequestInit).then(
    () => 'answered',
    () => 'ended',
  )
  for (let at = 0; at < 100 && (await f.ask('GET', path)).headers.get('range') !== '0-2'; at += 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
  await Promise.all([f.registry.close(), f.registry.close()])
  assert.is(await hanging, 'ended')
  assert.equal((await f.contents()).temporary, [])
  const server = createServer().listen(f.registry.port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
})

test('two registries on one store see the same', async () => {
  await using f = await Fixture.start()
  await using other = await RegistryServer.listen({ root: f.registry.root })
  const manifest = await f.pushImage('a', 'one')
  assert.is(await (await fetch(`${other.url}/v2/a/manifests/one`)).text(), manifest.text)
  await fetch(`${other.url}/v2/a/manifests/${manifest.digest}`, { method: 'DELETE' })
  assert.is((await f.ask('GET', '/v2/a/manifests/one')).status, 404)
  assert.equal((await (await Store.open(f.registry.root)).refs.list()).length, 0)
})

test.run()
