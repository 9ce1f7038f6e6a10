// test: timeout 180
// What is removed and replaced in a layer, both ways: other programs read from our images what our containers see, and we from theirs.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, image, store } from '../../lib/index.ts'
import { has, isRoot } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const directory = temporaryDirectory('whiteouts')
process.env.STRAKE_ROOT = join(directory.path, 'store')

const test = suite('whiteouts')

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

/** Run in the root of a file system: the tree that the changes start from. */
const first = `mkdir -p t && cd t
for d in kept gone emptied anew inner file link moved deep/a/b/c swap; do mkdir -p $d; echo $d > $d/one; echo $d > $d/two; mkdir -p $d/sub; echo $d > $d/sub/three; done
echo f > gone-file; echo f > becomes-dir; echo f > becomes-link; echo f > mode; echo f > hard-one; ln hard-one hard-two; ln -s kept old-link; echo f > swapped`

const changes: Readonly<Record<string, string>> = {
  'a file is removed': 'rm t/gone-file',
  'a directory is removed': 'rm -r t/gone',
  'everything in a directory is removed, and the directory stays': 'rm -r t/emptied/one t/emptied/two t/emptied/sub',
  'a directory is made anew': 'rm -r t/anew; mkdir t/anew; echo new > t/anew/four',
  'a directory is made anew, empty': 'rm -r t/anew; mkdir t/anew',
  'a directory is made anew with files of the same names':
    'rm -r t/anew; mkdir -p t/anew/sub; echo new > t/anew/one; echo new > t/anew/sub/four',
  'a directory inside is made anew, and the one around it changes':
    'rm -r t/inner/sub; mkdir t/inner/sub; echo x > t/inner/sub/x; echo y > t/inner/y',
  'a directory deep down is made anew': 'rm -r t/deep/a/b; mkdir -p t/deep/a/b/c; echo new > t/deep/a/b/c/new',
  'a file takes the place of a directory': 'rm -r t/file; echo now > t/file',
  'a link takes the place of a directory': 'rm -r t/link; ln -s kept t/link',
  'a directory takes the place of a file': 'rm t/becomes-dir; mkdir t/becomes-dir; echo in > t/becomes-dir/in',
  'a link takes the place of a file': 'rm t/becomes-link; ln -s ../nowhere t/becomes-link',
  'a link changes where it leads': 'rm t/old-link; ln -s gone t/old-link',
  'a directory moves, and another takes its name': 'mv t/moved t/went; mkdir t/moved; echo new > t/moved/one',
  'a directory and a file change places': 'mv t/swap t/x; mv t/swapped t/swap; mv t/x t/swapped',
  'modes change, contents do not': 'chmod 600 t/mode; chmod 700 t/kept',
  'one name of two is removed': 'rm t/hard-one; echo more >> t/hard-two',
  'all of it is removed and comes back otherwise': 'rm -r t; mkdir t; echo alone > t/one',
}

/** Run in the root of a file system: each path of the tree, with kind, mode, target and content. */
const list = `find t | sort | xargs stat -c '%n %F %a'
find t -type l | sort | while read -r link; do echo "$link -> $(readlink $link)"; done
find t -type f | sort | xargs -r md5sum`

const rootless = isRoot ? [] : ['--rootless']

function umoci(...args: readonly string[]): void {
  execFileSync('umoci', [...args], { stdio: 'pipe' })
}

function shell(script: string, root: string): string {
  return execFileSync('busybox', ['sh', '-ec', `umask 022; ${script}`], { cwd: root, encoding: 'utf8' })
}

/** A root with nothing but a static shell. */
function bareRoot(root: string): void {
  mkdirSync(join(root, 'bin'), { recursive: true })
  copyFileSync(execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim(), join(root, 'bin', 'busybox'))
  for (const name of ['sh', 'find', 'sort', 'xargs', 'stat', 'readlink', 'md5sum', 'rm', 'mkdir', 'mv', 'ln', 'chmod']) {
    symlinkSync('busybox', join(root, 'bin', name))
  }
}

const seenInside = async (built: Image): Promise<string> => (await built.exec(list, { cwd: '/', check: true })).stdout

// A build for each would take minutes: those that do not meddle with each other's paths are made in one layer.
const apart = Object.keys(changes).filter((name) => /a directory is made anew|all of it/.test(name))
const together = Object.keys(changes).filter((name) => !apart.includes(name))
const layers: readonly (readonly [string, string])[] = [
  [`${together.length} changes in one layer`, together.map((name) => changes[name]).join('\n')],
  ...apart.map((name) => [name, changes[name] ?? ''] as const),
]
let count = 0

for (const [name, change] of layers) {
  const place = join(directory.path, String(count++))

  test(`${name}: umoci reads it from our image`, async () => {
    if (!has('umoci') || !has('busybox')) return skip('umoci or busybox is not installed')
    bareRoot(join(place, 'root'))
    const base = image(`${place}/root/`).run(`umask 022; ${first}`, { cwd: '/' })
    const built = await base.run(`umask 022; ${change}`, { cwd: '/' }).build({ tag: 'whiteout:1' })
    const plain = join(place, 'plain')
    bareRoot(plain)
    shell(`${first}\ncd ..\n${change}`, plain)
    const expected = shell(list, plain)
    assert.is(await seenInside(built), expected, 'in a container')
    umoci('unpack', ...rootless, '--image', `${store.root}/content:whiteout:1`, join(place, 'bundle'))
    assert.is(shell(list, join(place, 'bundle', 'rootfs')), expected, 'unpacked by umoci')
    // Once more from its blobs alone, as another store has it.
    const root = process.env.STRAKE_ROOT
    process.env.STRAKE_ROOT = join(place, 'other')
    try {
      assert.is(await seenInside(await image(`oci:${root}/content:whiteout:1`).build()), expected, 'unpacked by us')
      await store.remove()
    } finally {
      process.env.STRAKE_ROOT = root
    }
  })

  test(`${name}: we read it from an image of umoci's`, async () => {
    if (!has('umoci') || !has('busybox')) return skip('umoci or busybox is not installed')
    const layout = join(place, 'layout')
    const bundle = join(place, 'theirs')
    umoci('init', '--layout', layout)
    umoci('new', '--image', `${layout}:base`)
    umoci('unpack', ...rootless, '--image', `${layout}:base`, bundle)
    bareRoot(join(bundle, 'rootfs'))
    shell(first, join(bundle, 'rootfs'))
    umoci('repack', '--refresh-bundle', '--image', `${layout}:base`, bundle)
    shell(change, join(bundle, 'rootfs'))
    umoci('repack', '--image', `${layout}:changed`, bundle)
    assert.is(await seenInside(await image(`oci:${layout}:changed`).build()), shell(list, join(bundle, 'rootfs')))
  })
}

test.run()
