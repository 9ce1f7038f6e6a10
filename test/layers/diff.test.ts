import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { type DiffOptions, diffEntries, diffLayer, type PackOptions, walkTar } from '../../lib/layers/index.ts'
import { flags, layout, type Op } from '../../lib/sys/index.ts'
import { type Agent, confined } from '../../lib/zygote/index.ts'
import { assertKeepsNoFds } from '../support/fds.ts'
import { suite } from '../support/uvu.ts'
import { dir, file, link, raw, symlink, tar } from './tar-maker.ts'
import { readTree } from './tree-reader.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('diff')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

const { O_WRONLY, O_CREAT } = flags.O
const write = (path: string, text = '', mode = 0o644): Op => ({
  op: 'write',
  path,
  flags: O_WRONLY | O_CREAT,
  mode,
  data: Buffer.from(text),
})
const mkdir = (path: string, mode = 0o755): Op => ({ op: 'mkdir', path, mode })
const times = (path: string, sec = 0, nsec = 0): Op => ({
  op: 'setTimes',
  path,
  atimeSec: sec,
  atimeNsec: nsec,
  mtimeSec: sec,
  mtimeNsec: nsec,
})

/** The entries of a diff, a line each. */
async function entriesOf(agent: Agent, options: DiffOptions & PackOptions = {}): Promise<string[]> {
  const { descriptor } = await diffLayer(shop.store, agent, { ownership: shop.ownership, ...options })
  const lines: string[] = []
  for await (const entry of walkTar(await shop.store.blobs.stream(descriptor.digest))) {
    const content: Buffer[] = []
    for await (const { bytes } of entry.pieces()) content.push(Buffer.from(bytes))
    const words = [entry.path.toString('latin1'), entry.type]
    if (entry.linkPath.length > 0) words.push(`-> ${entry.linkPath.toString()}`)
    for (const [name, value] of entry.xattrs) words.push(`${name}=${value.toString('latin1')}`)
    if (content.length > 0) words.push(JSON.stringify(Buffer.concat(content).toString('latin1').slice(0, 50)))
    lines.push(words.join(' '))
  }
  return lines
}

test('entries are sorted by their bytes, directories before what is in them', async () => {
  await using agent = await shop.scratch()
  await agent.run([
    mkdir('/b'),
    write('/b/z', 'x'),
    write('/b.c'),
    mkdir('/B'),
    write('/a'),
    { op: 'write', path: Buffer.from('/\xff', 'latin1'), flags: O_WRONLY | O_CREAT, mode: 0o644, data: Buffer.from('y') },
  ])
  assert.equal(await entriesOf(agent), ['B/ directory', 'a file', 'b/ directory', 'b/z file "x"', 'b.c file', '\xff file "y"'])
})

test('packing the same tree twice gives the same bytes, made in another order too', async () => {
  await using one = await shop.scratch()
  await using other = await shop.scratch()
  const ops = [write('/a', 'x'), write('/b', 'y'), mkdir('/d'), write('/d/e', 'z')]
  const settle = ['/a', '/b', '/d/e', '/d'].map((path) => times(path, 1000, 5))
  await one.run([...ops, ...settle])
  await other.run([ops[2] as Op, ops[3] as Op, ops[1] as Op, ops[0] as Op, ...settle])
  const first = await diffLayer(shop.store, one)
  assert.is((await diffLayer(shop.store, one)).diffId, first.diffId)
  assert.is((await diffLayer(shop.store, other)).diffId, first.diffId)
  assert.is(first.descriptor.digest, first.diffId)
  assert.is(await shop.store.blobs.size(first.descriptor.digest), first.size)
})

test("overlayfs' whiteouts and opaque marks become names, its own xattrs are never shipped", async () => {
  await using agent = await shop.scratch()
  await agent.run([
    mkdir('/d'),
    { op: 'setXattr', path: '/d', name: 'user.overlay.opaque', value: Buffer.from('y') },
    { op: 'setXattr', path: '/d', name: 'user.k', value: Buffer.from('v') },
    { op: 'setXattr', path: '/d', name: 'user.overlay.impure', value: Buffer.from('y') },
    write('/d/f', 'x'),
    { op: 'mknod', path: '/d/gone', mode: flags.S.S_IFCHR },
    { op: 'mknod', path: '/w', mode: flags.S.S_IFCHR },
    write('/n'),
    { op: 'setXattr', path: '/n', name: 'user.overlay.origin', value: Buffer.from('x') },
  ])
  assert.equal(await entriesOf(agent), [
    'd/ directory user.k=v',
    'd/.wh..wh..opq file',
    'd/f file "x"',
    'd/.wh.gone file',
    'n file',
    '.wh.w file',
  ])
})

