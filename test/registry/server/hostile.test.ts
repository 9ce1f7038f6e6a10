import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import * as assert from 'uvu/assert'
import { digestOf } from '../../../lib/store/index.ts'
import { test } from '../../support/uvu.ts'
import { type Answer, Fixture, imageManifest } from './fixture.ts'

const digest = digestOf('content')

function chunk(range: string, body: string): { headers: Record<string, string>; body: string } {
  return { headers: { 'content-range': range }, body }
}

test('I12 an upload that is finished with the wrong digest is gone, and nothing is stored', async () => {
  await using f = await Fixture.start()
  const before = await f.contents()
  const atOnce = await f.ask('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { body: 'other' })
  assert.equal([atOnce.status, atOnce.code], [400, 'DIGEST_INVALID'])
  const path = await f.begin('a')
  await f.ask('PATCH', path, { body: 'oth' })
  const { status, code } = await f.ask('PUT', `${path}?digest=${digest}`, { body: 'er' })
  assert.equal([status, code], [400, 'DIGEST_INVALID'])
  assert.is((await f.ask('GET', path)).code, 'BLOB_UPLOAD_UNKNOWN')
  assert.equal(await f.contents(), before)
})

test('I12 a digest that is none is refused before anything is read, and the upload goes on', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  const wrong = [
    '',
    'sha256:',
    'sha256:abc',
    digest.toUpperCase(),
    `md5:${'0'.repeat(32)}`,
    `${digest}0`,
    'sha256:../../../etc/passwd',
    '%00',
  ]
  for (const each of wrong) {
    for (const [method, where] of [
      ['PUT', path],
      ['POST', '/v2/a/blobs/uploads/'],
    ] as const) {
      const { status, code } = await f.ask(method, `${where}?digest=${each}`, { body: 'content' })
      assert.equal([each, method, status, code], [each, method, 400, 'DIGEST_INVALID'])
    }
    const mount = await f.ask('POST', `/v2/a/blobs/uploads/?from=b&mount=${each}`)
    assert.equal([mount.status, mount.code], [400, 'DIGEST_INVALID'])
  }
  assert.is((await f.ask('PUT', path, { body: 'content' })).code, 'DIGEST_INVALID')
  assert.is((await f.ask('PUT', `${path}?digest=${digest}`, { body: 'content' })).status, 201)
})

const chunks: readonly (readonly [name: string, range: string, body: string, status: number, code: string])[] = [
  ['that leaves a gap', '4-6', 'def', 416, 'BLOB_UPLOAD_INVALID'],
  ['that was sent already', '0-2', 'abc', 416, 'BLOB_UPLOAD_INVALID'],
  ['that overlaps', '2-4', 'cde', 416, 'BLOB_UPLOAD_INVALID'],
  ['longer than its range', '3-4', 'def', 400, 'SIZE_INVALID'],
  ['shorter than its range', '3-9', 'def', 400, 'SIZE_INVALID'],
  ['whose range is backwards', '5-3', 'def', 400, 'BLOB_UPLOAD_INVALID'],
  ['whose range is below 0', '-3-5', 'def', 400, 'BLOB_UPLOAD_INVALID'],
  ['whose range is no number', 'a-b', 'def', 400, 'BLOB_UPLOAD_INVALID'],
  ['whose range is huge', '3-99999999999999999999', 'def', 400, 'BLOB_UPLOAD_INVALID'],
]
test('I12 a chunk out of order or of another length than it says is refused, and the upload is as before', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  await f.ask('PATCH', path, chunk('0-2', 'abc'))
  for (const [name, range, body, status, code] of chunks) {
    for (const [method, where] of [
      ['PATCH', path],
      ['PUT', `${path}?digest=${digestOf('abcdef')}`],
    ] as const) {
      const answer = await f.ask(method, where, chunk(range, body))
      assert.equal([name, method, answer.status, answer.code], [name, method, status, code])
      if (status === 416) assert.is(answer.headers.get('range'), '0-2')
    }
    assert.is((await f.ask('GET', path)).headers.get('range'), '0-2', name)
  }
  for (const lengths of [[2], [4], [1, 3]]) {
    const body = ReadableStream.from(lengths.map((length) => Buffer.from('defg'.slice(0, length))))
    const options = { method: 'PATCH', body, duplex: 'half', headers: { 'content-range': '3-5' } } as RequestInit
    assert.is((await fetch(`${f.registry.url}${path}`, options)).status, 400)
    assert.is((await f.ask('GET', path)).headers.get('range'), '0-2')
  }
  assert.is((await f.ask('PUT', `${path}?digest=${digestOf('abcdef')}`, chunk('3-5', 'def'))).status, 201)
  assert.equal(await f.contents(), { blobs: [digestOf('abcdef')], names: [], temporary: [] })
})

