import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { image } from '../../../lib/fluent/index.ts'
import { type LayerEntry, packLayer } from '../../../lib/layers/index.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { failure, withBench } from '../bench.ts'

const scratch = image('scratch')

async function tar(entries: readonly LayerEntry[]): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of packLayer(entries)) pieces.push(piece)
  return Buffer.concat(pieces)
}

const plain: readonly LayerEntry[] = [
  { path: 'd', type: 'directory', mode: 0o750 },
  { path: 'd/f', type: 'file', mode: 0o4755, uid: 3, gid: 4, content: 'text', mtime: { sec: 1000, nsec: 0 } },
  { path: 'd/hard', type: 'link', linkPath: 'd/f' },
  { path: 'link', type: 'symlink', linkPath: 'd/f' },
]

async function withServer<T>(listener: RequestListener, work: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  try {
    return await work(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`)
  } finally {
    await new Promise((done) => server.close(done))
  }
}

test('archives of the context are unpacked where they go, whatever their compression and name; other files are copied', () =>
  withBench(async ({ build, read, stat, paths, context, runtime }) => {
    const archive = await tar(plain)
    writeFileSync(join(context, 'a.bin'), archive)
    writeFileSync(join(context, 'b.tgz'), gzipSync(archive))
    writeFileSync(join(context, 'plain.gz'), gzipSync('no archive'))
    const built = await build(scratch.add('a.bin', '/one').add(['b.tgz', 'plain.gz'], '/two/'))
    assert.equal(await paths(built, 0), ['one/', 'one/d/', 'one/d/f', 'one/d/hard', 'one/link'])
    assert.is(await read(built, 'one/link'), 'text')
    assert.equal(await stat(built, 'one/d/hard'), [0o4755, ...(runtime.canChown ? [3, 4] : [0, 0])])
    assert.equal(await paths(built, 1), ['two/', 'two/d/', 'two/d/f', 'two/d/hard', 'two/link', 'two/plain.gz'])
    const kept = await build(scratch.add('b.tgz', '/', { keepArchives: true }))
    assert.equal(await paths(kept), ['b.tgz'])
  }))

test('chown is for the directories that are made for an archive, and its content is as it says: as in BuildKit, linked or not', () =>
  withBench(async ({ build, stat, paths, context, runtime }) => {
    const ids = (uid: number, gid: number) => (runtime.canChown ? [uid, gid] : [0, 0])
    writeFileSync(join(context, 'a.tar'), await tar(plain))
    writeFileSync(join(context, 'f'), '')
    const made = await build(scratch.add(['a.tar', 'f'], '/x/ar/', { chown: '5', chmod: 0o700 }))
    assert.equal(await paths(made), ['x/', 'x/ar/', 'x/ar/d/', 'x/ar/d/f', 'x/ar/d/hard', 'x/ar/f', 'x/ar/link'])
    assert.equal(await stat(made, 'x'), [0o755, ...ids(5, 5)])
    assert.equal(await stat(made, 'x/ar'), [0o755, ...ids(5, 5)])
    assert.equal(await stat(made, 'x/ar/d'), [0o750, 0, 0])
    assert.equal(await stat(made, 'x/ar/d/f'), [0o4755, ...ids(3, 4)])
    assert.equal(await stat(made, 'x/ar/f'), [0o700, ...ids(5, 5)])
    const linked = await build(scratch.add('a.tar', '/ar/', { chown: '5', link: true }))
    assert.equal(await paths(linked), ['ar/', 'ar/d/', 'ar/d/f', 'ar/d/hard', 'ar/link'])
    assert.equal(await stat(linked, 'ar'), [0o755, ...ids(5, 5)])
    assert.equal(await stat(linked, 'ar/d/f'), [0o4755, ...ids(3, 4)])
    const there = await build(image('host').run('mkdir -m 700 /real && ln -s real /ar').add('a.tar', '/ar/', { chown: '5' }))
    assert.equal(await stat(there, 'real'), [0o700, 0, 0])
    assert.equal(await paths(there), ['real/d/', 'real/d/f', 'real/d/hard', 'real/link'])
  }))

test('L01, L02, L03: an archive is confined to the image: no path, link or hard link of it leads out', () =>
  withBench(async ({ build, read, paths, context }) => {
    const add = async (entries: readonly LayerEntry[], base = scratch) => {
      writeFileSync(join(context, 'a.tar'), await tar(entries))
      return await build(base.add('a.tar', '/dest/'))
    }
    assert.is((await failure(add([{ path: 'a/../../x', type: 'file', content: '' }]))).code, 'path_escapes')
    assert.is((await failure(add([{ path: 'x', type: 'link', linkPath: '../../etc/passwd' }]))).code, 'path_escapes')
    assert.is((await failure(add([{ path: 'x', type: 'link', linkPath: 'missing' }]))).code, 'context_invalid')
    assert.equal((await failure(add([{ path: '.wh.x', type: 'file', content: '' }]))).code, 'context_invalid')
    const through = await add([
      { path: 'out', type: 'symlink', linkPath: '/etc' },
      { path: 'out/strake', type: 'file', content: 'inside' },
    ])
    assert.is(await read(through, 'etc/strake'), 'inside')
    assert.equal(await paths(await add([{ path: '/abs', type: 'file', content: '' }])), ['dest/', 'dest/abs'])
    const linked = await add([{ path: 'f', type: 'file', content: 'x' }], image('host').run('ln -s /real /dest && mkdir /real'))
    assert.is(await read(linked, 'real/f'), 'x')
  }))

test('an archive that is cut short fails the step, by its name; what follows its end mark plays no part', () =>
  withBench(async ({ build, context, paths }) => {
    const whole = await tar([...plain, { path: 'big', type: 'file', content: randomBytes(50_000) }])
    for (const [name, bytes] of Object.entries({
      'cut.tar': whole.subarray(0, 20_000),
      'cut.tar.gz': gzipSync(whole).subarray(0, -20),
      'unmarked.tar': whole.subarray(0, -1024),
    })) {
      writeFileSync(join(context, name), bytes)
      const error = await failure(build(scratch.add(name, '/')))
      assert.equal([error.code, error.details?.path, error.message.includes(name)], ['context_invalid', name, true])
    }
    const more = Buffer.concat([whole, Buffer.from('more'.repeat(1000))])
    writeFileSync(join(context, 'more.tar'), more)
    writeFileSync(join(context, 'more.tar.gz'), gzipSync(more))
    for (const name of ['more.tar', 'more.tar.gz'])
      assert.equal(await paths(await build(scratch.add(name, '/'))), ['big', 'd/', 'd/f', 'd/hard', 'link'])
  }))

for (const program of ['xz', 'bzip2']) {
  test(`archives of ${program}: unpacked through the program of this machine, told by their bytes; without it a clear failure`, () =>
    withBench(async ({ build, read, paths, context }) => {
      if (!has(program)) return skip(`${program} is not installed`)
      const compressed = (content: Uint8Array): Buffer => execFileSync(program, ['-c'], { input: content, maxBuffer: 1 << 26 })
      const big: LayerEntry = { path: 'big', type: 'file', content: randomBytes(3_000_000) }
      const whole = compressed(await tar([...plain, big]))
      writeFileSync(join(context, 'archive'), whole)
      writeFileSync(join(context, 'text'), compressed(Buffer.from('no archive')))
      writeFileSync(join(context, `a.tar.${program}`), 'not compressed')
      const built = await build(scratch.add(['archive', 'text', 'a.tar.*'], '/to/'))
      assert.equal(await paths(built), ['to/', `to/a.tar.${program}`, 'to/big', 'to/d/', 'to/d/f', 'to/d/hard', 'to/link', 'to/text'])
      assert.is(await read(built, 'to/link'), 'text')
      writeFileSync(join(context, 'archive'), whole.subarray(0, -1000))
      assert.is((await failure(build(scratch.add('archive', '/')))).code, 'context_invalid')
      const { PATH } = process.env
      try {
        process.env.PATH = '/nowhere'
        const missing = await failure(build(scratch.add('archive', '/')))
        assert.equal([missing.code, missing.details?.path, missing.details?.program], ['context_invalid', 'archive', program])
        await build(scratch.add('archive', '/', { keepArchives: true }))
      } finally {
        process.env.PATH = PATH
      }
    }))
}

test('a URL is downloaded: by its name into a directory, else as the destination, mode 0600 unless told; archives stay unless told', () =>
  withBench(async ({ build, read, stat, paths }) => {
    const archive = gzipSync(await tar(plain))
    await withServer(
      (request, response) => {
        if (request.url === '/moved') return response.writeHead(302, { location: '/tool' }).end()
        if (request.url?.startsWith('/named')) response.setHeader('content-disposition', 'attachment; filename="real name"')
        response.setHeader('last-modified', 'Thu, 01 Jan 1970 00:16:40 GMT')
        response.end(request.url?.startsWith('/a.tgz') ? archive : `from ${request.url}`)
      },
      async (url) => {
        const built = await build(
          scratch
            .add(`${url}/tool?x=1`, '/bin/')
            .add(`${url}/moved`, '/elsewhere', { chmod: 0o755 })
            .add(`${url}/named`, '/')
            .add(`${url}/named/`, '/'),
        )
        assert.is(await read(built, 'bin/tool'), 'from /tool?x=1')
        assert.is((await stat(built, 'bin/tool'))?.[0], 0o600)
        assert.is(await read(built, 'elsewhere'), 'from /tool')
        assert.is((await stat(built, 'elsewhere'))?.[0], 0o755)
        // What a server calls it counts where the URL has no name.
        assert.equal([await read(built, 'named'), await read(built, 'real name')], ['from /named', 'from /named/'])
        assert.equal(await paths(await build(scratch.add(`${url}/a.tgz`, '/'))), ['a.tgz'])
        assert.equal(await paths(await build(scratch.add(`${url}/a.tgz`, '/', { keepArchives: false }))), ['d/', 'd/f', 'd/hard', 'link'])
        assert.is((await failure(build(scratch.add(`${url}/`, '/dir/')))).code, 'invalid_argument')
      },
    )
  }))

test('the content of a URL decides, and no header; with a checksum nothing is asked twice, and something else is refused', () =>
  withBench(async ({ build, read }) => {
    let content = 'one'
    let asked = 0
    await withServer(
      (_, response) => {
        asked += 1
        response.writeHead(200, { etag: '"same"', 'last-modified': 'Thu, 01 Jan 1970 00:16:40 GMT' }).end(content)
      },
      async (url) => {
        const app = scratch.add(`${url}/f`, '/')
        const first = await build(app)
        assert.is((await build(app)).digest, first.digest)
        content = 'two'
        assert.is(await read(await build(app), 'f'), 'two')
        const checksum = `sha256:${createHash('sha256').update(content).digest('hex')}`
        const before = asked
        const checked = scratch.add(`${url}/f`, '/', { checksum })
        await build(checked)
        content = 'three'
        assert.is(await read(await build(checked), 'f'), 'two')
        assert.is(asked, before + 1)
        const wrong = await failure(build(scratch.add(`${url}/g`, '/', { checksum })))
        assert.equal([wrong.code, wrong.details?.expected], ['digest_mismatch', checksum])
      },
    )
  }))

test('a URL of any port is asked for, and what is compressed for the way is the file', () =>
  withBench(async ({ build, read }) => {
    const file = randomBytes(200_000)
    const listener: RequestListener = (request, response) => {
      if (request.url === '/plain') return response.end(file)
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(file).subarray(0, request.url === '/cut' ? 1000 : undefined))
    }
    await withServer(listener, async (url) => {
      const digest = `sha256:${createHash('sha256').update(file).digest('hex')}`
      for (const name of ['plain', 'zipped']) await build(scratch.add(`${url}/${name}`, '/', { checksum: digest }))
      assert.is((await failure(build(scratch.add(`${url}/cut`, '/')))).code, 'download_failed')
    })
    // Ports that browsers do not go to: the first of them that is free here.
    for (const port of [6000, 6665, 6666, 6667, 6668, 6669, 10080]) {
      const server = createServer((_, response) => response.end('x'))
      const isOpen = await new Promise<boolean>((done) =>
        server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)),
      )
      if (!isOpen) continue
      try {
        assert.is(await read(await build(scratch.add(`http://127.0.0.1:${port}/f`, '/')), 'f'), 'x')
      } finally {
        await new Promise((done) => server.close(done))
      }
      return
    }
    return skip('every port that browsers do not go to is taken')
  }))

