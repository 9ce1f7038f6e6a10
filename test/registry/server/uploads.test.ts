import { createHash } from 'node:crypto'
import * as assert from 'uvu/assert'
import { digestOf } from '../../../lib/store/index.ts'
import { test } from '../../support/uvu.ts'
import { Fixture } from './fixture.ts'

const octets = { 'content-type': 'application/octet-stream' }

function chunk(start: number, content: string): { headers: Record<string, string>; body: string } {
  return { headers: { ...octets, 'content-range': `${start}-${start + content.length - 1}` }, body: content }
}

test('a blob is pushed by POST and PUT', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  assert.match(path, /^\/v2\/a\/blobs\/uploads\/[0-9a-f-]{36}$/)
  const { status, headers } = await f.ask('PUT', `${path}?digest=${digestOf('content')}`, { body: 'content', headers: octets })
  assert.is(status, 201)
  assert.is(headers.get('location'), `/v2/a/blobs/${digestOf('content')}`)
  assert.is(headers.get('docker-content-digest'), digestOf('content'))
  assert.is((await f.ask('GET', headers.get('location') ?? '')).text, 'content')
  assert.equal((await f.contents()).temporary, [])
})

test('a blob is pushed by one POST', async () => {
  await using f = await Fixture.start()
  const { status, headers } = await f.ask('POST', `/v2/a/blobs/uploads/?digest=${digestOf('x')}`, { body: 'x' })
  assert.is(status, 201)
  assert.is((await f.ask('GET', headers.get('location') ?? '')).text, 'x')
})

test('a blob is pushed in chunks, the last one with PUT or before it, and the upload tells how far it is', async () => {
  await using f = await Fixture.start()
  for (const last of ['ghi', '']) {
    const path = await f.begin('a')
    const first = await f.ask('PATCH', path, chunk(0, 'abc'))
    assert.equal([first.status, first.headers.get('range')], [202, '0-2'])
    const next = await f.ask('PATCH', first.headers.get('location') ?? '', chunk(3, 'def'))
    assert.equal([next.status, next.headers.get('range')], [202, '0-5'])
    const status = await f.ask('GET', path)
    assert.equal([status.status, status.headers.get('range'), status.headers.get('location')], [204, '0-5', path])
    const whole = `abcdef${last}`
    const done = await f.ask('PUT', `${path}?digest=${digestOf(whole)}`, last === '' ? {} : chunk(6, last))
    assert.is(done.status, 201)
    assert.is((await f.ask('GET', `/v2/a/blobs/${digestOf(whole)}`)).text, whole)
    assert.is((await f.ask('GET', path)).code, 'BLOB_UPLOAD_UNKNOWN')
  }
})

test('a stream of unknown length is one PATCH without a range', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  const parts = Array.from({ length: 200 }, (_, index) => Buffer.alloc(10_007, index))
  const response = await fetch(`${f.registry.url}${path}`, {
    method: 'PATCH',
    body: ReadableStream.from(parts),
    duplex: 'half',
  } as RequestInit)
  assert.is(response.status, 202)
  const whole = Buffer.concat(parts)
  assert.is(response.headers.get('range'), `0-${whole.length - 1}`)
  assert.is((await f.ask('PUT', `${path}?digest=${digestOf(whole)}`)).status, 201)
  assert.ok((await f.ask('GET', `/v2/a/blobs/${digestOf(whole)}`)).bytes.equals(whole))
})

test('digests of sha512 are as good', async () => {
  await using f = await Fixture.start()
  const digest = `sha512:${createHash('sha512').update('abcdef').digest('hex')}`
  const path = await f.begin('a')
  await f.ask('PATCH', path, chunk(0, 'abc'))
  assert.is((await f.ask('PUT', `${path}?digest=${digest}`, chunk(3, 'def'))).status, 201)
  assert.is((await f.ask('GET', `/v2/a/blobs/${digest}`)).text, 'abcdef')
  const wrong = await f.ask('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: 'abc' })
  assert.equal([wrong.status, wrong.code], [400, 'DIGEST_INVALID'])
})

test('an upload that is called off is gone with its file', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  await f.ask('PATCH', path, chunk(0, 'abc'))
  assert.is((await f.contents()).temporary.length, 1)
  assert.is((await f.ask('DELETE', path)).status, 204)
  assert.equal((await f.contents()).temporary, [])
  for (const method of ['GET', 'DELETE']) assert.is((await f.ask(method, path)).code, 'BLOB_UPLOAD_UNKNOWN')
})

