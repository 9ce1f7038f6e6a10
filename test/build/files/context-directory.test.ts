import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { ContextDirectory } from '../../../lib/build/files/context-directory.ts'
import type { SourceEntry, SourceMatch } from '../../../lib/build/files/entry.ts'
import type { StrakeError } from '../../../lib/errors/error.ts'
import { isRoot } from '../../support/machine.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

function layOut(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path))
    else writeFileSync(join(root, path), content)
  }
}

const shapes = (matches: readonly SourceMatch[]) =>
  matches.map(({ name, entries }) => [name, ...entries.map(({ kind, path }) => `${kind} ${path}`)])

async function text(source: ContextDirectory, entry: SourceEntry | undefined): Promise<string> {
  assert.ok(entry)
  const pieces: Buffer[] = []
  for await (const piece of source.read(entry)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

async function refuses(work: () => Promise<unknown>, code: string): Promise<void> {
  try {
    await work()
  } catch (error) {
    assert.is((error as StrakeError).code, code, (error as Error).message)
    return
  }
  assert.unreachable(`nothing was refused with ${code}`)
}

test('a directory is found with all below it, parents first, sorted by bytes', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'src/b.js': 'b', 'src/a/c.js': 'c', 'src/Z': 'z', 'src/link': '->a/c.js' })
  const source = new ContextDirectory(directory.path)
  assert.equal(shapes(await source.find('src')), [['src', 'directory ', 'file Z', 'directory a', 'file a/c.js', 'file b.js', 'link link']])
})

test('names that are not UTF-8 are kept byte for byte', async () => {
  using directory = temporaryDirectory('context')
  writeFileSync(Buffer.concat([Buffer.from(`${directory.path}/`), Buffer.from([0x66, 0xff])]), 'odd')
  const source = new ContextDirectory(directory.path)
  const [match] = await source.find('.')
  assert.is(match?.entries[1]?.path, 'f\xff')
  assert.is(await text(source, match?.entries[1]), 'odd')
})

test('a pattern finds what path.Match of Go would, in any part of a path', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'a/x.js': '', 'a/y.ts': '', 'b/x.js': '', 'c.js': '' })
  const source = new ContextDirectory(directory.path)
  assert.equal(shapes(await source.find('*/*.js')), [
    ['x.js', 'file '],
    ['x.js', 'file '],
  ])
  assert.equal(shapes(await source.find('[ab]/y.??')), [['y.ts', 'file ']])
  assert.equal(await source.find('*.c'), [])
  assert.equal(await source.find('nothing'), [])
})

test('a link that is named is followed inside the context; one below a directory stays a link', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'real/file': 'here', link: '->real', 'deep/up': '->../real/file' })
  const source = new ContextDirectory(directory.path)
  assert.equal(shapes(await source.find('link')), [['link', 'directory ', 'file file']])
  const [match] = await source.find('link/file')
  assert.is(await text(source, match?.entries[0]), 'here')
  const [up] = await source.find('deep/up')
  assert.is(await text(source, up?.entries[0]), 'here')
  assert.is((await source.find('deep'))[0]?.entries[1]?.target, '../real/file')
})

test('B01: a link that leads out of the context is refused when it is named, and copied as a link when it is not', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, {
    outside: 'secret',
    'context/absolute': '->/etc/passwd',
    'context/up': '->../outside',
    'context/dir': '->..',
    'context/loop': '->loop',
  })
  const source = new ContextDirectory(join(directory.path, 'context'))
  for (const path of ['absolute', 'up', 'dir', 'dir/outside']) await refuses(() => source.find(path), 'path_escapes')
  await refuses(() => source.find('loop'), 'context_invalid')
  assert.equal(shapes(await source.find('.')), [['', 'directory ', 'link absolute', 'link dir', 'link loop', 'link up']])
})

