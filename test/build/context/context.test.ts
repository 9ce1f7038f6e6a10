import { chmodSync, createReadStream, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import type { BuildEvent, ContextInput } from '../../../lib/build/index.ts'
import { image } from '../../../lib/fluent/index.ts'
import { type LayerEntry, packLayer } from '../../../lib/layers/index.ts'
import { testAs } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { type Bench, failure, withBench } from '../bench.ts'

const all = image('scratch').copy('.', '/')

async function tar(entries: readonly LayerEntry[]): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of packLayer(entries)) pieces.push(piece)
  return Buffer.concat(pieces)
}

function layOut(context: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(context, path, '..'), { recursive: true })
    writeFileSync(join(context, path), text)
  }
}

const tree = { 'a/f.txt': 'f', 'a/g.log': 'g', 'b/deep/h.log': 'h', 'b/deep/keep.log': 'k', 'top.md': 't', secret: 's' }

test('.dockerignore: what it names is not there, be it asked for by name or with all; ! takes back, with the directories on the way', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, { ...tree, '.dockerignore': '**/*.log\nsecret\n.dockerignore\n!b/deep/keep.log\n' })
    assert.equal(await paths(await build(all)), ['a/', 'a/f.txt', 'b/', 'b/deep/', 'b/deep/keep.log', 'top.md'])
    for (const path of ['secret', 'a/g.log', 'b/deep/h.log']) {
      const error = await failure(build(image('scratch').copy(path, '/')))
      assert.equal([error.code, error.details?.path, /dockerignore/.test(error.hint ?? '')], ['context_invalid', path, true])
    }
    symlinkSync('secret', join(context, 'way-around'))
    assert.is((await failure(build(image('scratch').copy('way-around', '/x')))).code, 'context_invalid')
    assert.equal(await paths(await build(all, { context: { directory: context, ignore: false } })), [
      '.dockerignore',
      'a/',
      'a/f.txt',
      'a/g.log',
      'b/',
      'b/deep/',
      'b/deep/h.log',
      'b/deep/keep.log',
      'secret',
      'top.md',
      'way-around',
    ])
    assert.equal(await paths(await build(all, { context: { directory: context, ignore: ['*', '!top.md'] } })), ['top.md'])
    assert.equal(await paths(await build(image('scratch').add('a/*', '/'), { context: { directory: context, ignore: ['**/*.log'] } })), [
      'f.txt',
    ])
  }))

test("a Dockerfile's own .dockerignore takes the place of the context's", () =>
  withBench(async ({ build, paths, context, directory }) => {
    layOut(context, { ...tree, '.dockerignore': '*' })
    const dockerfile = join(directory, 'my.Dockerfile')
    writeFileSync(dockerfile, 'FROM scratch\nCOPY . /\n')
    writeFileSync(`${dockerfile}.dockerignore`, '*\n!top.md\n')
    assert.equal(await paths(await build(image().fromDockerfile({ path: dockerfile, context }))), ['top.md'])
  }))

test('a list of files is all that there is: of a directory what is below it', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, tree)
    const options = { context: { files: ['a', 'b/deep/h.log'], root: context } }
    assert.equal(await paths(await build(all, options)), ['a/', 'a/f.txt', 'a/g.log', 'b/', 'b/deep/', 'b/deep/h.log'])
    assert.is((await failure(build(image('scratch').copy('top.md', '/'), options))).code, 'context_invalid')
    for (const missing of ['package.jsn', '/no/such', 'top.md/x']) {
      const error = await failure(build(all, { context: { files: ['top.md', missing], root: context } }))
      assert.equal([error.code, error.details?.path], ['context_invalid', missing])
    }
  }))

test('links on the way to a listed file are followed inside the root, and come along; what they lead out to is not there', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, { 'd/e/f': 'f', 'd/g': 'g', other: '' })
    for (const [name, target] of [
      ['ld', 'd'],
      ['abs', '/ld/e'],
      ['root', '/'],
      ['up', '..'],
      ['end', 'other'],
      ['gone', 'nowhere'],
    ] as const)
      symlinkSync(target, join(context, name))
    const of = (...files: string[]) => ({ context: { files, root: context } })
    assert.equal(await paths(await build(all, of('ld/g'))), ['d/', 'd/g', 'ld'])
    assert.equal(await paths(await build(all, of('abs/f'))), ['abs', 'd/', 'd/e/', 'd/e/f', 'ld'])
    for (const path of ['ld/g', 'd/g']) assert.equal(await paths(await build(image('scratch').copy(path, '/'), of('ld/g'))), ['g'])
    assert.is((await failure(build(image('scratch').copy('ld/g', '/'), of('d/g')))).code, 'context_invalid', 'the link is not listed')
    assert.equal(await paths(await build(image('scratch').copy('root/other', '/'), of('root/other'))), ['other'])
    // A link at the end is itself listed, and no more.
    assert.equal(await paths(await build(all, of('end'))), ['end'])
    assert.is((await failure(build(image('scratch').copy('end', '/'), of('end')))).code, 'context_invalid')
    for (const [path, code] of [
      ['root/etc/passwd', 'path_escapes'],
      ['up/store', 'path_escapes'],
      ['gone/f', 'context_invalid'],
      ['ld/none', 'context_invalid'],
    ] as const)
      assert.is((await failure(build(all, of(path)))).code, code, path)
  }))

