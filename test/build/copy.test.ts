import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { carryOutCopy, planCopy, requestOf } from '../../lib/build/copy.ts'
import { upperEntries } from '../../lib/build/file-layer.ts'
import { ContextDirectory } from '../../lib/build/files/context-directory.ts'
import { MemoryFiles } from '../../lib/build/files/memory.ts'
import { lookUpOwner } from '../../lib/build/files/owner.ts'
import { RootPaths } from '../../lib/build/files/root-paths.ts'
import { Upper, type UpperOptions } from '../../lib/build/files/upper.ts'
import { type CopyOptions, copyStep } from '../../lib/build/steps/copy.ts'
import type { StrakeError } from '../../lib/errors/error.ts'
import { packLayer } from '../../lib/layers/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { applyLayer } from './apply.ts'
import { DirectoryAgent } from './directory-agent.ts'

function layOut(root: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(root, { recursive: true })
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path))
    else if (!path.endsWith('/')) writeFileSync(join(root, path), content)
    else mkdirSync(join(root, path), { recursive: true })
  }
}

interface Case {
  readonly context?: Readonly<Record<string, string>>
  readonly image?: Readonly<Record<string, string>>
  readonly source: Parameters<typeof copyStep>[0]
  readonly destination: string
  readonly options?: CopyOptions
  readonly workdir?: string
  readonly upper?: Partial<UpperOptions>
  /** SOURCE_DATE_EPOCH. */
  readonly clampTime?: number
}

/** Carries a copy out in two plain directories, and gives what is in the image then. */
async function copy(
  directory: string,
  wish: Case,
): Promise<{ readonly root: string; readonly tree: readonly string[]; readonly paths: readonly string[] }> {
  const root = join(directory, 'image')
  layOut(root, wish.image ?? {})
  layOut(join(directory, 'context'), wish.context ?? {})
  const step = copyStep(wish.source, wish.destination, wish.options)
  const source = step.source.kind === 'memory' ? new MemoryFiles(step.source.files) : new ContextDirectory(join(directory, 'context'))
  const upper = new Upper(new RootPaths(new DirectoryAgent(root)), { canChown: true, epoch: 1000, ...wish.upper, chmod: step.chmod })
  await carryOutCopy(step, await planCopy(requestOf(step), source), upper, wish.workdir ?? '/')
  await applyLayer(packLayer(upperEntries(upper, source), { clampTime: wish.clampTime }), root)
  return { root, tree: list(root, ''), paths: upper.entries().map(({ path }) => path) }
}

function list(root: string, path: string): string[] {
  return readdirSync(join(root, path), { withFileTypes: true })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => {
      const child = join(path, entry.name)
      return entry.isDirectory() ? [`${child}/`, ...list(root, child)] : [child]
    })
}

const destinations: [name: string, wish: Case, tree: readonly string[]][] = [
  ['a file becomes a destination that is not there', { context: { f: 'x' }, source: 'f', destination: '/a/b' }, ['a/', 'a/b']],
  ['a file goes into a destination that ends in /', { context: { f: 'x' }, source: 'f', destination: '/a/b/' }, ['a/', 'a/b/', 'a/b/f']],
  [
    'a file goes into a directory that is there',
    { context: { f: 'x' }, image: { 'a/': '' }, source: 'f', destination: '/a' },
    ['a/', 'a/f'],
  ],
  [
    "a directory's content is copied, not the directory",
    { context: { 'd/f': 'x', 'd/e/g': 'y' }, source: 'd', destination: '/a' },
    ['a/', 'a/e/', 'a/e/g', 'a/f'],
  ],
  ['the same with a trailing slash', { context: { 'd/f': 'x' }, source: 'd/', destination: '/a/' }, ['a/', 'a/f']],
  ['the whole context', { context: { f: 'x' }, source: '.', destination: '.', workdir: '/w' }, ['w/', 'w/f']],
  [
    'a relative destination starts at the working directory',
    { context: { f: 'x' }, source: 'f', destination: 'b', workdir: '/w/x' },
    ['w/', 'w/x/', 'w/x/b'],
  ],
  [
    'several paths go into one directory',
    { context: { f: 'x', 'd/g': 'y' }, source: ['f', 'd'], destination: '/a/' },
    ['a/', 'a/f', 'a/g'],
  ],
  ['a pattern of one match is like the match', { context: { f1: 'x' }, source: 'f?', destination: '/a' }, ['a']],
  [
    'files from memory make their directories',
    { source: { 'etc/motd': 'hello', 'bin/x': { content: 'y', mode: 0o755 } }, destination: '/' },
    ['bin/', 'bin/x', 'etc/', 'etc/motd'],
  ],
  ['.. of a destination stays in the root', { context: { f: 'x' }, source: 'f', destination: '../../a' }, ['a']],
]

