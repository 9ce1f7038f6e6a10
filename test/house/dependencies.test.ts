import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
const rows = [...readFileSync('docs/dependencies.md', 'utf8').matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)]

test('docs/dependencies.md has a row for every runtime dependency, and for nothing else', () => {
  assert.equal(rows.map((row) => row[1]).sort(), Object.keys(manifest.dependencies).sort())
})

test('every row fills its columns', () => {
  for (const row of rows) {
    const cells = (row[2] ?? '').split(' | ').map((cell) => cell.trim())
    assert.is(cells.length, 4, `${row[1]} has ${cells.length} columns`)
    assert.ok(
      cells.every((cell) => cell.length > 3),
      `${row[1]} has an empty column`,
    )
  }
})

test('a package is needed at run time or for development, not both', () => {
  const both = Object.keys(manifest.dependencies).filter((name) => name in manifest.devDependencies)
  assert.equal(both, [])
})

test.run()
