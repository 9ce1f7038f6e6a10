import * as assert from 'uvu/assert'
import { isPattern, matcher } from '../../../lib/build/files/pattern.ts'
import { test } from '../../support/uvu.ts'

// Cases of Go's own path/match_test.go that concern one name.
const cases: [pattern: string, name: string, matches: boolean][] = [
  ['abc', 'abc', true],
  ['*', 'abc', true],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*', 'abc', true],
  ['a*b*c*d*e*', 'axbxcxdxe', true],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['a?b', 'a☺b', true],
  ['a[^a]b', 'a☺b', true],
  ['a???b', 'a☺b', false],
  ['[a-ζ]*', 'α', true],
  ['[\\]a]', ']', true],
  ['[\\-]', '-', true],
  ['[x\\-]', 'x', true],
  ['[x\\-]', 'z', false],
  ['*x', 'xxx', true],
  ['a.b', 'axb', false],
  ['a+(b)', 'a+(b)', true],
]

for (const [pattern, name, matches] of cases) {
  test(`${JSON.stringify(pattern)} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(name)}`, () => {
    assert.is(matcher(pattern)(Buffer.from(name).toString('latin1')), matches)
  })
}

test('malformed patterns are refused', () => {
  for (const pattern of ['[]a]', '[', '[^', 'a[', '[a-', '\\']) assert.throws(() => matcher(pattern), 'malformed pattern', pattern)
})

test('a name without special characters is no pattern', () => {
  assert.not(isPattern('a-b.c'))
  for (const pattern of ['a*', 'a?', '[a]', 'a\\b']) assert.ok(isPattern(pattern))
})

test.run()
