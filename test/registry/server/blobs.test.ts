import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { digestOf } from '../../../lib/store/index.ts'
import { test } from '../../support/uvu.ts'
import { Fixture } from './fixture.ts'

const content = '0123456789'
const digest = digestOf(content)

test('the version of the protocol is told', async () => {
  await using f = await Fixture.start()
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, text } = await f.ask(method, '/v2/')
    assert.is(status, 200)
    assert.is(headers.get('docker-distribution-api-version'), 'registry/2.0')
    assert.is(text, method === 'GET' ? '{}' : '')
  }
})

test('a blob is there with its digest and length, for HEAD and GET', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a/b', content)
  for (const method of ['HEAD', 'GET']) {
    const { status, headers, text } = await f.ask(method, `/v2/a/b/blobs/${digest}`)
    assert.is(status, 200)
    assert.is(headers.get('docker-content-digest'), digest)
    assert.is(headers.get('content-length'), '10')
    assert.is(headers.get('content-type'), 'application/octet-stream')
    assert.is(headers.get('accept-ranges'), 'bytes')
    assert.is(text, method === 'GET' ? content : '')
  }
})

test('an empty blob is a blob', async () => {
  await using f = await Fixture.start()
  const empty = await f.pushBlob('a', '')
  const { status, text, headers } = await f.ask('GET', `/v2/a/blobs/${empty}`)
  assert.equal([status, text, headers.get('content-length')], [200, '', '0'])
  assert.is((await f.ask('GET', `/v2/a/blobs/${empty}`, { headers: { range: 'bytes=0-' } })).status, 416)
})

const ranges: readonly (readonly [range: string, status: number, body: string | undefined, contentRange: string | null])[] = [
  ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
  ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
  ['bytes=-3', 206, '789', 'bytes 7-9/10'],
  ['bytes=-30', 206, content, 'bytes 0-9/10'],
  ['bytes=9-9', 206, '9', 'bytes 9-9/10'],
  ['bytes=8-1000', 206, '89', 'bytes 8-9/10'],
  ['bytes=10-', 416, undefined, 'bytes */10'],
  ['bytes=10-20', 416, undefined, 'bytes */10'],
  ['bytes=-0', 416, undefined, 'bytes */10'],
  ['bytes=5-2', 200, content, null],
  ['bytes=0-1,4-5', 200, content, null],
  ['lines=1-2', 200, content, null],
  ['bytes=x-y', 200, content, null],
]
for (const [range, expected, body, contentRange] of ranges) {
  test(`of a blob of 10 bytes, "${range}" gives ${expected}`, async () => {
    await using f = await Fixture.start()
    await f.pushBlob('a', content)
    const { status, text, headers } = await f.ask('GET', `/v2/a/blobs/${digest}`, { headers: { range } })
    assert.is(status, expected)
    if (body !== undefined) assert.is(text, body)
    assert.is(headers.get('content-range'), contentRange)
  })
}

test('a range of what has changed meanwhile is not sent: If-Range names another blob', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', content)
  const ask = (etag: string) => f.ask('GET', `/v2/a/blobs/${digest}`, { headers: { range: 'bytes=1-2', 'if-range': etag } })
  assert.is((await ask(`"${digest}"`)).text, '12')
  assert.is((await ask('"other"')).text, content)
})

test('a blob that was read from a large file comes whole', async () => {
  await using f = await Fixture.start()
  const large = Buffer.alloc(5_000_000, 'abcdefg')
  const name = await f.pushBlob('a', large)
  const { bytes } = await f.ask('GET', `/v2/a/blobs/${name}`)
  assert.ok(bytes.equals(large))
  const part = await f.ask('GET', `/v2/a/blobs/${name}`, { headers: { range: 'bytes=1000000-3999999' } })
  assert.ok(part.bytes.equals(large.subarray(1_000_000, 4_000_000)))
})

test('a blob that is not there is unknown, whatever is asked of it', async () => {
  await using f = await Fixture.start()
  for (const method of ['GET', 'DELETE']) {
    const { status, code } = await f.ask(method, `/v2/a/blobs/${digest}`)
    assert.equal([status, code], [404, 'BLOB_UNKNOWN'])
  }
  assert.is((await f.ask('HEAD', `/v2/a/blobs/${digest}`)).status, 404)
})

test('a blob of one repository is not read through another, unless it is mounted there', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('mine', content)
  assert.is((await f.ask('GET', `/v2/other/blobs/${digest}`)).status, 404)
  assert.is((await f.ask('HEAD', `/v2/other/blobs/${digest}`)).status, 404)
  assert.is((await f.ask('POST', `/v2/other/blobs/uploads/?mount=${digest}&from=mine`)).status, 201)
  assert.is((await f.ask('GET', `/v2/other/blobs/${digest}`)).text, content)
})

test('a deleted blob is gone from its repository and stays in others', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', content)
  await f.pushBlob('b', content)
  assert.is((await f.ask('DELETE', `/v2/a/blobs/${digest}`)).status, 202)
  assert.is((await f.ask('GET', `/v2/a/blobs/${digest}`)).status, 404)
  assert.is((await f.ask('GET', `/v2/b/blobs/${digest}`)).status, 200)
})

test('a blob that a manifest names is not deleted from under it', async () => {
  await using f = await Fixture.start()
  const manifest = await f.pushImage('a', 'one', content)
  const refused = await f.ask('DELETE', `/v2/a/blobs/${digest}`)
  assert.equal([refused.status, refused.code], [405, 'UNSUPPORTED'])
  assert.is((await f.ask('DELETE', `/v2/a/manifests/${manifest.digest}`)).status, 202)
  assert.is((await f.ask('DELETE', `/v2/a/blobs/${digest}`)).status, 202)
})

test('what no registry has an endpoint for is told so', async () => {
  await using f = await Fixture.start()
  for (const path of ['/', '/v1/', '/v2/a', '/v2/a/blobs', '/v2/a/tags', '/v2/a/manifests/', '/v3/a/tags/list', '/favicon.ico']) {
    const { status, code } = await f.ask('GET', path)
    assert.equal([path, status, code], [path, 404, 'UNSUPPORTED'])
  }
  const { status, code, headers } = await f.ask('POST', `/v2/a/blobs/${digest}`)
  assert.equal([status, code, headers.get('allow')], [405, 'UNSUPPORTED', 'GET, HEAD, DELETE'])
})

test('a client that leaves in the middle of a blob costs the others nothing, and the registry closes', async () => {
  await using f = await Fixture.start()
  const blob = randomBytes(8_000_000)
  const digest = await f.pushBlob('a', blob)
  for (let each = 0; each < 10; each += 1) {
    const control = new AbortController()
    const { body } = await fetch(`${f.registry.url}/v2/a/blobs/${digest}`, { signal: control.signal })
    const reader = body?.getReader()
    await reader?.read()
    control.abort()
    await reader?.read().catch(() => undefined)
  }
  const whole = Buffer.from(await (await fetch(`${f.registry.url}/v2/a/blobs/${digest}`)).arrayBuffer())
  assert.ok(whole.equals(blob))
})

test.run()
