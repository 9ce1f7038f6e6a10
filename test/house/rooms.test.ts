import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const floors = JSON.parse(readFileSync('scripts/floors.json', 'utf8')) as string[][]

test('ARCHITECTURE.md has the floors that the import rules keep', () => {
  const table = [...readFileSync('ARCHITECTURE.md', 'utf8').matchAll(/^\| (\d+) \| (.*?) \|/gm)]
  const written = new Map(
    table.map(([, floor, rooms]) => [Number(floor), [...(rooms ?? '').matchAll(/`([^`]+?)\/?`/g)].map((each) => each[1] ?? '').sort()]),
  )
  assert.equal(
    floors.map((_, floor) => written.get(floor)),
    floors.map((rooms) => [...rooms].sort()),
  )
})

/** A house in which some files break a rule, and which one. */
const house: Record<string, { text: string; breaks?: string }> = {
  'lib/errors/error.ts': { text: 'export const error = 1' },
  'lib/sys/index.ts': { text: 'export const sys = 1' },
  'lib/store/index.ts': { text: 'export type Store = number' },
  'lib/store/blobs.ts': { text: "export { error } from '../errors/error.ts'" },
  'lib/images/index.ts': {
    text: 'export type Image = number\nexport { sys } from "../sys/index.ts"\nexport { error } from "../errors/error.ts"',
  },
  'lib/index.ts': { text: "export { build } from './build/index.ts'\nexport { error } from './errors/error.ts'" },
  'repl/main.ts': { text: "import { build } from '../lib/index.ts'\nimport { other } from './other.ts'\nconsole.log(build, other)" },
  'repl/other.ts': { text: 'export const other = 1' },
  'lib/images/upwards.ts': { text: "export { build } from '../build/index.ts'", breaks: 'lib-images-stands-on-floor-5' },
  'lib/sys/upwards.ts': {
    text: "import type { Image } from '../images/index.ts'\nexport type X = Image",
    breaks: 'lib-sys-stands-on-floor-1',
  },
  'lib/sys/sideways.ts': {
    text: "import type { Store } from '../store/index.ts'\nexport type X = Store",
    breaks: 'lib-sys-stands-on-floor-1',
  },
  'lib/build/index.ts': { text: 'export const build = 1' },
  'lib/build/window.ts': { text: "export { error } from '../store/blobs.ts'", breaks: 'through-the-front-door' },
  'lib/errors/cellar.ts': { text: "export { sys } from '../sys/index.ts'", breaks: 'errors-stand-on-the-ground' },
  'lib/attic/index.ts': { text: "export { box } from './box.ts'", breaks: 'every-room-has-a-floor' },
  'lib/attic/box.ts': { text: 'export const box = 1' },
  'lib/build/chicken.ts': { text: "import { egg } from './egg.ts'\nexport const chicken = () => egg", breaks: 'no-circles' },
  'lib/build/egg.ts': { text: "import { chicken } from './chicken.ts'\nexport const egg = () => chicken" },
  'lib/build/stranger.ts': { text: "export * from 'a-package-that-nobody-installed'", breaks: 'resolvable' },
}

test('upwards, sideways, by another door than the index: each breaks its rule, for types too, and nothing else does', () => {
  using directory = temporaryDirectory('rooms')
  const files = Object.entries(house).map(([path, { text }]) => [path, text] as const)
  const settings = [['package.json', '{"type":"module"}'] as const, ['tsconfig.json', readFileSync('tsconfig.json', 'utf8')] as const]
  for (const [path, text] of [...files, ...settings]) {
    mkdirSync(dirname(join(directory.path, path)), { recursive: true })
    writeFileSync(join(directory.path, path), text)
  }
  const cli = join(process.cwd(), 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const args = [cli, '--config', join(process.cwd(), '.dependency-cruiser.cjs'), '-T', 'json', 'lib', 'repl']
  const done = spawnSync(process.execPath, args, { cwd: directory.path, encoding: 'utf8' })
  const { summary } = JSON.parse(done.stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } }
  const found = summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`)
  const expected = Object.entries(house).flatMap(([path, { breaks }]) => (breaks ? [`${path}: ${breaks}`] : []))
  assert.equal([...new Set(found)].sort(), expected.sort())
})

test.run()