test('I12 of two requests at once on one upload one is refused, and the other makes its blob', async () => {
  await using f = await Fixture.start()
  const path = await f.begin('a')
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const slow = async function* () {
    yield Buffer.from('cont')
    await gate
    yield Buffer.from('ent')
  }
  const first = fetch(`${f.registry.url}${path}`, { method: 'PATCH', body: ReadableStream.from(slow()), duplex: 'half' } as RequestInit)
  for (let at = 0; at < 100 && (await f.ask('GET', path)).headers.get('range') !== '0-3'; at += 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
  for (const [method, where] of [
    ['PATCH', path],
    ['PUT', `${path}?digest=${digest}`],
    ['DELETE', path],
  ] as const) {
    const { status, code } = await f.ask(method, where, method === 'DELETE' ? {} : { body: 'other' })
    assert.equal([method, status, code], [method, 409, 'BLOB_UPLOAD_INVALID'])
  }
  go()
  assert.is((await first).status, 202)
  const finished = await Promise.all([1, 2, 3].map(() => f.ask('PUT', `${path}?digest=${digest}`)))
  assert.is(finished.filter(({ status }) => status === 201).length, 1)
  assert.equal(await f.contents(), { blobs: [digest], names: [], temporary: [] })
})

test('I12 an upload of one repository is none of another', async () => {
  await using f = await Fixture.start()
  const id = (await f.begin('a')).split('/').at(-1)
  for (const [method, query] of [
    ['GET', ''],
    ['PATCH', ''],
    ['PUT', `?digest=${digest}`],
    ['DELETE', ''],
  ] as const) {
    const { status, code } = await f.ask(method, `/v2/b/blobs/uploads/${id}${query}`, method === 'GET' ? {} : { body: 'content' })
    assert.equal([method, status, code], [method, 404, 'BLOB_UPLOAD_UNKNOWN'])
  }
})

test('I12 a manifest whose blobs are missing is not stored, nor one whose blobs another repository has', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('secret', 'l')
  await f.pushBlob('a', 'c')
  const before = await f.contents()
  const { status, text } = await f.pushManifest('a', imageManifest('c', ['l', 'm']), 'tag')
  assert.is(status, 404)
  const [error] = JSON.parse(text).errors
  assert.is(error.code, 'MANIFEST_BLOB_UNKNOWN')
  assert.equal(error.detail.missing, [digestOf('l'), digestOf('m')])
  assert.equal(await f.contents(), before)
})

