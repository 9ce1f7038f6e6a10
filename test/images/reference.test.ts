import * as assert from 'uvu/assert'
import { familiarReference, formatReference, parseReference } from '../../lib/images/index.ts'
import { test } from '../support/uvu.ts'

const hex = 'ab'.repeat(32)
const digest = `sha256:${hex}`

/** Input, all of it, as people write it. */
const valid: readonly [string, string, string][] = [
  ['debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['debian:12', 'docker.io/library/debian:12', 'debian:12'],
  ['library/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['docker.io/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['index.docker.io/library/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
  ['a/b/c/d', 'docker.io/a/b/c/d:latest', 'a/b/c/d:latest'],
  ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest', 'localhost:5000/app:latest'],
  ['127.0.0.1:5000/app:2', '127.0.0.1:5000/app:2', '127.0.0.1:5000/app:2'],
  ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
  ['[2001:db8::1]/app:1', '[2001:db8::1]/app:1', '[2001:db8::1]/app:1'],
  ['ghcr.io/org/app', 'ghcr.io/org/app:latest', 'ghcr.io/org/app:latest'],
  ['Host/app', 'Host/app:latest', 'Host/app:latest'],
  ['app:Tag_1.2-3', 'docker.io/library/app:Tag_1.2-3', 'app:Tag_1.2-3'],
  [`app:${'t'.repeat(128)}`, `docker.io/library/app:${'t'.repeat(128)}`, `app:${'t'.repeat(128)}`],
  [`app@${digest}`, `docker.io/library/app@${digest}`, `app@${digest}`],
  [`app:1@${digest}`, `docker.io/library/app:1@${digest}`, `app:1@${digest}`],
  [`h:5/a/b@sha512:${'0'.repeat(128)}`, `h:5/a/b@sha512:${'0'.repeat(128)}`, `h:5/a/b@sha512:${'0'.repeat(128)}`],
  ['a_b', 'docker.io/library/a_b:latest', 'a_b:latest'],
  ['a__b', 'docker.io/library/a__b:latest', 'a__b:latest'],
  ['a---b.c', 'docker.io/library/a---b.c:latest', 'a---b.c:latest'],
  ['abcdef', 'docker.io/library/abcdef:latest', 'abcdef:latest'],
  ['app:5000', 'docker.io/library/app:5000', 'app:5000'],
  [`${hex}:x`, `docker.io/library/${hex}:x`, `docker.io/library/${hex}:x`],
  [`${hex}@${digest}`, `docker.io/library/${hex}@${digest}`, `docker.io/library/${hex}@${digest}`],
  [`registry.example/${'n'.repeat(255)}:1`, `registry.example/${'n'.repeat(255)}:1`, `registry.example/${'n'.repeat(255)}:1`],
  ['library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
]
for (const [text, whole, familiar] of valid) {
  test(`${text.slice(0, 60)} is ${whole.slice(0, 60)}`, () => {
    const reference = parseReference(text)
    assert.is(formatReference(reference), whole)
    assert.is(familiarReference(reference), familiar)
    assert.equal(parseReference(whole), reference, 'all of it reads the same')
    assert.equal(parseReference(familiar), reference, 'as people write it reads the same')
  })
}

const invalid: readonly [string, string][] = [
  ['nothing', ''],
  ['a space', 'a b'],
  ['a leading space', ' a'],
  ['a newline', 'a\n'],
  ['I11: ..', '../a'],
  ['I11: .. inside', 'a/../b'],
  ['I11: an escape', 'a%2eb'],
  ['upper case', 'Debian'],
  ['upper case in a repository', 'host.x/App'],
  ['a leading slash', '/a'],
  ['a trailing slash', 'a/'],
  ['a double slash', 'a//b'],
  ['a leading dash', '-a'],
  ['a trailing dash', 'a-'],
  ['three underscores', 'a___b'],
  ['two dots', 'a..b'],
  ['an empty tag', 'a:'],
  ['a tag with a leading dot', 'a:.b'],
  ['a tag with a slash', 'a:b/c'],
  ['I11: a tag of 129 characters', `a:${'t'.repeat(129)}`],
  ['I11: a name of 300 characters', 'n'.repeat(300)],
  ['I11: a reference of 3,000', 'n'.repeat(3000)],
  ['I11: a tag that looks like a digest', `a:sha256:${hex}`],
  ['I04: 63 digits', `a@sha256:${hex.slice(1)}`],
  ['I04: upper-case digits', `a@sha256:${hex.toUpperCase()}`],
  ['I04: a path for a digest', 'a@sha256:../../x'],
  ['an unknown algorithm', `a@md5:${'0'.repeat(32)}`],
  ['two digests', `a@${digest}@${digest}`],
  ['an image id', hex],
  ['a repository of 256 characters', `registry.example/${'n'.repeat(256)}`],
  ['a host with an underscore', 'foo_bar.com/x'],
  ['only a tag', ':latest'],
  ['only a digest', `@${digest}`],
  ['a scheme', 'https://host/a'],
  ['a port that is none', 'host:port/a'],
  ['a NUL', 'a\0b'],
  ['letters beyond ASCII', 'dëbian'],
  ['a host with a trailing dash', 'host-.x/a'],
]
for (const [what, text] of invalid) {
  test(`a reference with ${what} is refused`, () => {
    assert.throws(
      () => parseReference(text),
      (error: { code?: string; hint?: string }) => error.code === 'invalid_reference' && typeof error.hint === 'string',
    )
  })
}

test('what is no string is refused as a reference, not as a TypeError', () => {
  assert.throws(
    () => parseReference(undefined as unknown as string),
    (error: { code?: string }) => error.code === 'invalid_reference',
  )
})

test.run()
