import { copyFileSync, linkSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, image } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const large = 300_000

/** `a`, `b` and `sub/c` are one file, `d` is another with the same content. */
function layOut(directory: string): void {
  mkdirSync(join(directory, 'tree/sub'), { recursive: true })
  writeFileSync(join(directory, 'tree/b'), 'x'.repeat(large), { mode: 0o755 })
  linkSync(join(directory, 'tree/b'), join(directory, 'tree/a'))
  linkSync(join(directory, 'tree/b'), join(directory, 'tree/sub/c'))
  writeFileSync(join(directory, 'tree/d'), 'x'.repeat(large), { mode: 0o755 })
}

/** For each path, which of the paths it is one file with. */
async function namesIn(built: Image, ...paths: readonly string[]): Promise<readonly number[]> {
  const { stdout } = await built.exec(['stat', '-c', '%i', ...paths], { check: true })
  const inodes = stdout.trim().split('\n')
  return inodes.map((each) => inodes.indexOf(each))
}

const names = ['a', 'b', 'd', 'sub/c']

function layerSize(built: Image): number {
  return built.layers.at(-1)?.size ?? 0
}

test('names of one file stay names of one file when they are copied: from the context, from an image, with link, with an owner', async () => {
  using place = temporaryDirectory('links')
  layOut(place.path)
  const options = { context: place.path }
  const source = await image().from('host').copy('tree', '/from/').build(options)
  const expected = [0, 0, 2, 0]
  assert.equal(await namesIn(source, ...names.map((name) => `/from/${name}`)), expected, 'the context')
  const added = await image().from('host').add('tree', '/from/').build(options)
  assert.equal(await namesIn(added, ...names.map((name) => `/from/${name}`)), expected, 'add')
  const sized = layerSize(source)
  assert.ok(sized > 2 * large && sized < 3 * large, `the content is there once: ${sized}`)
  for (const more of [{}, { link: true }, { chown: '7:8', chmod: 0o700 }, { parents: true }]) {
    const built = await image()
      .from('host')
      .copy('/from', '/to', { from: source, ...more })
      .build()
    const at = 'parents' in more ? '/to/from' : '/to'
    assert.equal(await namesIn(built, ...names.map((name) => `${at}/${name}`)), expected, JSON.stringify(more))
    const { stdout } = await built.exec(['sh', '-c', `cat ${at}/sub/c | wc -c; stat -c %a ${at}/sub/c`], { check: true })
    assert.equal(stdout.split(/\s+/).slice(0, 2), [String(large), 'chmod' in more ? '700' : '755'])
  }
})

test('a name that another file of the same copy takes is that file, and the other names stay one', async () => {
  using place = temporaryDirectory('links')
  layOut(place.path)
  mkdirSync(join(place.path, 'over'))
  writeFileSync(join(place.path, 'over/a'), 'over')
  for (const link of [false, true]) {
    const built = await image().from('host').copy(['tree/.', 'over/.'], '/to/', { link }).build({ context: place.path })
    const again = await image().from('host').copy(['tree/a', 'over/a', 'tree/b'], '/to/', { link }).build({ context: place.path })
    assert.is((await built.exec(['cat', '/to/a'])).stdout, 'over')
    assert.is((await again.exec(['cat', '/to/a'])).stdout, 'over')
    assert.is((await again.exec(['cat', '/to/b'])).stdout, 'x'.repeat(large))
    assert.equal(await namesIn(built, '/to/a', '/to/b', '/to/sub/c'), [0, 1, 1], `link: ${link}`)
  }
})

test('which names are of one file is a part of what is copied', async () => {
  using one = temporaryDirectory('links')
  using other = temporaryDirectory('links')
  const copied = image('scratch').copy('tree', '/')
  const built = async (context: string): Promise<Image> => {
    for (const name of names) utimesSync(join(context, 'tree', name), 1e9, 1e9)
    return await copied.build({ context })
  }
  layOut(one.path)
  layOut(other.path)
  const first = await built(one.path)
  assert.is((await built(other.path)).digest, first.digest)
  const path = join(other.path, 'tree/a')
  rmSync(path)
  copyFileSync(join(other.path, 'tree/b'), path)
  const second = await built(other.path)
  assert.is.not(second.digest, first.digest)
  assert.ok(layerSize(second) > layerSize(first) + large)
})

test('a file that has another name outside of what is copied is a file', async () => {
  using place = temporaryDirectory('links')
  layOut(place.path)
  const built = await image().from('host').copy('tree/a', '/to/').build({ context: place.path })
  const rebuilt = await image().from('host').copy('/to/a', '/b', { from: built }).build()
  assert.is((await rebuilt.exec(['wc', '-c', '/b'])).stdout.split(' ')[0], String(large))
})

test.run()