test('what the kernel writes into an upper is what the layer says, and it unpacks to the same upper', async () => {
  const { chain } = await shop.unpack([
    tar(
      dir('keep', 0o711),
      file('keep/a', 'a'),
      file('keep/b', 'b'),
      dir('gone'),
      file('gone/x'),
      dir('anew'),
      file('anew/old'),
      file('f', 'old'),
      symlink('l', 'f'),
      link('h', 'f'),
    ),
  ])
  const lower = shop.snapshots.agentPath(chain[0] as never)
  const path = shop.directory()
  const work = shop.directory()
  await using upper = await shop.agent(path)
  {
    await using merged = await confined(shop.zygote, [
      {
        op: 'mount',
        source: 'overlay',
        target: layout.root,
        type: 'overlay',
        data: `lowerdir=${lower},upperdir=${path},workdir=${work},userxattr,volatile`,
      },
    ])
    await merged.run([
      { op: 'unlink', path: '/keep/a' },
      { op: 'removeTree', path: '/gone' },
      { op: 'removeTree', path: '/anew' },
      mkdir('/anew'),
      write('/anew/new', 'n'),
      { op: 'write', path: '/f', flags: O_WRONLY | flags.O.O_APPEND, data: Buffer.from('er') },
      { op: 'unlink', path: '/l' },
      write('/l', 'now a file'),
    ])
  }
  const lines = await entriesOf(upper)
  assert.equal(lines, [
    'anew/ directory',
    'anew/.wh..wh..opq file',
    'anew/new file "n"',
    'f file "older"',
    '.wh.gone file',
    'keep/ directory',
    'keep/.wh.a file',
    'l file "now a file"',
  ])
  const before = await readTree(upper)
  const layer = await diffLayer(shop.store, upper, { ownership: shop.ownership })
  const bytes = await shop.store.blobs.read(layer.descriptor.digest)
  const lowerBytes = await shop.store.blobs.read(chain[0] as never)
  const { tree } = await shop.unpack([lowerBytes, bytes])
  const { '/': _, ...rest } = before
  const { '/': __, ...again } = tree
  // The kernel gives f, which had two names below, one of them now.
  assert.equal(withoutMarks(again), withoutMarks(rest))
})

function withoutMarks(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree)
      .map(([path, line]): [string, string] => [path, line.replace(/ user\.overlay\.\w+=[0-9a-f]*/g, '')])
      .sort(),
  )
}

test('hard links within the tree are links, one to something outside it is a file', async () => {
  await using agent = await shop.scratch()
  await agent.run([write('/b', 'x'), { op: 'link', from: '/b', path: '/a' }, mkdir('/d'), { op: 'link', from: '/b', path: '/d/c' }])
  assert.equal(await entriesOf(agent), ['a file "x"', 'b link -> a', 'd/ directory', 'd/c link -> a'])
  assert.equal(await entriesOf(agent, { exclude: ['a', '/d'] }), ['b file "x"'])
})

test('excluded paths and all under them are left out', async () => {
  await using agent = await shop.scratch()
  await agent.run([mkdir('/proc'), write('/proc/x'), mkdir('/etc'), write('/etc/hosts'), write('/etc/mine')])
  assert.equal(await entriesOf(agent, { exclude: ['/proc', 'etc/hosts'] }), ['etc/ directory', 'etc/mine file'])
})

test('fifos, odd links and empty trees are packed; sockets are left out', async () => {
  await using agent = await shop.scratch()
  assert.equal(await entriesOf(agent), [])
  await agent.run([
    { op: 'mknod', path: '/p', mode: flags.S.S_IFIFO | 0o600 },
    { op: 'mknod', path: '/s', mode: flags.S.S_IFSOCK | 0o600 },
    { op: 'symlink', target: Buffer.from('\xff\n', 'latin1'), path: '/l' },
  ])
  assert.equal(await entriesOf(agent), [`l symlink -> ${Buffer.from('\xff\n', 'latin1').toString()}`, 'p fifo'])
})