testAs(test, ['subid', 'single'], 'what is not listed, or ignored, is not looked into: no matter that it may not be read', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, { a: 'a', 'd/f': '', 'd/locked/f': '', 'locked/f': '' })
    symlinkSync('/etc/passwd', join(context, 'out'))
    for (const path of ['locked', 'd/locked']) chmodSync(join(context, path), 0)
    try {
      const contexts: readonly ContextInput[] = [
        { files: ['a', 'd/f'], root: context },
        { directory: context, ignore: ['*', '!a', '!d/f'] },
        { directory: context, ignore: ['**/locked', 'out', '!a*'] },
      ]
      for (const each of contexts) {
        assert.equal(await paths(await build(all, { context: each })), ['a', 'd/', 'd/f'])
        assert.equal(await paths(await build(image('scratch').copy('*', '/'), { context: each })), ['a', 'f'])
        assert.equal(await paths(await build(image('scratch').copy('*/f', '/'), { context: each })), ['f'])
        const error = await failure(build(image('scratch').copy('locked/f', '/'), { context: each }))
        assert.match(error.message, 'the build context has no "locked/f"')
      }
    } finally {
      for (const path of ['locked', 'd/locked']) chmodSync(join(context, path), 0o700)
    }
  }),
)

test('a .dockerignore means the same in every kind of context; in a list of files where the list has it', () =>
  withBench(async ({ build, paths, context }) => {
    const files = { ...tree, 'logs/x.log': '', '.dockerignore': '**/*.log\nsecret\n!b/deep/keep.log\n' }
    layOut(context, files)
    const names = Object.keys(files)
    const entries = ['a', 'b', 'b/deep', 'logs'].map((path): LayerEntry => ({ path, type: 'directory' }))
    const archived = [...entries, ...Object.entries(files).map(([path, content]): LayerEntry => ({ path, type: 'file', content }))]
    for (const each of [
      context,
      { directory: context },
      { tar: await tar(archived) },
      { memory: files },
      { files: ['.'], root: context },
      { files: ['.dockerignore', 'a', 'b', 'logs', 'top.md', 'secret'], root: context },
    ]) {
      assert.equal(
        await paths(await build(all, { context: each })),
        ['.dockerignore', 'a/', 'a/f.txt', 'b/', 'b/deep/', 'b/deep/keep.log', 'logs/', 'top.md'],
        JSON.stringify(each).slice(0, 100),
      )
      assert.equal(await paths(await build(image('scratch').copy('*/*', '/'), { context: each })), ['f.txt', 'keep.log'])
      assert.equal(await paths(await build(image('scratch').copy('logs', '/l'), { context: each })), ['l/'])
      for (const path of ['secret', 'a/g.log', 'logs/x.log'])
        assert.is((await failure(build(image('scratch').copy(path, '/'), { context: each }))).code, 'context_invalid', path)
    }
    const unnamed = { files: names.filter((name) => name !== '.dockerignore'), root: context }
    assert.ok((await paths(await build(all, { context: unnamed }))).includes('secret'))
    assert.equal(await paths(await build(all, { context: { memory: { x: '', '.dockerignore': '*' } } })), [])
  }))

test('an ignored link is not there, and so is no way to what it leads to', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, { 'd/f': 'f', '.dockerignore': 'l\n' })
    symlinkSync('d', join(context, 'l'))
    const archived = await tar([
      { path: 'd', type: 'directory' },
      { path: 'd/f', type: 'file', content: 'f' },
      { path: '.dockerignore', type: 'file', content: 'l\n' },
      { path: 'l', type: 'symlink', linkPath: 'd' },
    ])
    for (const each of [context, { tar: archived }]) {
      for (const path of ['l', 'l/f'])
        assert.is((await failure(build(image('scratch').copy(path, '/'), { context: each }))).code, 'context_invalid', path)
      assert.equal(await paths(await build(image('scratch').copy('*/f', '/'), { context: each })), ['f'])
    }
  }))