test('a link that a pattern only passes on its way down is no name that anybody gave', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, {
    'src/sub/a.txt': '',
    'src/out': '->/etc/passwd',
    'src/up': '->../../..',
    'src/loop': '->loop',
    'src/in': '->sub',
  })
  const source = new ContextDirectory(directory.path)
  assert.equal(
    shapes(await source.find('src/*/a.txt')).map(([name]) => name),
    ['a.txt', 'a.txt'],
  )
  await refuses(() => source.find('src/out'), 'path_escapes')
  await refuses(() => source.find('src/o*'), 'path_escapes')
})

test('B01: a link swapped in for a file or directory while the context is read leads nowhere', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'outside/file': 'secret', 'context/file': 'plain', 'context/dir/file': 'plain' })
  await using source = new ContextDirectory(join(directory.path, 'context'))
  const reads = (entry: SourceEntry | undefined) => [() => text(source, entry), async () => entry && source.readNow(entry)]
  const [file] = await source.find('file')
  const [dir] = await source.find('dir')
  rmSync(join(directory.path, 'context/file'))
  symlinkSync(join(directory.path, 'outside/file'), join(directory.path, 'context/file'))
  for (const read of reads(file?.entries[0])) await refuses(read, 'path_escapes')
  renameSync(join(directory.path, 'context/dir'), join(directory.path, 'context/moved'))
  symlinkSync(join(directory.path, 'outside'), join(directory.path, 'context/dir'))
  for (const read of reads(dir?.entries[1])) await refuses(read, 'path_escapes')
})

test('B01: a directory that is a link by now, in which files were read, leads where it did', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'outside/a': 'secret', 'outside/b': 'secret', 'context/dir/a': 'plain', 'context/dir/b': 'plain' })
  await using source = new ContextDirectory(join(directory.path, 'context'))
  const [, a, b] = (await source.find('dir'))[0]?.entries ?? []
  assert.is(await text(source, a), 'plain')
  renameSync(join(directory.path, 'context/dir'), join(directory.path, 'context/moved'))
  symlinkSync(join(directory.path, 'outside'), join(directory.path, 'context/dir'))
  assert.is(await text(source, b), 'plain')
})

test('what is neither file, directory nor link is refused by name', async () => {
  using directory = temporaryDirectory('context')
  const server = createServer().listen(join(directory.path, 'socket'))
  await new Promise((resolve) => server.once('listening', resolve))
  await refuses(() => new ContextDirectory(directory.path).find('.'), 'context_invalid')
  server.close()
})

test('a file that this user may not read is refused by name', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { closed: 'x' })
  chmodSync(join(directory.path, 'closed'), 0)
  const source = new ContextDirectory(directory.path)
  const [match] = await source.find('closed')
  // Root may read everything: for it the promise is that mode 0 is no obstacle.
  if (isRoot) assert.is(await text(source, match?.entries[0]), 'x')
  else await refuses(() => text(source, match?.entries[0]), 'context_invalid')
})

test('a context that is missing or a file is refused', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { file: '' })
  for (const name of ['missing', 'file']) await refuses(async () => new ContextDirectory(join(directory.path, name)), 'context_invalid')
})

test('the context may be reached through a link itself', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'real/file': 'here', link: '->real' })
  const source = new ContextDirectory(join(directory.path, 'link'))
  const [match] = await source.find('file')
  assert.is(await text(source, match?.entries[0]), 'here')
})

test('modes and whole seconds are kept; hard links are files', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { file: 'x' })
  chmodSync(join(directory.path, 'file'), 0o4751)
  utimesSync(join(directory.path, 'file'), 1_000_000.7, 1_000_000.7)
  linkSync(join(directory.path, 'file'), join(directory.path, 'other'))
  const [match] = await new ContextDirectory(directory.path).find('.')
  const [, file, other] = match?.entries ?? []
  assert.equal([file?.mode, file?.mtime, file?.size, other?.kind], [0o4751, 1_000_000, 1, 'file'])
})

test.run()