test('more files than fit one request, and large ones, come whole; no fd is left open', async () => {
  await using agent = await shop.scratch()
  const count = 150
  await agent.run([
    ...Array.from({ length: count }, (_, each) => write(`/f${String(each).padStart(3, '0')}`, `${each}`.repeat(each + 1))),
    mkdir('/d'),
  ])
  for (let each = 0; each < 40; each += 1) await agent.run([mkdir(`/d/${each}`), write(`/d/${each}/big`, 'y'.repeat(200_000))])
  const { descriptor } = await diffLayer(shop.store, agent)
  await assertKeepsNoFds(() => diffLayer(shop.store, agent), 3)
  let bytes = 0
  const names: string[] = []
  for await (const entry of walkTar(await shop.store.blobs.stream(descriptor.digest))) {
    names.push(entry.path.toString())
    for await (const piece of entry.pieces()) bytes += piece.bytes.length
  }
  assert.is(names.length, count + 1 + 80)
  assert.is(
    bytes,
    Array.from({ length: count }, (_, each) => `${each}`.length * (each + 1)).reduce((sum, each) => sum + each, 0) + 40 * 200_000,
  )
})

test('a reader that stops half-way leaves no fd open', async () => {
  await using agent = await shop.scratch()
  await agent.run(Array.from({ length: 60 }, (_, each) => write(`/f${each}`, 'x')))
  await assertKeepsNoFds(async () => {
    let count = 0
    for await (const entry of diffEntries(agent)) {
      count += 1
      if (count === 5) for await (const _ of entry.content as AsyncIterable<Uint8Array>) break
      if (count === 7) break
    }
    assert.is(count, 7)
  })
})

test('an aborted diff ends, and stores nothing', async () => {
  await using agent = await shop.scratch()
  await agent.run([write('/f', 'x')])
  const code = await diffLayer(shop.store, agent, { signal: AbortSignal.abort() }).then(
    () => 'none',
    (error: { code: string }) => error.code,
  )
  assert.is(code, 'aborted')
})

const trees: readonly [string, readonly Uint8Array[]][] = [
  [
    'every kind of file',
    [
      tar(
        { ...dir('a', 0o2750), mtime: 100, gid: 3 },
        { ...file('a/f', 'hello', { mode: 0o6604, uid: 1 }), mtime: 200 },
        link('a/h', 'a/f'),
        symlink('a/s', '../x'),
        { name: 'p', type: '6', mode: 0o600 },
        raw({ name: 't', data: 'x', pax: [['mtime', '-1.25']] }),
        raw({ name: 'x', pax: [['path', 'n'.repeat(250)]] }),
      ),
    ],
  ],
  [
    'xattrs and capabilities',
    [
      tar(
        raw({
          name: 'c',
          data: 'x',
          mode: 0o755,
          pax: [
            ['SCHILY.xattr.security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex')],
            ['SCHILY.xattr.user.k', '\0\n='],
          ],
        }),
      ),
    ],
  ],
  [
    'whiteouts and opaque directories',
    [tar(file('f'), file('d/old'), file('w/old')), tar(file('.wh.f'), file('d/.wh..wh..opq'), file('d/new'), file('w/.wh.old'))],
  ],
  ['the root', [tar({ ...dir('.', 0o755), mtime: 0 }, file('f'))]],
]
for (const [what, layers] of trees) {
  test(`unpack, diff, unpack gives the same tree: ${what}`, async () => {
    const { tree, chain } = await shop.unpack(layers)
    await using agent = await shop.agent(shop.snapshots.agentPath(chain.at(-1) as never))
    const { descriptor } = await diffLayer(shop.store, agent, { ownership: shop.ownership })
    const again = await shop.unpack([...layers.slice(0, -1), await shop.store.blobs.read(descriptor.digest)])
    assert.equal(Object.entries(again.tree).sort(), Object.entries(tree).sort())
  })
}

test('a file whose name would be a mark is refused by its path, and nothing is stored; one that is hidden is not', async () => {
  for (const [path, ops] of [
    ['/d/.wh.keep', [write('/d/.wh.keep')]],
    ['/d/.wh.q', [mkdir('/d/.wh.q'), write('/d/.wh.q/x')]],
    ['/d/.wh..wh..opq', [write('/d/.wh..wh..opq')]],
    ['/.wh.', [write('/.wh.')]],
  ] as const) {
    await using agent = await shop.scratch()
    await agent.run([mkdir('/d'), write('/d/keep'), ...ops])
    for (const whiteouts of [true, false]) {
      const error = await diffLayer(shop.store, agent, { whiteouts }).catch((each: unknown) => each as StrakeError)
      assert.equal(error instanceof StrakeError && [error.code, error.details?.path], ['layer_invalid', path])
    }
  }
  await using agent = await shop.scratch()
  await agent.run([{ op: 'mknod', path: '/.wh.gone', mode: flags.S.S_IFCHR }])
  assert.equal(await entriesOf(agent), ['.wh..wh.gone file'])
})

test.run()
