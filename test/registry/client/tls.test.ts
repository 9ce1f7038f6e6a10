// Hosts that answer in TLS are spoken to in TLS, whatever they say by it; and what is given as PEM is PEM.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type PullOptions, pullImage, remoteTags } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { desk, failure, pretend } from './pretender.ts'

const image = makeImage([tar(file('a', 'a'))])
const quick: PullOptions = { retries: 0, timeouts: { connect: 2000, headers: 2000, idle: 2000 } }

interface Listening extends AsyncDisposable {
  readonly host: string
  /** The first byte of each connection: 0x16 of a TLS handshake, a letter of HTTP. */
  readonly first: number[]
}

async function listening(answer: (socket: Socket) => void): Promise<Listening> {
  const first: number[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (bytes) => {
      first.push(bytes[0] as number)
      answer(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    first,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** RFC 8446, 6: a fatal alert in a record of its own. */
const alert = (number: number): Buffer => Buffer.from([0x15, 3, 3, 0, 2, 2, number])

const insecurities = [undefined, true, false] as const
const alerts: readonly [number, message: RegExp, hint: RegExp][] = [
  [40, /TLS: .*handshake failure/i, /tls: \{ cert, key \}/],
  [42, /TLS: .*bad certificate/i, /tls: \{ cert, key \}/],
  [48, /TLS: .*unknown ca/i, /tls: \{ cert, key \}/],
  [70, /TLS: .*protocol version/i, /older or weaker/],
]
for (const [number, message, hint] of alerts)
  for (const insecure of insecurities)
    test(`a host that answers with TLS alert ${number} is not asked in plain HTTP, and its words are told (insecure: ${insecure})`, async () => {
      await using host = await listening((socket) => socket.end(alert(number)))
      const error = await failure(remoteTags(`${host.host}/app`, { ...quick, insecure }))
      assert.is(error.code, 'registry_unavailable')
      assert.match(error.message, message)
      assert.match(error.message, /^https:/)
      assert.match(error.hint ?? '', hint)
      assert.ok(host.first.length > 0 && host.first.every((each) => each === 0x16), String(host.first))
    })

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  for (const insecure of insecurities)
    test(`a host that ends the connections of those who show no certificate is one of TLS (${version}, insecure: ${insecure})`, async () => {
      if (!has('openssl')) return skip('openssl is not installed')
      await using here = await desk()
      const paths = authority(here.path)
      const [ca, cert, key] = [paths.ca, paths.cert, paths.key].map((path) => readFileSync(path))
      const plain: string[] = []
      const server = createTlsServer(
        { cert, key, ca, requestCert: true, rejectUnauthorized: true, maxVersion: version, minVersion: version },
        (_, response) => response.end(JSON.stringify({ tags: ['1'] })),
      )
      server.on('tlsClientError', (error) => plain.push(String((error as { code?: string }).code)))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      try {
        const name = `127.0.0.1:${(server.address() as AddressInfo).port}/app`
        const error = await failure(remoteTags(name, { ...quick, insecure, tls: { ca: ca as Buffer } }))
        assert.is(error.code, 'registry_unavailable')
        assert.match(error.message, /^https:/)
        assert.match(error.hint ?? '', /tls: \{ cert, key \}/)
        assert.not.ok(plain.includes('ERR_SSL_HTTP_REQUEST'), plain.join())
        const tls = { ca: ca as Buffer, cert: readFileSync(paths.clientCert), key: readFileSync(paths.clientKey) }
        assert.equal(await remoteTags(name, { ...quick, insecure, tls }), ['1'])
      } finally {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    })

test('what speaks no TLS is asked in plain HTTP on this machine, be it silent about TLS or not; where that is refused it is said why', async () => {
  await using here = await desk()
  await using registry = await pretend({ 'app:1': image })
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, insecure: false }))
  assert.match(error.hint ?? '', /plain HTTP/)
  assert.is((await pullImage(here.store, `${registry.host}/app:1`, quick)).digest, image.descriptor.digest)
  for (const how of ['end', 'destroy'] as const) {
    const body = JSON.stringify({ tags: ['1'] })
    await using host = await listening((socket) => {
      if (host.first.at(-1) === 0x16) socket[how]()
      else socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    })
    assert.equal(await remoteTags(`${host.host}/app`, quick), ['1'])
  }
})

const block = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
test('PEM that is none is refused by its name before any request', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  await using registry = await pretend({ 'app:1': image })
  const paths = authority(here.path)
  const [ca, cert, key, otherKey] = [paths.ca, paths.cert, paths.key, paths.clientKey].map((path) => readFileSync(path, 'utf8')) as [
    string,
    string,
    string,
    string,
  ]
  const wrong: readonly [RegExp, PullOptions['tls']][] = [
    [/tls\.ca/, { ca: '/etc/ssl/ca.pem' }],
    [/tls\.ca/, { ca: '' }],
    [/tls\.ca/, { ca: Buffer.from([0x30, 0x82, 1]) }],
    [/tls\.ca/, { ca: [ca, block('AAAA')] }],
    [/tls\.ca/, { ca: block('not base64!') }],
    [/tls\.ca/, { ca: key }],
    [/tls\.cert/, { cert: 'x', key }],
    [/tls\.cert/, { cert: key, key: cert }],
    [/tls\.key/, { cert, key: 'x' }],
    [/tls\.key/, { cert, key: cert }],
    [/tls\.key/, { cert, key: otherKey }],
  ]
  for (const [message, tls] of wrong) {
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, tls }))
    assert.is(error.code, 'invalid_argument', JSON.stringify(tls))
    assert.match(error.message, message)
  }
  assert.is(registry.requests.length, 0)
  await pullImage(here.store, `${registry.host}/app:1`, {
    ...quick,
    tls: { ca: `some words\n${ca}\n${cert}`, cert: Buffer.from(cert), key },
  })
})

test('a stored certificate of a client whose key is none is named', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  await using registry = await pretend({ 'app:1': image })
  const stored = join(process.env.XDG_CONFIG_HOME ?? '', 'containers', 'certs.d', registry.host)
  mkdirSync(stored, { recursive: true })
  writeFileSync(join(stored, 'me.cert'), readFileSync(authority(here.path).clientCert))
  writeFileSync(join(stored, 'me.key'), 'x')
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick))
  assert.is(error.code, 'invalid_argument')
  assert.match(error.message, join(stored, 'me.key'))
})

test('what is stored for a host and is no certificate, cannot be read or lacks its other half is named, before any request', async () => {
  await using here = await desk()
  await using registry = await pretend({ 'app:1': image })
  const stored = join(process.env.XDG_CONFIG_HOME ?? '', 'containers', 'certs.d', registry.host)
  const rows: readonly [string, (path: string) => void][] = [
    ['ca.crt', (path) => writeFileSync(path, 'garbage')],
    ['ca.crt', (path) => writeFileSync(path, '')],
    ['ca.crt', (path) => writeFileSync(path, block('AAAA'))],
    ['ca.crt', (path) => mkdirSync(path)],
    ['me.cert', (path) => writeFileSync(path, 'x')],
    ['me.key', (path) => writeFileSync(path, 'x')],
  ]
  for (const [name, make] of rows) {
    rmSync(stored, { recursive: true, force: true })
    mkdirSync(stored, { recursive: true })
    make(join(stored, name))
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`))
    assert.is(error.code, 'invalid_argument')
    assert.match(error.message, join(stored, name))
    assert.not.match(error.hint ?? '', 'running')
  }
  assert.is(registry.requests.length, 0)
})

test.run()
