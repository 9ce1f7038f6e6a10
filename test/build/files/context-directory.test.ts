import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
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

test('a socket in a directory is left out, one that is named is refused, and so is a fifo wherever it is', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'sub/file': '' })
  const server = createServer().listen(join(directory.path, 'sub/socket'))
  await new Promise((resolve) => server.once('listening', resolve))
  const source = new ContextDirectory(directory.path)
  assert.equal(shapes(await source.find('sub')), [['sub', 'directory ', 'file file']])
  await refuses(() => source.find('sub/socket'), 'context_invalid')
  server.close()
  execFileSync('mkfifo', [join(directory.path, 'sub/fifo')])
  await refuses(() => source.find('.'), 'context_invalid')
})

test("a link that begins with / starts at the context's root", async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { 'src/file': 'here', abs: '->/src/file', dir: '->/src', 'deep/two': '->/abs', gone: '->/src/none' })
  const source = new ContextDirectory(directory.path)
  for (const path of ['abs', 'dir/file', 'deep/two']) assert.is(await text(source, (await source.find(path))[0]?.entries[0]), 'here')
  await refuses(() => source.find('gone'), 'path_escapes')
})

test('a context that changes while it is read is said to have changed, whatever the kernel says of it', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { file: 'plain', other: 'plain', 'dir/file': 'plain' })
  await using source = new ContextDirectory(directory.path)
  const [, dir, below, file] = (await source.find('.'))[0]?.entries ?? []
  const says = async (entry: SourceEntry | undefined): Promise<void> => {
    for (const read of [() => text(source, entry), async () => entry && source.readNow(entry)]) {
      const error = await read().then(
        () => undefined,
        (each: StrakeError) => each,
      )
      assert.is(error?.code, 'context_invalid')
      assert.ok(entry?.origin.startsWith(String(error?.details?.path)))
      assert.match(error?.message ?? '', 'changed while it was read')
    }
  }
  rmSync(join(directory.path, 'file'))
  await says(file)
  symlinkSync('other', join(directory.path, 'file'))
  await says(file)
  rmSync(join(directory.path, 'dir'), { recursive: true })
  await says(below)
  symlinkSync('.', join(directory.path, 'dir'))
  await says(below)
  assert.is(dir?.kind, 'directory')
})

test('files and links that change places while they are looked up give an answer or a StrakeError', async () => {
  using directory = temporaryDirectory('context')
  layOut(directory.path, { a: 'x', b: '->a' })
  const swap = `for (const end = Date.now() + 700; Date.now() < end;) { fs.rmSync('a'); fs.symlinkSync('b', 'a'); fs.rmSync('a'); fs.writeFileSync('a', 'x') }`
  const child = spawn(process.execPath, ['-e', `const fs = require('fs'); ${swap}`], { cwd: directory.path })
  let isRunning = true
  const ended = once(child, 'exit').then(() => {
    isRunning = false
  })
  const source = new ContextDirectory(directory.path)
  while (isRunning) {
    await source.find('b').catch((error: StrakeError) => assert.match(error.code, /^(context_invalid|path_escapes)$/))
    await new Promise(setImmediate)
  }
  await ended
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