test('a .dockerignore that is a link is followed inside the context only', () =>
  withBench(async ({ build, paths, context, directory }) => {
    layOut(context, { a: '', b: '', 'build/ignored': 'b\nbuild\n.dockerignore\n' })
    symlinkSync('build/ignored', join(context, '.dockerignore'))
    assert.equal(await paths(await build(all)), ['a'])
    rmSync(join(context, '.dockerignore'))
    writeFileSync(join(directory, 'outside'), '[secret')
    symlinkSync('../outside', join(context, '.dockerignore'))
    const error = await failure(build(all))
    assert.is(error.code, 'path_escapes')
    assert.not.match(error.message, 'secret')
  }))

const archive: readonly LayerEntry[] = [
  { path: 'a', type: 'directory', uid: 5, gid: 6 },
  { path: 'a/f.txt', type: 'file', mode: 0o640, uid: 5, gid: 6, content: 'of the tar', mtime: { sec: 5, nsec: 0 } },
  { path: 'ignored', type: 'file', content: '' },
  { path: '.dockerignore', type: 'file', content: 'ignored\n.dockerignore' },
]

for (const [name, contextOf] of [
  ['bytes', async () => ({ tar: gzipSync(await tar(archive)) })],
  [
    'a file',
    async ({ directory }: Bench) => {
      writeFileSync(join(directory, 'context.tar'), await tar(archive))
      return { tar: join(directory, 'context.tar') }
    },
  ],
  [
    'a stream',
    async ({ directory }: Bench) => {
      writeFileSync(join(directory, 'context.tar'), await tar(archive))
      return { tar: createReadStream(join(directory, 'context.tar'), { highWaterMark: 100 }) }
    },
  ],
] as const) {
  test(`a tar as context, ${name}: its files are root's, its .dockerignore counts, several steps take from it`, () =>
    withBench(async (bench) => {
      const context: ContextInput = await contextOf(bench)
      const built = await bench.build(all.copy('a/f.*', '/again/'), { context })
      assert.equal(await bench.paths(built, 0), ['a/', 'a/f.txt'])
      assert.is(await bench.read(built, 'again/f.txt'), 'of the tar')
      assert.equal(await bench.stat(built, 'a/f.txt'), [0o640, 0, 0])
    }))
}

test('a hostile tar as context is refused or confined, and leaves nothing', () =>
  withBench(async ({ build, read, directory }) => {
    const out = await tar([{ path: '../x', type: 'file', content: '' }])
    assert.is((await failure(build(all, { context: { tar: out } }))).code, 'path_escapes')
    const broken = (await tar(archive)).subarray(0, 700)
    assert.is((await failure(build(all, { context: { tar: broken } }))).code, 'context_invalid')
    const texts = await failure(build(all, { context: { tar: Readable.from(['abc']) } }))
    assert.equal([texts.code, texts.message], ['context_invalid', 'the tar of the build context gives a string, not bytes'])
    const stream = Readable.from([out])
    assert.is((await failure(build(all, { context: { tar: stream } }))).code, 'path_escapes')
    assert.match((await failure(build(all, { context: { tar: stream } }))).message, 'read before')
    const path = join(directory, 'no.tar')
    writeFileSync(path, 'this is no tar file '.repeat(99))
    const none = await failure(build(all, { context: { tar: path } }))
    assert.equal([none.code, none.details?.path, /the tar of the build context/.test(none.message)], ['context_invalid', path, true])
    const linked = await tar([
      { path: 'l', type: 'symlink', linkPath: '/etc' },
      { path: 'l/strake', type: 'file', content: 'inside' },
    ])
    assert.is(await read(await build(image('scratch').copy('etc/strake', '/'), { context: { tar: linked } }), 'strake'), 'inside')
    assert.is((await failure(build(all, { context: { tar: '/no/such/file' } }))).code, 'context_invalid')
  }))

test('files from memory as context: by path, by pattern, by directory', () =>
  withBench(async ({ build, paths, read }) => {
    const context = { memory: { 'src/a.js': 'a', 'src/lib/b.js': { content: 'b', mode: 0o755 }, 'package.json': '{}' } }
    assert.equal(await paths(await build(all, { context })), ['package.json', 'src/', 'src/a.js', 'src/lib/', 'src/lib/b.js'])
    const built = await build(image('scratch').copy('src', '/app').copy(['*.json', 'src/*/b.js'], '/'), { context })
    assert.equal(await paths(built, 0), ['app/', 'app/a.js', 'app/lib/', 'app/lib/b.js'])
    assert.equal(await paths(built, 1), ['b.js', 'package.json'])
    assert.is(await read(built, 'app/a.js'), 'a')
    assert.is((await failure(build(image('scratch').copy('none', '/'), { context }))).code, 'context_invalid')
  }))