for (const [name, wish, tree] of destinations) {
  test(name, async () => {
    using directory = temporaryDirectory('copy')
    assert.equal((await copy(directory.path, wish)).tree, tree)
  })
}

test('a link in the image that leads to a directory is followed: /bin may be usr/bin', async () => {
  using directory = temporaryDirectory('copy')
  const { root, tree } = await copy(directory.path, {
    image: { 'usr/bin/': '', bin: '->usr/bin' },
    source: { 'bin/x': 'y' },
    destination: '/',
  })
  assert.equal(tree, ['bin', 'usr/', 'usr/bin/', 'usr/bin/x'])
  assert.is(readlinkSync(join(root, 'bin')), 'usr/bin')
})

test('B02: links in the image lead to places inside the image only', async () => {
  for (const target of ['/outside', '../../outside', '/../outside']) {
    using directory = temporaryDirectory('copy')
    layOut(join(directory.path, 'outside'), { f: 'untouched' })
    const { root } = await copy(directory.path, { image: { link: `->${target}` }, context: { f: 'x' }, source: 'f', destination: '/link/' })
    assert.is(readFileSync(join(root, 'outside/f'), 'utf8'), 'x')
    assert.is(readFileSync(join(directory.path, 'outside/f'), 'utf8'), 'untouched')
  }
})

test('B02: a file or link at the very place is replaced, not written through', async () => {
  using directory = temporaryDirectory('copy')
  layOut(directory.path, { outside: 'untouched' })
  const { root } = await copy(directory.path, {
    image: { 'a/f': `->${join(directory.path, 'outside')}` },
    context: { 'd/f': 'x' },
    source: 'd',
    destination: '/a',
  })
  assert.is(readFileSync(join(root, 'a/f'), 'utf8'), 'x')
  assert.is(readFileSync(join(directory.path, 'outside'), 'utf8'), 'untouched')
})

const conflicts: [name: string, wish: Case, code: string][] = [
  ['a file over a directory', { image: { 'a/f/': '' }, context: { 'd/f': 'x' }, source: 'd', destination: '/a' }, 'build_failed'],
  ['a directory over a file', { image: { a: 'x' }, context: { 'd/f': 'x' }, source: 'd', destination: '/a' }, 'build_failed'],
  ['a file under a file', { image: { a: 'x' }, context: { f: 'x' }, source: 'f', destination: '/a/b' }, 'build_failed'],
  ['a directory under a file', { image: { a: 'x' }, context: { f: 'x' }, source: 'f', destination: '/a/b/' }, 'build_failed'],
  [
    'the content of a directory far under a file',
    { image: { 'a/b': 'x' }, context: { 'd/f': 'x' }, source: 'd', destination: '/a/b/c/e' },
    'build_failed',
  ],
  ['a directory under a link to a file', { image: { a: 'x', l: '->/a' }, source: { f: 'x' }, destination: '/l/b/' }, 'build_failed'],
  ['a directory under a file of the same step', { source: { a: '', 'a/b/c': '' }, destination: '/' }, 'build_failed'],
  [
    'a file under what was a link to a directory when the step began',
    { image: { l: '->e', 'e/': '' }, context: { 'a/l/x': '', 'b/l': '', 'c/l/y': '' }, source: ['a', 'b', 'c'], destination: '/' },
    'build_failed',
  ],
  [
    'a kept directory under a file',
    { image: { a: 'x' }, context: { 'a/b/c/f': '' }, source: 'a/b/c/f', destination: '/', options: { parents: true } },
    'build_failed',
  ],
  ['a loop of links', { image: { a: '->b', b: '->a' }, context: { f: 'x' }, source: 'f', destination: '/a/b' }, 'invalid_argument'],
  ['several matches into what is no directory', { context: { f1: '', f2: '' }, source: 'f*', destination: '/a' }, 'invalid_argument'],
  ['a name that means a removal in a layer', { context: { 'd/.wh.f': '' }, source: 'd', destination: '/a' }, 'context_invalid'],
  ['the same as a destination', { context: { f: '' }, source: 'f', destination: '/a/.wh.b/' }, 'context_invalid'],
  ['a path that is not there', { context: { f: '' }, source: 'g', destination: '/a' }, 'context_invalid'],
]

