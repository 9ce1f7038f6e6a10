import { randomBytes } from 'node:crypto'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import * as assert from 'uvu/assert'
import { parsePlatform } from '../../../lib/images/index.ts'
import { proxyFor } from '../../../lib/registry/client/proxy.ts'
import { pullImage } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, pretend } from './pretender.ts'

const image = makeImage([tar(file('big', randomBytes(300_000).toString('latin1')))], { platform: parsePlatform('linux/amd64') })

const proxy = 'http://proxy.example:3128'

/** URL, environment, whether the proxy is used. */
const rows: readonly [string, NodeJS.ProcessEnv, boolean][] = [
  ['https://a.example/', {}, false],
  ['https://a.example/', { https_proxy: proxy }, true],
  ['https://a.example/', { HTTPS_PROXY: proxy }, true],
  ['https://a.example/', { http_proxy: proxy }, false],
  ['http://a.example/', { http_proxy: proxy }, true],
  ['https://a.example/', { https_proxy: '' }, false],
  ['https://127.0.0.1/', { https_proxy: proxy }, false],
  ['https://[::1]:5000/', { https_proxy: proxy }, false],
  ['https://localhost/', { https_proxy: proxy }, false],
  ['https://a.example/', { https_proxy: proxy, no_proxy: '*' }, false],
  ['https://a.example/', { https_proxy: proxy, NO_PROXY: 'b.example,a.example' }, false],
  ['https://x.a.example/', { https_proxy: proxy, no_proxy: 'a.example' }, false],
  ['https://xa.example/', { https_proxy: proxy, no_proxy: 'a.example' }, true],
  ['https://a.example/', { https_proxy: proxy, no_proxy: '.a.example' }, true],
  ['https://x.a.example/', { https_proxy: proxy, no_proxy: '.a.example' }, false],
  ['https://x.a.example/', { https_proxy: proxy, no_proxy: '*.a.example' }, false],
  ['https://a.example:8443/', { https_proxy: proxy, no_proxy: 'a.example:8443' }, false],
  ['https://a.example/', { https_proxy: proxy, no_proxy: 'a.example:8443' }, true],
  ['https://10.1.2.3/', { https_proxy: proxy, no_proxy: '10.0.0.0/8' }, false],
  ['https://11.1.2.3/', { https_proxy: proxy, no_proxy: '10.0.0.0/8 , ' }, true],
  ['https://[fd00::1]/', { https_proxy: proxy, no_proxy: 'fd00::/8' }, false],
  ['https://10.1.2.3/', { https_proxy: proxy, no_proxy: '10.1.2.3' }, false],
  ['https://10.1.2.3/', { https_proxy: proxy, no_proxy: '10.0.0.0/99' }, true],
]
for (const [url, env, isUsed] of rows) {
  test(`${url} with ${JSON.stringify(env)}: ${isUsed ? 'by the proxy' : 'direct'}`, () => {
    assert.is(proxyFor(new URL(url), env), isUsed ? proxy : undefined)
  })
}

/** A proxy that tunnels every host to one place, or refuses to. */
async function tunnel(onConnect: (host: string, socket: Socket, authorization: string | undefined) => void): Promise<Server> {
  const server = createServer()
  server.on('connect', (request, socket) => onConnect(request.url ?? '', socket as Socket, request.headers['proxy-authorization']))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

test('a registry is reached through the proxy of the environment, which learns its own password and nothing else', async () => {
  await using here = await desk()
  const asked: [string, string | undefined][] = []
  const server = await tunnel((host, socket, authorization) => {
    asked.push([host, authorization])
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
  process.env.HTTPS_PROXY = `http://user:word@127.0.0.1:${(server.address() as AddressInfo).port}`
  const auth = { username: 'me', password: 'secret' }
  const error = await failure(pullImage(here.store, 'registry.invalid/app:1', { auth, retries: 0 }))
  assert.is(error.code, 'registry_unavailable')
  assert.equal(asked, [['registry.invalid:443', `Basic ${Buffer.from('user:word').toString('base64')}`]])
  assert.not.match(error.message, 'word')
  await new Promise((resolve) => server.close(resolve))
})

test('a proxy that is no URL is refused, without its password', async () => {
  await using here = await desk()
  process.env.HTTPS_PROXY = 'http://user:word@:::'
  const error = await failure(pullImage(here.store, 'registry.invalid/app:1', { retries: 0 }))
  assert.is(error.code, 'invalid_argument')
  assert.not.match(error.message, 'word')
})

test('a registry in plain HTTP is asked through a proxy that tunnels nothing, as curl does; a blob comes whole', async () => {
  await using here = await desk()
  await using registry = await pretend({ 'app:1': image })
  const asked: [string, string | undefined][] = []
  const server = createServer((incoming, outgoing) => {
    asked.push([incoming.url ?? '', incoming.headers['proxy-authorization']])
    const url = new URL(incoming.url ?? '')
    assert.is(incoming.headers.host, url.host)
    const { host: _, 'proxy-authorization': __, ...headers } = incoming.headers
    const onward = request({ host: '127.0.0.1', port: registry.port, path: url.pathname, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 0, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward)
  })
  server.on('connect', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  process.env.HTTP_PROXY = process.env.HTTPS_PROXY = `http://user:word@127.0.0.1:${(server.address() as AddressInfo).port}`
  const pulled = await pullImage(here.store, 'registry.invalid:5000/app:1', { insecure: true, retries: 0, platform: 'linux/amd64' })
  assert.is(pulled.digest, image.descriptor.digest)
  assert.ok(asked.length >= 4)
  for (const [url, authorization] of asked) {
    assert.match(url, /^http:\/\/registry\.invalid:5000\/v2\//)
    assert.is(authorization, `Basic ${Buffer.from('user:word').toString('base64')}`)
  }
  for (const { headers } of registry.requests) assert.is(headers['proxy-authorization'], undefined)
  const refused = await failure(pullImage(here.store, 'registry.invalid:5000/app:1', { retries: 2 }))
  assert.is(refused.code, 'registry_unavailable')
  assert.match(refused.message, /by the proxy http:\/\/127\.0\.0\.1:[0-9]+.*403/)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

test('a proxy that is not there is named, and so is the variable that names it', async () => {
  await using here = await desk()
  process.env.HTTP_PROXY = process.env.HTTPS_PROXY = 'http://user:wo@rd@127.0.0.1:1'
  for (const insecure of [true, false]) {
    const error = await failure(pullImage(here.store, 'registry.invalid/app:1', { insecure, retries: 0 }))
    assert.is(error.code, 'registry_unavailable')
    assert.match(error.message, 'registry.invalid by the proxy http://127.0.0.1:1')
    assert.match(error.hint ?? '', 'HTTPS_PROXY')
    assert.not.match(error.message, 'wo@rd')
  }
})

test('a proxy of another kind is refused by its scheme', async () => {
  await using here = await desk()
  process.env.HTTPS_PROXY = 'socks5://user:word@127.0.0.1:1080'
  const error = await failure(pullImage(here.store, 'registry.invalid/app:1', { retries: 0 }))
  assert.is(error.code, 'invalid_argument')
  assert.match(error.message, /socks5:\/\/127\.0\.0\.1:1080.*not supported/)
  assert.not.match(error.message, 'word')
})

test.run()