test('a URL that cannot be had: its status, a connection that breaks off, an abort', () =>
  withBench(async ({ build }) => {
    await withServer(
      (request, response) => {
        if (request.url === '/gone') return response.writeHead(404).end()
        response.writeHead(200, { 'content-length': '100' }).write('some')
        if (request.url === '/cut') setTimeout(() => response.destroy(), 50)
      },
      async (url) => {
        const gone = await failure(build(scratch.add(`${url}/gone`, '/')))
        assert.equal([gone.code, gone.details?.url, /404/.test(gone.message)], ['download_failed', `${url}/gone`, true])
        assert.is((await failure(build(scratch.add(`${url}/cut`, '/')))).code, 'download_failed')
        const control = new AbortController()
        setTimeout(() => control.abort(), 200)
        assert.is((await failure(build(scratch.add(`${url}/hangs`, '/'), { signal: control.signal }))).code, 'aborted')
      },
    )
    assert.is((await failure(build(scratch.add('http://127.0.0.1:1/f', '/')))).code, 'download_failed')
  }))

test('link: the layer is the same whatever is below it, and found in the cache on another base', () =>
  withBench(async ({ build, context, read }) => {
    mkdirSync(join(context, 'd'))
    writeFileSync(join(context, 'd/f'), 'x')
    symlinkSync('f', join(context, 'd/l'))
    const cached: boolean[] = []
    const onProgress = (event: { type: string; cached?: boolean; name?: string }): void => {
      if (event.type === 'step' && event.name?.startsWith('COPY d')) cached.push(event.cached === true)
    }
    const copy = (base: typeof scratch) => base.copy('d', '/app/', { link: true, chown: 0, chmod: 'u=rwX,go=' })
    const one = await build(copy(scratch), { onProgress })
    const two = await build(copy(scratch.copy({ other: 'y' }, '/')), { onProgress })
    assert.equal(cached, [false, true])
    assert.is(one.layers.at(-1)?.digest, two.layers.at(-1)?.digest)
    assert.equal([await read(two, 'app/l'), await read(two, 'other')], ['x', 'y'])
  }))

test.run()