test('a mount needs no upload where the other repository has the blob, and begins one where it has not', async () => {
  await using f = await Fixture.start()
  const digest = await f.pushBlob('from/here', 'content')
  const done = await f.ask('POST', `/v2/to/blobs/uploads/?mount=${digest}&from=from/here`)
  assert.equal([done.status, done.headers.get('location')], [201, `/v2/to/blobs/${digest}`])
  for (const query of [`mount=${digest}&from=nowhere`, `mount=${digest}`, `mount=${digestOf('other')}&from=from/here`]) {
    const begun = await f.ask('POST', `/v2/third/blobs/uploads/?${query}`)
    assert.is(begun.status, 202, query)
    assert.match(begun.headers.get('location') ?? '', /^\/v2\/third\/blobs\/uploads\//)
  }
  assert.is((await f.ask('GET', `/v2/third/blobs/${digest}`)).status, 404)
})

test('a connection that breaks off leaves an upload that can be gone on with', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  const controller = new AbortController()
  const half = async function* () {
    yield Buffer.from('abc')
    await new Promise((resolve) => setTimeout(resolve, 100))
    controller.abort()
    await new Promise(() => {})
  }
  const broken = fetch(`${f.registry.url}${path}`, {
    method: 'PATCH',
    body: ReadableStream.from(half()),
    duplex: 'half',
    signal: controller.signal,
  } as RequestInit)
  await broken.then(
    () => assert.unreachable(),
    () => {},
  )
  let range: string | null = null
  for (let at = 0; at < 100 && range === null; at += 1) {
    const { status, headers } = await f.ask('PATCH', path, chunk(3, 'def'))
    if (status === 202) range = headers.get('range')
    else await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.is(range, '0-5')
  assert.is((await f.ask('PUT', `${path}?digest=${digestOf('abcdef')}`)).status, 201)
})

test('a blob of more than maxBlobSize is refused, announced or not, and nothing of it is kept', async () => {
  await using f = await Fixture.start({ maxBlobSize: 1000 })
  const before = await f.contents()
  const announced = await f.ask('POST', `/v2/a/blobs/uploads/?digest=${digestOf('x')}`, { body: 'x'.repeat(1001) })
  assert.equal([announced.status, announced.code], [413, 'SIZE_INVALID'])
  const path = await f.begin('a')
  assert.is((await f.ask('PATCH', path, chunk(0, 'y'.repeat(600)))).status, 202)
  const body = ReadableStream.from([Buffer.alloc(300), Buffer.alloc(300)])
  const streamed = await fetch(`${f.registry.url}${path}`, { method: 'PATCH', body, duplex: 'half' } as RequestInit)
  assert.is(streamed.status, 413)
  assert.is((await f.ask('GET', path)).headers.get('range'), '0-599')
  await f.ask('DELETE', path)
  assert.equal(await f.contents(), before)
  await f.pushBlob('a', 'z'.repeat(1000))
})

test('more uploads than maxUploads have to wait', async () => {
  await using f = await Fixture.start({ maxUploads: 2 })
  const path = await f.begin('a')
  await f.begin('b')
  const { status, code, headers } = await f.ask('POST', '/v2/c/blobs/uploads/')
  assert.equal([status, code, headers.get('retry-after')], [429, 'TOOMANYREQUESTS', '5'])
  await f.ask('DELETE', path)
  await f.begin('c')
})

test('an upload that nothing comes for is given up', async () => {
  await using f = await Fixture.start({ uploadTimeout: 100 })
  const path = await f.begin('a')
  for (let at = 0; at < 100 && (await f.contents()).temporary.length > 0; at += 1) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal((await f.contents()).temporary, [])
  assert.is((await f.ask('GET', path)).code, 'BLOB_UPLOAD_UNKNOWN')
})

test('the same blob pushed by many at once is one blob', async () => {
  await using f = await Fixture.start()
  const content = Buffer.alloc(300_000, 7)
  await Promise.all(Array.from({ length: 12 }, (_, index) => f.pushBlob(`r${index % 3}`, content)))
  assert.equal(await f.contents(), { blobs: [digestOf(content)], names: [], temporary: [] })
})

test.run()
