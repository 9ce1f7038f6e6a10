// A port that speaks TLS, and then plain HTTP, and then TLS, in one process; and hosts that mean this machine.
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import * as assert from 'uvu/assert'
import { isLoopback } from '../../../lib/registry/client/hosts.ts'
import { pullImage, RegistryServer, remoteCatalog, remoteReferrers, remoteTags } from '../../../lib/registry/index.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { desk, failure } from './pretender.ts'

type Listener = Parameters<typeof createServer>[1]

async function listening<T>(server: Server, port: number, work: (port: number) => Promise<T>): Promise<T> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  try {
    return await work((server.address() as AddressInfo).port)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

for (const isPolite of [true, false])
  test(`a port that changes between http and https is found out anew by the first call (${isPolite ? '400' : 'the end'} to plain HTTP)`, async () => {
    if (!has('openssl')) return skip('openssl is not installed')
    await using here = await desk()
    const paths = authority(here.path)
    const [ca, cert, key] = [paths.ca, paths.cert, paths.key].map((path) => readFileSync(path, 'utf8')) as [string, string, string]
    const answer: Listener = (_, response) => response.end(JSON.stringify({ tags: ['1'] }))
    const secure = (): Server => {
      const server = createTlsServer({ cert, key }, answer)
      if (!isPolite) return server
      // As Go's: what does not begin a handshake is answered, in plain HTTP.
      const front = createNetServer((socket) =>
        socket
          .on('error', () => {})
          .once('data', (bytes) => {
            if (bytes[0] !== 0x16) return void socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')
            socket.pause().unshift(bytes)
            server.emit('connection', socket)
          }),
      )
      return Object.assign(front, { closeAllConnections: () => server.closeAllConnections() }) as unknown as Server
    }
    const list = async (port: number): Promise<number> => {
      assert.equal(await remoteTags(`127.0.0.1:${port}/app`, { retries: 0, tls: { ca } }), ['1'])
      return port
    }
    const port = await listening(createServer(answer), 0, list)
    await listening(secure(), port, list)
    await listening(createServer(answer), port, list)
    await listening(secure(), port, list)
  })

for (const [host, name] of [
  ['0.0.0.0', '127.0.0.1'],
  ['::', '[::1]'],
] as const)
  test(`the host of a registry that listens on ${host} is one that can be asked, and so is ${host} itself`, async () => {
    await using here = await desk()
    const registry = await RegistryServer.listen({ root: here.store.root, host }).catch(() => undefined)
    if (registry === undefined) return skip(`nothing can listen on ${host}`)
    await using _ = registry
    assert.is(registry.host, `${name}:${registry.port}`)
    assert.is(registry.url, `http://${name}:${registry.port}`)
    for (const each of [registry.host, `${host === '::' ? '[::]' : host}:${registry.port}`])
      assert.equal(await remoteCatalog(each, { retries: 0 }), [])
  })

test('hosts that mean this machine, and such as do not', () => {
  for (const each of ['0.0.0.0', '[::]', '[::1]', '127.1.2.3', 'localhost', 'x.localhost']) assert.ok(isLoopback(each), each)
  for (const each of ['0.0.0.1', '[::2]', '10.0.0.1', 'example.com']) assert.not.ok(isLoopback(each), each)
})

test('options of a wrong type are refused, null among them', async () => {
  await using here = await desk()
  for (const given of [{ auth: null }, { auth: '' }, { auth: 0 }, { retries: null }, { tls: null }, { timeouts: null }] as never[]) {
    assert.is((await failure(remoteTags('127.0.0.1:1/app', given))).code, 'invalid_argument', JSON.stringify(given))
    const pull = pullImage(here.store, '127.0.0.1:1/app', Object.assign({ policy: 'never' }, given))
    if ('auth' in given) assert.is((await failure(pull)).code, 'invalid_argument')
    else await failure(pull)
  }
  assert.is((await failure(remoteReferrers('127.0.0.1:1/app', { artifactType: null } as never))).code, 'invalid_argument')
})

test.run()
