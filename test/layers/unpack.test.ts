import * as assert from 'uvu/assert'
import { suite } from '../support/uvu.ts'
import { dir, file, link, raw, symlink, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('unpack')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
})

interface Case {
  readonly name: string
  /** Bottom first. */
  readonly layers: readonly Uint8Array[]
  /** What the topmost layer becomes. The root is left out where it is as usual. */
  readonly tree: Readonly<Record<string, string>>
  readonly notices?: readonly string[]
  /** Where files can belong to one id only. */
  readonly singleTree?: Readonly<Record<string, string>>
}

const device = (name: string, type: string, major: number, minor: number) => raw({ name, type, major, minor, mode: 0o666 })
const capability2 = Buffer.from('0100000200200000000000000000000000000000', 'hex')
const capability3 = Buffer.from('010000030020000000000000000000000000000039300000', 'hex')

const cases: readonly Case[] = [
  {
    name: 'files, directories, links, fifos: each with its mode, its time and its content',
    layers: [
      tar(
        { ...dir('a', 0o750), mtime: 100 },
        { ...file('a/f', 'hello', { mode: 0o604 }), mtime: 200 },
        file('a/e'),
        link('a/h', 'a/e'),
        symlink('a/s', '../x'),
        { name: 'p', type: '6', mode: 0o600 },
        raw({ name: 't', data: 'x', pax: [['mtime', '-1.25']] }),
      ),
    ],
    tree: {
      a: 'dir 750 @100',
      'a/f': 'file 604 @200 "hello"',
      'a/e': 'file 644 x2',
      'a/h': 'file 644 x2',
      'a/s': 'link -> ../x',
      p: 'fifo 600',
      t: 'file 644 @-2+750000000 "x"',
    },
  },
  {
    name: 'owners, of every kind of file',
    layers: [
      tar(
        { ...dir('d'), uid: 1, gid: 2 },
        file('d/f', 'x', { uid: 33, gid: 33, mode: 0o4755 }),
        { ...symlink('l', 'x'), uid: 5, gid: 6 },
        { name: 'p', type: '6', mode: 0o600, uid: 7 },
      ),
    ],
    tree: { d: 'dir 755 1:2', 'd/f': 'file 4755 33:33 "x"', l: 'link 5:6 -> x', p: 'fifo 600 7:0' },
    singleTree: { d: 'dir 755', 'd/f': 'file 4755 "x"', l: 'link -> x', p: 'fifo 600' },
  },
  {
    name: 'the root has the attributes of its entry',
    layers: [tar({ ...dir('.', 0o711), mtime: 7 }, file('f'))],
    tree: { '/': 'dir 711 @7', f: 'file 644' },
  },
  {
    name: 'directories that no entry speaks of are made, 0755',
    layers: [tar(file('a/b/c', 'x'))],
    tree: { a: 'dir 755', 'a/b': 'dir 755', 'a/b/c': 'file 644 "x"' },
  },
  {
    name: 'L01: an absolute path is one under the root',
    layers: [tar(file('/abs', 'x'), file('//b//./c', 'y'))],
    tree: { abs: 'file 644 "x"', b: 'dir 755', 'b/c': 'file 644 "y"' },
  },
  {
    name: 'L02: an absolute symlink leads to the root of the target',
    layers: [tar(symlink('d', '/etc'), file('d/x', 'in'))],
    tree: { d: 'link -> /etc', etc: 'dir 755', 'etc/x': 'file 644 "in"' },
  },
  {
    name: 'L02: a symlink with .. ends at the root of the target',
    layers: [tar(symlink('d', '../../../../etc'), file('d/x', 'in'))],
    tree: { d: 'link -> ../../../../etc', etc: 'dir 755', 'etc/x': 'file 644 "in"' },
  },
  {
    name: 'L02: symlinks in a chain',
    layers: [tar(symlink('a', 'b/c'), symlink('b', '/d'), symlink('d', 'e'), file('a/x', 'in'))],
    tree: { a: 'link -> b/c', b: 'link -> /d', d: 'link -> e', e: 'dir 755', 'e/c': 'dir 755', 'e/c/x': 'file 644 "in"' },
  },
  {
    name: 'L02: through a symlink of a lower layer',
    layers: [tar(symlink('bin', 'usr/bin'), dir('usr/bin', 0o711)), tar(file('bin/x', 'in'))],
    tree: { usr: 'dir 755', 'usr/bin': 'dir 711', 'usr/bin/x': 'file 644 "in"' },
  },
  {
    name: 'L02: through a symlink of a lower layer that leads out',
    layers: [tar(symlink('d', '/../../etc')), tar(file('d/x', 'in'))],
    tree: { etc: 'dir 755', 'etc/x': 'file 644 "in"' },
  },
  {
    name: 'L02: a symlink of a lower layer that a higher one hides is none',
    layers: [tar(symlink('d', 'e')), tar(file('.wh.d')), tar(file('d/x', 'in'))],
    tree: { d: 'dir 755', 'd/x': 'file 644 "in"' },
  },
  {
    name: 'L03: a hard link to an absolute path is one under the root',
    layers: [tar(file('etc/passwd', 'in'), link('p', '/etc/passwd'))],
    tree: { etc: 'dir 755', 'etc/passwd': 'file 644 x2 "in"', p: 'file 644 x2 "in"' },
  },
  {
    name: 'L03: a hard link to a symlink is one more name for it',
    layers: [tar(symlink('s', '/etc/passwd'), link('p', 's'))],
    tree: { s: 'link x2 -> /etc/passwd', p: 'link x2 -> /etc/passwd' },
  },
  { name: 'L03: a hard link to itself changes nothing', layers: [tar(file('f', 'x'), link('./f', 'f'))], tree: { f: 'file 644 "x"' } },
  {
    name: 'L03: what a hard link says of itself is not applied to the file',
    layers: [
      tar(raw({ name: 'f', data: 'x', mode: 0o4711, mtime: 5, pax: [['SCHILY.xattr.user.a', 'b']] }), {
        ...link('h', 'f'),
        mode: 0o600,
        uid: 7,
        mtime: 9,
      }),
    ],
    tree: { f: 'file 4711 x2 @5 user.a=62 "x"', h: 'file 4711 x2 @5 user.a=62 "x"' },
  },
  {
    name: 'L03: a hard link to a file of a lower layer: copied up, with all it has',
    layers: [
      tar({ ...dir('d', 0o700), mtime: 9 }, raw({ name: 'd/f', data: 'low', mode: 0o2711, mtime: 5, pax: [['SCHILY.xattr.user.a', 'b']] })),
      tar(link('h', 'd/f')),
    ],
    tree: { d: 'dir 700 @9', 'd/f': 'file 2711 x2 @5 user.a=62 "low"', h: 'file 2711 x2 @5 user.a=62 "low"' },
  },
  {
    name: 'L03: a hard link to a symlink of a lower layer',
    layers: [tar(symlink('s', 't')), tar(link('h', 's'))],
    tree: { s: 'link x2 -> t', h: 'link x2 -> t' },
  },
  {
    name: 'L03: a hard link to a file that two layers have is to the upper one',
    layers: [tar(file('f', 'one')), tar(file('f', 'two')), tar(link('h', 'f'))],
    tree: { f: 'file 644 x2 "two"', h: 'file 644 x2 "two"' },
  },
  {
    name: 'L03: a hard link within an upper layer leaves the lower ones alone',
    layers: [tar(file('f', 'one')), tar(file('f', 'two'), link('h', 'f'))],
    tree: { f: 'file 644 x2 "two"', h: 'file 644 x2 "two"' },
  },
  {
    name: 'L04: a symlink swapped for a directory',
    layers: [tar(symlink('d', 'e'), dir('e'), dir('d'), file('d/x', 'in'))],
    tree: { e: 'dir 755', d: 'dir 755', 'd/x': 'file 644 "in"' },
  },
  {
    name: 'L04: a directory swapped for a symlink',
    layers: [tar(dir('d'), file('d/old', 'x'), dir('e'), symlink('d', 'e'), file('d/new', 'in'))],
    tree: { d: 'link -> e', e: 'dir 755', 'e/new': 'file 644 "in"' },
  },
  {
    name: 'L04: a symlink swapped for a file is not written through',
    layers: [tar(file('t', 'old'), symlink('s', 't'), file('s', 'new'))],
    tree: { t: 'file 644 "old"', s: 'file 644 "new"' },
  },
  {
    name: 'L04: a hard link swapped for a file is not written through',
    layers: [tar(file('t', 'old'), link('h', 't'), file('h', 'new'))],
    tree: { t: 'file 644 "old"', h: 'file 644 "new"' },
  },
  {
    name: 'L04: a path as file, directory, symlink and file in turn',
    layers: [tar(file('p', '1'), dir('p'), file('p/q', '2'), symlink('p', 'x'), file('p', '3'))],
    tree: { p: 'file 644 "3"' },
  },
  {
    name: 'L04: a path as directory twice is one directory with the last attributes',
    layers: [tar(dir('p', 0o700), file('p/q', '2'), dir('p', 0o711))],
    tree: { p: 'dir 711', 'p/q': 'file 644 "2"' },
  },
  {
    name: 'L05: a whiteout of a lower file and of a lower directory',
    layers: [tar(file('f'), dir('d'), file('d/x'), file('k')), tar(file('.wh.f'), file('.wh.d'))],
    tree: { f: 'whiteout', d: 'whiteout' },
  },
  {
    name: 'L05: a whiteout deep in lower directories keeps their attributes',
    layers: [tar(dir('a', 0o711), dir('a/b', 0o700), file('a/b/c')), tar(file('a/b/.wh.c'))],
    tree: { a: 'dir 711', 'a/b': 'dir 700', 'a/b/c': 'whiteout' },
  },
  {
    name: 'L05: a whiteout of what is not there is nothing',
    layers: [tar(file('f')), tar(file('.wh.x'), file('no/such/.wh.y'), file('k'))],
    tree: { k: 'file 644' },
  },
  {
    name: 'L05: a whiteout in the bottom layer is nothing',
    layers: [tar(file('.wh.x'), file('.wh..wh..opq'), file('d/.wh..wh..opq'), file('k'))],
    tree: { k: 'file 644' },
  },
  {
    name: 'L05: a whiteout of what was hidden before is nothing',
    layers: [tar(file('f')), tar(file('.wh.f')), tar(file('.wh.f'), file('k'))],
    tree: { k: 'file 644' },
  },
  {
    name: 'L05: a whiteout before the same name anew',
    layers: [tar(file('f', 'old')), tar(file('.wh.f'), file('f', 'new'))],
    tree: { f: 'file 644 "new"' },
  },
  {
    name: 'L05: a whiteout after the same name',
    layers: [tar(file('f', 'old')), tar(file('f', 'new'), file('.wh.f'))],
    tree: { f: 'file 644 "new"' },
  },
  {
    name: 'L05: a whiteout before a directory anew hides what the old one held',
    layers: [tar(file('d/old')), tar(file('.wh.d'), dir('d'), file('d/new'))],
    tree: { d: 'dir 755 opaque', 'd/new': 'file 644' },
  },
  {
    name: 'L05: a whiteout after a directory hides what the old one held',
    layers: [tar(file('d/old')), tar(dir('d'), file('d/new'), file('.wh.d'))],
    tree: { d: 'dir 755 opaque', 'd/new': 'file 644' },
  },
  {
    name: 'L05: a whiteout before a path through the same name',
    layers: [tar(file('d/old')), tar(file('.wh.d'), file('d/new'))],
    tree: { d: 'dir 755 opaque', 'd/new': 'file 644' },
  },
  {
    name: 'L05: an opaque directory, the mark first',
    layers: [tar(file('d/old')), tar(dir('d', 0o711), file('d/.wh..wh..opq'), file('d/new'))],
    tree: { d: 'dir 711 opaque', 'd/new': 'file 644' },
  },
  {
    name: 'L05: an opaque directory, the mark last',
    layers: [tar(file('d/old')), tar(dir('d', 0o711), file('d/new'), file('d/.wh..wh..opq'))],
    tree: { d: 'dir 711 opaque', 'd/new': 'file 644' },
  },
  {
    name: 'L05: an opaque directory without an entry of its own',
    layers: [tar(dir('d', 0o711), file('d/old')), tar(file('d/.wh..wh..opq'))],
    tree: { d: 'dir 711 opaque' },
  },
  {
    name: 'L05: whiteouts in an opaque directory leave no device, before the mark or after',
    layers: [
      tar(file('d/a'), file('d/b'), file('d/s/c')),
      tar(file('d/.wh.a'), file('d/s/.wh.c'), file('d/.wh..wh..opq'), file('d/.wh.b')),
    ],
    tree: { d: 'dir 755 opaque', 'd/s': 'dir 755' },
  },
  {
    name: 'L05: an opaque root hides every name below it',
    layers: [tar(file('a'), dir('d'), file('k', 'old')), tar(file('k', 'new'), file('.wh..wh..opq'))],
    tree: { a: 'whiteout', d: 'whiteout', k: 'file 644 "new"' },
  },
  {
    name: "L05: AUFS's own files are left out",
    layers: [tar(dir('.wh..wh.plnk'), file('.wh..wh.plnk/1.2'), file('.wh..wh.aufs'), file('k'))],
    tree: { k: 'file 644' },
  },
  {
    name: 'a directory in place of a lower file',
    layers: [tar(file('d')), tar(dir('d'), file('d/x'))],
    tree: { d: 'dir 755', 'd/x': 'file 644' },
  },
  {
    name: 'a directory replaced by a file and made anew no longer shows the lower one',
    layers: [tar(file('d/old')), tar(dir('d'), file('d', 'x'), dir('d'))],
    tree: { d: 'dir 755 opaque' },
  },
  {
    name: 'an upper layer leaves the root and the directories it passes as they are',
    layers: [tar({ ...dir('.', 0o711), mtime: 3 }, { ...dir('tmp', 0o1777), mtime: 4 }), tar(file('tmp/x'))],
    tree: { '/': 'dir 711 @3', tmp: 'dir 1777 @4', 'tmp/x': 'file 644' },
  },
  {
    name: "L06: overlayfs' own marks in content take no effect",
    layers: [
      tar(file('f')),
      tar(
        device('f', '3', 0, 0),
        raw({
          ...dir('d'),
          pax: [
            ['SCHILY.xattr.user.overlay.opaque', 'y'],
            ['SCHILY.xattr.trusted.overlay.opaque', 'y'],
          ],
        }),
      ),
    ],
    tree: { f: 'file 666', d: 'dir 755' },
    notices: [
      'f: an empty file in place of the character device 0:0',
      'd/: the xattr "user.overlay.opaque" was left out: a mark of overlayfs',
      'd/: the xattr "trusted.overlay.opaque" was left out: a mark of overlayfs',
    ],
  },
  {
    name: 'L07: devices become empty files and are told of',
    layers: [tar(device('n', '3', 1, 3), device('b', '4', 8, 0), { name: 'p', type: '6', mode: 0o640 })],
    tree: { n: 'file 666', b: 'file 666', p: 'fifo 640' },
    notices: ['n: an empty file in place of the character device 1:3', 'b: an empty file in place of the block device 8:0'],
  },
  {
    name: 'L08: setuid stays, file capabilities become those of the namespace, labels of the host are dropped',
    layers: [
      tar(
        file('s', 'x', { mode: 0o6755 }),
        raw({ name: 'c2', data: 'x', mode: 0o755, pax: [['SCHILY.xattr.security.capability', capability2]] }),
        raw({ name: 'c3', data: 'x', mode: 0o755, pax: [['SCHILY.xattr.security.capability', capability3]] }),
        raw({
          name: 'l',
          pax: [
            ['SCHILY.xattr.security.selinux', 'x'],
            ['SCHILY.xattr.user.k', '\0\xff'],
          ],
        }),
      ),
    ],
    tree: {
      s: 'file 6755 "x"',
      c2: `file 755 security.capability=${capability2.toString('hex')} "x"`,
      c3: `file 755 security.capability=${capability2.toString('hex')} "x"`,
      l: 'file 644 user.k=00c3bf',
    },
    notices: ['l: the xattr "security.selinux" was left out: not for a container to set'],
  },
  {
    name: 'L08: a file capability that is none is dropped',
    layers: [tar(raw({ name: 'c', pax: [['SCHILY.xattr.security.capability', 'junk']] }))],
    tree: { c: 'file 644' },
    notices: ['c: the xattr "security.capability" was left out: not a file capability'],
  },
  {
    name: 'L09: names keep their bytes',
    layers: [tar(file('n\n', 'x'), { name: Buffer.from([0x66, 0xff]), data: 'y' })],
    tree: { 'n\n': 'file 644 "x"', 'f\xff': 'file 644 "y"' },
  },
  {
    name: 'L11: a sparse file has its holes',
    layers: [
      tar(
        raw({
          name: 'x',
          data: 'abcde',
          pax: [
            ['GNU.sparse.size', '12'],
            ['GNU.sparse.map', '2,3,8,2'],
            ['GNU.sparse.name', 's'],
          ],
        }),
        raw({
          name: 'hole',
          pax: [
            ['GNU.sparse.size', '40'],
            ['GNU.sparse.map', ''],
          ],
        }),
      ),
    ],
    tree: { s: 'file 644 "\\u0000\\u0000abc\\u0000\\u0000\\u0000de\\u0000\\u0000"', hole: `file 644 ${JSON.stringify('\0'.repeat(40))}` },
  },
  { name: 'L14: a time before 1970', layers: [tar(raw({ name: 'f', pax: [['mtime', '-86400']] }))], tree: { f: 'file 644 @-86400' } },
  {
    name: 'L15: a directory read-only before its children',
    layers: [tar(dir('d', 0o500), file('d/f', 'x'), dir('d/e', 0o000), file('d/e/g'))],
    tree: { d: 'dir 500', 'd/f': 'file 644 "x"', 'd/e': 'dir 0', 'd/e/g': 'file 644' },
  },
  {
    name: 'a setgid directory does not give its group to what is made in it',
    layers: [tar({ ...dir('d', 0o2755), gid: 5 }, file('d/f', 'x'))],
    tree: { d: 'dir 2755 0:5', 'd/f': 'file 644 "x"' },
    singleTree: { d: 'dir 2755', 'd/f': 'file 644 "x"' },
  },
  { name: 'a large file in many writes', layers: [tar(file('big', 'z'.repeat(3_000_000)))], tree: { big: 'file 644 3000000 bytes' } },
]
for (const { name, layers, tree, notices, singleTree } of cases) {
  test(name, async () => {
    const found = await shop.unpack(layers)
    const expected = { '/': 'dir 755', ...(shop.ownership ? tree : (singleTree ?? tree)) }
    assert.equal(Object.fromEntries(Object.entries(found.tree).sort()), Object.fromEntries(Object.entries(expected).sort()))
    assert.equal(
      found.notices.map(({ path, message }) => `${path}: ${message}`),
      notices ?? [],
    )
  })
}

test.run()