for (const [name, wish, code] of conflicts) {
  test(`${name} is refused with ${code}`, async () => {
    using directory = temporaryDirectory('copy')
    try {
      await copy(directory.path, wish)
    } catch (error) {
      assert.is((error as StrakeError).code, code, String(error))
      return
    }
    assert.unreachable('it was done')
  })
}

test('modes and times come from the source, chmod sets all modes, a late time is set back to SOURCE_DATE_EPOCH', async () => {
  using directory = temporaryDirectory('copy')
  layOut(join(directory.path, 'context'), { 'd/f': 'x' })
  utimesSync(join(directory.path, 'context/d/f'), 5000, 5000)
  const { root } = await copy(directory.path, { source: 'd', destination: '/a' })
  assert.is(statSync(join(root, 'a/f')).mtimeMs, 5_000_000)
  const other = await copy(join(directory.path), {
    source: 'd',
    destination: '/b/c',
    options: { chmod: 0o750 },
    upper: { epoch: 2000 },
    clampTime: 2000,
  })
  assert.equal([statSync(join(other.root, 'b/c/f')).mode & 0o7777, statSync(join(other.root, 'b/c/f')).mtimeMs], [0o750, 2_000_000])
  assert.is(statSync(join(other.root, 'b')).mtimeMs, 2_000_000)
})

test('a directory of the image that gains a file keeps its time, so the same copy makes the same layer', async () => {
  using directory = temporaryDirectory('copy')
  layOut(join(directory.path, 'image'), { 'etc/': '' })
  utimesSync(join(directory.path, 'image/etc'), 7000, 7000)
  const { root } = await copy(directory.path, { source: { 'etc/motd': 'hello' }, destination: '/' })
  assert.is(statSync(join(root, 'etc')).mtimeMs, 7_000_000)
})

test('a file that is too large to be read at once is there, every byte of it', async () => {
  using directory = temporaryDirectory('copy')
  const content = Buffer.alloc(3_000_001, 'strake')
  mkdirSync(join(directory.path, 'context'))
  writeFileSync(join(directory.path, 'context/big'), content)
  for (const source of ['big', { big: content }]) {
    const { root } = await copy(directory.path, { source, destination: '/' })
    assert.ok(readFileSync(join(root, 'big')).equals(content))
  }
})

function replace(path: string, make: () => void): void {
  rmSync(path)
  make()
}

test('a file that changes after it was looked at makes no layer: its bytes, its size, or the file itself', async () => {
  const changes: [name: string, (path: string) => void][] = [
    ['its bytes', (path) => writeFileSync(path, 'after!')],
    ['shorter', (path) => writeFileSync(path, 'aft')],
    ['longer', (path) => writeFileSync(path, 'before and after')],
    ['empty', (path) => writeFileSync(path, '')],
    ['gone', (path) => rmSync(path)],
    ['a directory', (path) => replace(path, () => mkdirSync(path))],
    ['a link', (path) => replace(path, () => symlinkSync('g', path))],
  ]
  for (const size of [6, 300_000]) {
    for (const [name, change] of changes) {
      using directory = temporaryDirectory('copy')
      layOut(join(directory.path, 'context'), { f: 'before'.padEnd(size, '.'), g: 'before' })
      layOut(join(directory.path, 'image'), {})
      const step = copyStep('f', '/')
      const source = new ContextDirectory(join(directory.path, 'context'))
      const planned = await planCopy(requestOf(step), source)
      change(join(directory.path, 'context/f'))
      const upper = new Upper(new RootPaths(new DirectoryAgent(join(directory.path, 'image'))), { canChown: false, epoch: 0 })
      await carryOutCopy(step, planned, upper, '/')
      const layer = join(directory.path, 'layer')
      mkdirSync(layer)
      const error = await applyLayer(packLayer(upperEntries(upper, source)), layer).catch((thrown: StrakeError) => thrown)
      assert.is(error?.code, 'context_invalid', `${name}, ${size}: ${error}`)
    }
  }
})

test('a layer has what is copied and the directories on the way, each once, in the order of a tree', async () => {
  using directory = temporaryDirectory('copy')
  const { paths } = await copy(directory.path, {
    image: { 'srv/old/': '', 'srv/old.txt': 'x', 'etc/passwd': 'x', 'usr/lib/': '' },
    context: { 'd/old/f': 'x', 'd/old.txt': 'y', 'd/new/g': 'z', 'd/new-er': '' },
    source: ['d', 'd/old/f'],
    destination: '/srv/',
  })
  assert.equal(paths, ['/srv', '/srv/f', '/srv/new', '/srv/new/g', '/srv/new-er', '/srv/old', '/srv/old/f', '/srv/old.txt'])
})