const names = [
  '..',
  '../..',
  'a/../b',
  './a',
  'a//b',
  '/a',
  'A',
  'a b',
  'a%00',
  'a%0ab',
  '%2e%2e',
  '%2e%2e%2f%2e%2e',
  'a%2f..%2f..%2fb',
  '_blobs',
  'a/_blobs',
  'a.',
  '.a',
]
const escapes = [...names, 'ä', 'a\\b', '..\\..', `${'a/'.repeat(150)}a`, 'x'.repeat(256)]
test('I12 no repository name leads out of the store, or is anything else than a name', async () => {
  await using f = await Fixture.start()
  await f.pushBlob('a', 'content')
  const before = { ...(await f.contents()), all: readdirSync(f.store.root).sort(), links: links(f) }
  for (const name of escapes) {
    const path = /[^\u0020-\u007e]| /.test(name) ? encodeURIComponent(name) : name
    const answers: Answer[] = [
      await f.askRaw('POST', `/v2/${path}/blobs/uploads/`),
      await f.askRaw('POST', `/v2/${path}/blobs/uploads/?digest=${digest}`, { body: 'content' }),
      await f.askRaw('POST', `/v2/${path}/blobs/uploads/?mount=${digest}&from=a`),
      await f.askRaw('GET', `/v2/${path}/blobs/${digest}`),
      await f.askRaw('DELETE', `/v2/${path}/blobs/${digest}`),
      await f.askRaw('GET', `/v2/${path}/manifests/latest`),
      await f.askRaw('PUT', `/v2/${path}/manifests/latest`, { headers: { 'content-type': 'text/plain' }, body: '{}' }),
      await f.askRaw('GET', `/v2/${path}/tags/list`),
      await f.askRaw('GET', `/v2/${path}/referrers/${digest}`),
      await f.askRaw('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=${path}`),
    ]
    for (const { status, code } of answers) assert.equal([name, status, code], [name, 400, 'NAME_INVALID'])
  }
  assert.equal({ ...(await f.contents()), all: readdirSync(f.store.root).sort(), links: links(f) }, before)
})

function links(f: Fixture): string[] {
  return readdirSync(f.store.path('tmp', '..', 'registry'), { recursive: true })
    .map(String)
    .sort()
}

test('I12 no digest, tag, upload or page leads out of the store', async () => {
  await using f = await Fixture.start()
  await f.pushImage('a', 'one')
  const before = await f.contents()
  for (const each of [
    '..%2f..%2f..%2f..%2fetc%2fpasswd',
    'sha256:..%2f..%2findex.json',
    'sha256%3A..',
    '%2e%2e',
    'sha256:%2fetc%2fpasswd',
    'sha1024:00',
  ]) {
    for (const [method, path] of [
      ['GET', `/v2/a/blobs/${each}`],
      ['DELETE', `/v2/a/blobs/${each}`],
      ['GET', `/v2/a/manifests/${each}`],
      ['DELETE', `/v2/a/manifests/${each}`],
      ['GET', `/v2/a/referrers/${each}`],
      ['GET', `/v2/a/blobs/uploads/${each}`],
      ['DELETE', `/v2/a/blobs/uploads/${each}`],
    ] as const) {
      const { status, text } = await f.askRaw(method, path)
      assert.ok(status === 400 || status === 404, `${method} ${path}: ${status} ${text}`)
      assert.not.match(text, /root:|manifests"/)
    }
  }
  assert.equal(JSON.parse((await f.askRaw('GET', '/v2/a/tags/list?last=../../x')).text).tags, ['one'])
  assert.equal(await f.contents(), before)
  assert.is((await f.askRaw('GET', '/v2/%zz/tags/list')).code, 'NAME_INVALID')
})

/** Sends bytes and says whether, and how, the connection ended. */
async function speak(port: number, text: string, within: number): Promise<{ ended: boolean; said: string }> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let said = ''
    const timer = setTimeout(() => {
      socket.destroy()
      resolve({ ended: false, said })
    }, within)
    socket.on('data', (piece) => {
      said += piece.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ ended: true, said })
    })
  })
}

test('a client that stalls in its header or its body is let go of', async () => {
  await using f = await Fixture.start({ idleTimeout: 300 })
  const path = await f.begin('a')
  const stalls = [
    '',
    'GET /v2/ HTTP/1.1\r\nHost: x\r\n',
    `PATCH ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc`,
    'PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{',
  ]
  const ends = await Promise.all(stalls.map((text) => speak(f.registry.port, text, 60_000)))
  assert.equal(
    ends.map(({ ended }) => ended),
    [true, true, true, true],
  )
  assert.is((await f.ask('GET', path)).headers.get('range'), '0-2')
})

test('a refused body is not read to its end', async () => {
  await using f = await Fixture.start({ maxBlobSize: 1000 })
  const header = 'POST /v2/a/blobs/uploads/?digest=x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\nabc'
  const { ended, said } = await speak(f.registry.port, header, 20_000)
  assert.ok(ended)
  assert.match(said, /^HTTP\/1.1 400 .*DIGEST_INVALID/s)
})

test('what is no HTTP is answered with 400 or not at all, and the next client is served', async () => {
  await using f = await Fixture.start()
  for (const text of [
    '\x16\x03\x01\x02\x00\x01',
    'GET\r\n\r\n',
    `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ])
    assert.ok((await speak(f.registry.port, text, 20_000)).ended)
  const smuggled = 'POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  assert.match((await speak(f.registry.port, smuggled, 20_000)).said, /^HTTP\/1.1 400/)
  assert.is((await f.ask('GET', '/v2/')).status, 200)
})

test.run()
