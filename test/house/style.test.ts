import { readdirSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'

const longest = 400

const sources = ['lib', 'repl', 'native', 'test', 'examples', 'bench', 'scripts'].flatMap((room) => {
  try {
    return readdirSync(room, { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(ts|mjs|cjs|c|h)$/.test(path) && !/\.gen\./.test(path))
      .map((path) => `${room}/${path}`)
  } catch {
    return []
  }
})

/** Lines of sources that fit a pattern, as `path:line: text`. */
function lines(pattern: RegExp, paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  )
}

test(`no source is longer than ${longest} lines`, () => {
  const long = sources.filter((path) => readFileSync(path, 'utf8').split('\n').length > longest + 1)
  assert.equal(long, [])
})

test('nothing is left for later, and no type is switched off', () => {
  const word = new RegExp(['TO', 'DO\\b|FIX', 'ME|@ts-', 'ignore|@ts-', 'nocheck'].join(''))
  assert.equal(lines(word, sources), [])
})

test('no test is switched off, nor alone switched on', () => {
  const off = /\b\w*(?:test|suite|it)\.(?:skip|only)\(/i
  assert.equal(
    lines(
      off,
      sources.filter((path) => path.startsWith('test/')),
    ),
    [],
  )
})

test('tests take uvu from test/support, where a failure is always told', () => {
  const direct = lines(
    /^import .* from 'uvu'/,
    sources.filter((path) => path.startsWith('test/') && path !== 'test/support/uvu.ts'),
  )
  assert.equal(direct, [])
})

test('every test file runs its tests', () => {
  const files = sources.filter((path) => path.endsWith('.test.ts'))
  assert.ok(files.length > 0)
  assert.equal(
    files.filter((path) => !/\.run\(\)/.test(readFileSync(path, 'utf8'))),
    [],
  )
})

test.run()
