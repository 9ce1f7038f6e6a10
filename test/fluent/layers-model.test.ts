// Layers at random, and what they must add up to by a model that knows nothing but the specification (image-spec, layer.md, "Applying Changesets").
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { images, store } from '../../lib/index.ts'
import { layoutFiles, makeImage, writeFiles } from '../images/maker.ts'
import { dir, file, link, type RawEntry, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const tries = 60
const names = ['a', 'b', 'c']

/** By its path, the content of a file; of a directory undefined. */
type Tree = Map<string, string | undefined>

/** Whole numbers below `below`; the same for the same seed (a linear congruential generator). */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

function remove(tree: Tree, path: string, itself: boolean): void {
  for (const each of [...tree.keys()]) if (each.startsWith(`${path}/`) || (itself && each === path)) tree.delete(each)
}

/** A layer over `tree`, which becomes what both are. */
function makeLayer(tree: Tree, random: (below: number) => number, number: number): RawEntry[] {
  const own: Tree = new Map()
  const listed: RawEntry[] = []
  const marks: RawEntry[] = []
  const gone: { readonly path: string; readonly itself: boolean }[] = []
  const lower = new Map(tree)
  const somewhere = (): string => Array.from({ length: 1 + random(3) }, () => names[random(names.length)]).join('/')
  const isFile = (path: string): boolean => (own.has(path) ? own.get(path) !== undefined : lower.get(path) !== undefined)
  for (let each = random(3); each > 0; each -= 1) {
    const path = somewhere()
    const itself = random(2) === 0
    // Of what is there, and of a directory: a mark for anything else is another test's.
    if (!lower.has(path) || (!itself && lower.get(path) !== undefined)) continue
    gone.push({ path, itself })
    const parent = parentOf(path)
    marks.push(file(itself ? `${parent ? `${parent}/` : ''}.wh.${path.slice(parent ? parent.length + 1 : 0)}` : `${path}/.wh..wh..opq`))
  }
  for (const { path, itself } of gone) remove(lower, path, itself)
  for (let each = 1 + random(5); each > 0; each -= 1) {
    const path = somewhere()
    const parents = path
      .split('/')
      .map((_, index, all) => all.slice(0, index).join('/'))
      .filter(Boolean)
    if (own.has(path) || [...own.keys()].some((other) => other.startsWith(`${path}/`))) continue
    if (parents.some(isFile)) continue
    for (const parent of parents) {
      if (own.has(parent)) continue
      own.set(parent, undefined)
      if (random(2) === 0) listed.push(dir(parent))
    }
    const files = [...own].filter(([, content]) => content !== undefined)
    const other = files[random(files.length)]
    if (random(3) === 0) listed.push(dir(path))
    else if (other && random(4) === 0) listed.push(link(path, other[0]))
    else listed.push(file(path, `${number}:${path}`))
    const made = listed.at(-1)
    own.set(path, made?.type === '5' ? undefined : made?.type === '1' ? other?.[1] : `${number}:${path}`)
  }
  // A directory in the place of a file comes after the mark that removes that.
  const isLate = ![...own].some(([path, content]) => content === undefined && tree.get(path) !== undefined)
  for (const { path, itself } of gone) remove(tree, path, itself)
  for (const [path, content] of own) {
    if (content !== undefined || tree.get(path) !== undefined) remove(tree, path, true)
    tree.set(path, content)
  }
  for (const mark of marks) listed.splice(isLate ? random(listed.length + 1) : 0, 0, mark)
  return listed
}

function treeAt(root: string, path = '', tree: Tree = new Map()): Tree {
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const child = path ? `${path}/${entry.name}` : entry.name
    tree.set(child, entry.isDirectory() ? undefined : readFileSync(join(root, child), 'utf8'))
    if (entry.isDirectory()) treeAt(root, child, tree)
  }
  return tree
}

function shown(tree: Tree): string[] {
  return [...tree].map(([path, content]) => `${path} ${content ?? '/'}`).sort()
}

test('layers at random add up to what the specification says', async () => {
  using place = temporaryDirectory('model')
  process.env.STRAKE_ROOT = join(place.path, 'store')
  const first = Number(process.env.STRAKE_SEED ?? 1)
  for (let seed = first; seed < first + tries; seed += 1) {
    const random = randomOf(seed)
    const tree: Tree = new Map()
    const layers = Array.from({ length: 2 + random(4) }, (_, number) => makeLayer(tree, random, number))
    const layout = writeFiles(join(place.path, 'layout'), layoutFiles([makeImage(layers.map((entries) => tar(...entries)))]))
    const [loaded] = await images.load(layout)
    const out = join(place.path, 'out')
    mkdirSync(out)
    await loaded?.export(`${out}.tar`)
    execFileSync('tar', ['-C', out, '-xf', `${out}.tar`])
    const said = `STRAKE_SEED=${seed}\n${layers.map((entries) => entries.map(({ name, linkName = '' }) => `${name} ${linkName}`).join(', ')).join('\n')}`
    writeFileSync(join(place.path, 'last'), said)
    assert.equal(shown(treeAt(out)), shown(tree), said)
    for (const path of [layout, out, `${out}.tar`]) rmSync(path, { recursive: true })
  }
  await store.remove()
})

test.run()
