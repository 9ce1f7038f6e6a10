import * as assert from 'uvu/assert'
import { IgnorePatterns } from '../../../lib/build/files/ignore.ts'
import type { StrakeError } from '../../../lib/errors/index.ts'
import { test } from '../../support/uvu.ts'

/** From Docker's documentation and the tests of moby/patternmatcher: patterns, and what they say of a path. */
const cases: readonly (readonly [patterns: string, path: string, ignored: boolean])[] = [
  ['*/temp*', 'somedir/temporary.txt', true],
  ['*/temp*', 'temporary.txt', false],
  ['*/*/temp*', 'somedir/subdir/temporary.txt', true],
  ['temp?', 'tempa', true],
  ['temp?', 'temp', false],
  ['**/*.go', 'a.go', true],
  ['**/*.go', 'x/y/z.go', true],
  ['**', 'x/y', true],
  ['**/', 'file', true],
  ['dir/**', 'dir/a/b', true],
  ['dir/**/file', 'dir/file', true],
  ['**/dir2/*', 'dir1/dir2/file', true],
  ['**a', 'x/a/y', true],
  ['dir', 'dir/a/b', true],
  ['/dir', 'dir/a', true],
  ['dir/', 'dir/a', true],
  ['./dir', 'dir/a', true],
  ['a/../dir', 'dir', true],
  ['dir', 'other/dir', false],
  ['*.md\n!README.md', 'README.md', false],
  ['*.md\n!README*.md\nREADME-secret.md', 'README-secret.md', true],
  ['!README.md\n*.md', 'README.md', true],
  ['*\n!a/b', 'a/b/c', false],
  ['*\n!a/b', 'a/c', true],
  ['# comment\n\n  spaced  ', 'spaced', true],
  ['.', 'anything', false],
  ['/', 'anything', false],
  ['a[b-d]e', 'ace', true],
  ['a[b-d]e', 'aee', false],
  ['\\*', '*', true],
  ['\\*', 'x', false],
  ['a+b(c)', 'a+b(c)', true],
  ['a+b', 'aab', false],
  ['Dir', 'dir', false],
  ['*', 'constructor', true],
  ['toString', 'toString', true],
  ['node_modules\r\n*.log', 'node_modules/x', true],
  ['\uFEFFnode_modules', 'node_modules', true],
]

for (const [patterns, path, ignored] of cases) {
  test(`${JSON.stringify(patterns)} ${ignored ? 'leaves out' : 'leaves'} ${path}`, () => {
    assert.is(IgnorePatterns.parse(patterns).ignores(path), ignored)
  })
}

/** Patterns, an ignored directory, and whether something below it may not be ignored. */
const ways: readonly (readonly [patterns: string, path: string, may: boolean])[] = [
  ['*', 'a', false],
  ['*\n!a/b', 'a', true],
  ['*\n!a/b', 'b', false],
  ['*\n!a', 'a', false],
  ['*\n!ab', 'a', false],
  ['*\n!a/b/c', 'a/b', true],
  ['*\n!a/b/c', 'a/d', false],
  ['*\n!src/*.md', 'src', true],
  ['*\n!src/*.md', 'lib', false],
  ['*\n!src/**/*.md', 'src/a/b', true],
  ['*\n!**/*.md', 'a/b', true],
  ['*\n!\\a/b', 'a', true],
  ['a/b\n*', 'a', false],
]

for (const [patterns, path, may] of ways) {
  test(`${JSON.stringify(patterns)} ${may ? 'may leave' : 'leaves nothing'} below ${path}`, () => {
    assert.is(IgnorePatterns.parse(patterns).mayHold(path), may)
  })
}

test('a pattern that is none is refused with context_invalid', () => {
  try {
    IgnorePatterns.parse('a[')
  } catch (error) {
    assert.is((error as StrakeError).code, 'context_invalid')
    return
  }
  assert.unreachable('it was taken')
})

test.run()
