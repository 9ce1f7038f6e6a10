import * as assert from 'uvu/assert'
import { algorithmOf, digestOf, hexOf, isDigest, parseDigest } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'

const hex = 'a'.repeat(64)

test('a digest of ours is sha256 of the bytes, or sha512 where asked', () => {
  assert.is(digestOf(''), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  assert.ok(digestOf('abc', 'sha512').startsWith('sha512:ddaf35a193617aba'))
  assert.is(hexOf(digestOf('')).length, 64)
  assert.is(algorithmOf(digestOf('', 'sha512')), 'sha512')
})

const refused: readonly [string, unknown][] = [
  ['a path in it', 'sha256:../../x'],
  ['a path of the right length', `sha256:../${'a'.repeat(61)}`],
  ['upper case', `sha256:${'A'.repeat(64)}`],
  ['an upper-case algorithm', `SHA256:${hex}`],
  ['63 digits', `sha256:${'a'.repeat(63)}`],
  ['65 digits', `sha256:${'a'.repeat(65)}`],
  ['sha512 with 64 digits', `sha512:${hex}`],
  ['an unknown algorithm', `md5:${'a'.repeat(32)}`],
  ['no algorithm', hex],
  ['a newline after it', `sha256:${hex}\n`],
  ['a number', 7],
  ['nothing', undefined],
]
for (const [what, value] of refused) {
  test(`I04: a digest with ${what} is refused`, () => {
    assert.not(isDigest(value))
    assert.throws(
      () => parseDigest(value, 'image_invalid'),
      (error: { code?: string }) => error.code === 'image_invalid',
    )
  })
}

test('I04: sha512 works', () => {
  assert.is(parseDigest(`sha512:${'0'.repeat(128)}`), `sha512:${'0'.repeat(128)}`)
})

test.run()