test('what is no context is refused before anything is done', () =>
  withBench(async ({ build }) => {
    for (const context of [
      '',
      3,
      null,
      {},
      { direktory: '.' },
      { directory: '' },
      { files: 'a' },
      { tar: 3 },
      { files: [], tar: '' },
      { memory: { a: 1 } },
    ])
      assert.is(
        (await failure(build(all, { context: context as unknown as ContextInput }))).code,
        'invalid_argument',
        JSON.stringify(context),
      )
    assert.is((await failure(build(all, { context: { files: ['../x'] } }))).code, 'path_escapes')
  }))

testAs(test, ['subid', 'single'], 'a file that may not be read stops the build with its path, and so does a .dockerignore', () =>
  withBench(async ({ build, context }) => {
    writeFileSync(join(context, 'closed'), '')
    chmodSync(join(context, 'closed'), 0)
    const error = await failure(build(all))
    assert.equal([error.code, error.details?.path], ['context_invalid', 'closed'])
    writeFileSync(join(context, '.dockerignore'), '')
    chmodSync(join(context, '.dockerignore'), 0)
    assert.is((await failure(build(all))).code, 'context_invalid')
  }),
)

test('exclude leaves out of what is copied, parents keeps the directories of the paths', () =>
  withBench(async ({ build, paths, context }) => {
    layOut(context, tree)
    const copy = async (...args: Parameters<typeof all.copy>) => await paths(await build(image('scratch').copy(...args)))
    assert.equal(await copy('.', '/', { exclude: ['**/*.log', 'secret'] }), ['a/', 'a/f.txt', 'b/', 'b/deep/', 'top.md'])
    assert.equal(await copy(['a/*', 'top.md'], '/x/', { exclude: ['*.log'] }), ['x/', 'x/f.txt', 'x/top.md'])
    assert.equal(await copy('b', '/', { exclude: ['deep', '!deep/keep.log'] }), ['deep/', 'deep/keep.log'])
    assert.equal(await copy(['a/f.txt', 'b/deep/*'], '/x/', { parents: true }), [
      'x/',
      'x/a/',
      'x/a/f.txt',
      'x/b/',
      'x/b/deep/',
      'x/b/deep/h.log',
      'x/b/deep/keep.log',
    ])
    assert.equal(await copy('b/./deep', '/x/', { parents: true }), ['x/', 'x/deep/', 'x/deep/h.log', 'x/deep/keep.log'])
    assert.equal(await copy('b/deep/h.log', '/y/', { parents: true, link: true }), ['y/b/', 'y/b/deep/', 'y/b/deep/h.log'])
    const memory = image('scratch').copy({ 'a.txt': '', 'b.log': '' }, '/', { exclude: ['*.log'] })
    assert.equal(await paths(await build(memory)), ['a.txt'])
  }))

test('a fifo in a copied directory of an image or a tar is left out and told of; one that is named itself is refused by what it is', () =>
  withBench(async ({ build, paths }) => {
    const base = image('host').run('mkdir -p /q/r && mkfifo /q/p /q/r/p && echo x > /q/f')
    const notices: string[] = []
    const onProgress = (event: BuildEvent): void => {
      if (event.type === 'notice') notices.push(`${event.path}: ${event.message}`)
    }
    const left = (path: string): string => `${path}: a fifo, which is not copied`
    const copy = image('scratch').copy('/q/', '/cp/', { from: base })
    assert.equal(await paths(await build(copy, { onProgress })), ['cp/', 'cp/f', 'cp/r/'])
    assert.equal(notices, [left('/q/p'), left('/q/r/p')])
    notices.length = 0
    assert.equal(await paths(await build(image('scratch').copy('/q/', '/cp/', { from: base, exclude: ['**/p'] }), { onProgress })), [
      'cp/',
      'cp/f',
      'cp/r/',
    ])
    assert.equal(notices, [])
    assert.equal(await paths(await build(image('scratch').copy('/q/*', '/', { from: base }), { onProgress })), ['f'])
    assert.is(notices.length, 2)
    const named = await failure(build(image('scratch').copy('/q/p', '/', { from: base })))
    assert.equal([named.code, named.details?.path], ['context_invalid', 'q/p'])
    assert.match(named.message, '"q/p" of the image copied from is a fifo')
    notices.length = 0
    const context = {
      tar: await tar([
        { path: 'd', type: 'directory' },
        { path: 'd/p', type: 'fifo' },
      ]),
    }
    assert.equal(await paths(await build(image('scratch').copy('d', '/e'), { context, onProgress })), ['e/'])
    assert.equal(notices, ['/d/p: a fifo, which is not copied'])
    assert.match((await failure(build(image('scratch').copy('d/p', '/'), { context }))).message, 'of the build context is a fifo')
  }))

test.run()