test('of a directory whose content is copied nothing counts but that: no mode, and it is no other copy with another one', async () => {
  using directory = temporaryDirectory('copy')
  layOut(join(directory.path, 'context'), { 'private/sub/f': 'x', 'empty/': '' })
  for (const [path, mode] of Object.entries({ private: 0o700, 'private/sub': 0o710, empty: 0o700 }))
    chmodSync(join(directory.path, 'context', path), mode)
  const modes = async (wish: Omit<Case, 'context' | 'image'>, ...paths: string[]): Promise<readonly number[]> => {
    rmSync(join(directory.path, 'image'), { recursive: true, force: true })
    const { root } = await copy(directory.path, wish)
    return paths.map((path) => statSync(join(root, path)).mode & 0o7777)
  }
  assert.equal(await modes({ source: 'private', destination: '/n' }, 'n', 'n/sub'), [0o755, 0o710])
  assert.equal(await modes({ source: ['private', 'empty'], destination: '/n/m/' }, 'n', 'n/m', 'n/m/sub'), [0o755, 0o755, 0o710])
  assert.equal(await modes({ source: 'empty', destination: '/n' }, 'n'), [0o755])
  assert.equal(await modes({ source: 'private', destination: '/n', options: { chmod: 0o700 } }, 'n', 'n/sub'), [0o755, 0o700])
  // Directories that are kept are themselves copied, as far as they are not there.
  const kept = { source: 'private/sub/f', destination: '/n', options: { parents: true } }
  assert.equal(await modes(kept, 'n', 'n/private', 'n/private/sub'), [0o755, 0o700, 0o710])
  assert.equal(await modes({ ...kept, source: 'private/./sub/f' }, 'n', 'n/sub'), [0o755, 0o710])
  const content = async (): Promise<string> =>
    (await planCopy(requestOf(copyStep('private', '/')), new ContextDirectory(join(directory.path, 'context')))).content
  const before = await content()
  chmodSync(join(directory.path, 'context/private'), 0o755)
  assert.is(await content(), before)
})

test('a directory of the image stays as it is when directories of a path that is kept have its name', async () => {
  using directory = temporaryDirectory('copy')
  layOut(join(directory.path, 'image'), { 'etc/': '' })
  chmodSync(join(directory.path, 'image/etc'), 0o751)
  const { root } = await copy(directory.path, {
    context: { 'etc/app/f': 'x' },
    source: 'etc/app/f',
    destination: '/',
    options: { parents: true },
  })
  assert.is(statSync(join(root, 'etc')).mode & 0o7777, 0o751)
})

test('the key of a copy follows contents, names and modes, and not times', async () => {
  using directory = temporaryDirectory('copy')
  const context = join(directory.path, 'context')
  layOut(context, { 'd/f': 'x' })
  const key = async () => (await planCopy(requestOf(copyStep('d', '/')), new ContextDirectory(context))).content
  const first = await key()
  utimesSync(join(context, 'd/f'), 1, 1)
  assert.is(await key(), first)
  writeFileSync(join(context, 'd/f'), 'y')
  const second = await key()
  assert.is.not(second, first)
  layOut(context, { 'd/g': '' })
  assert.is.not(await key(), second)
})

test("chown's names are those of the image", async () => {
  using directory = temporaryDirectory('copy')
  layOut(directory.path, {
    'etc/passwd': 'root:x:0:0::/:\nwww:x:33:34::/:\n',
    'real-group': 'staff:x:50:\n',
    'etc/group': '->../real-group',
  })
  const paths = () => new RootPaths(new DirectoryAgent(directory.path))
  const cases: [string, number, number][] = [
    ['www', 33, 34],
    ['www:staff', 33, 50],
    ['1000', 1000, 1000],
    ['0:7', 0, 7],
    ['5:staff', 5, 50],
  ]
  for (const [chown, uid, gid] of cases) assert.equal(await lookUpOwner(paths(), chown), { uid, gid }, chown)
  for (const chown of ['nobody', 'www:none']) {
    assert.is(((await lookUpOwner(paths(), chown).catch((error: StrakeError) => error)) as StrakeError).code, 'user_not_found', chown)
  }
})

test.run()
