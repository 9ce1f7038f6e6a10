import * as assert from 'uvu/assert'
import { parseChallenges } from '../../../lib/registry/client/challenge.ts'
import { test } from '../../support/uvu.ts'

const challenges: readonly [string, object[]][] = [
  ['Basic realm="x"', [{ scheme: 'basic', realm: 'x' }]],
  [
    'Bearer realm="https://a/b?c=d,e",service="s",scope="a:b:c,d"',
    [{ scheme: 'bearer', realm: 'https://a/b?c=d,e', service: 's', scope: 'a:b:c,d' }],
  ],
  ['bearer REALM = "a" , service=b', [{ scheme: 'bearer', realm: 'a', service: 'b' }]],
  [
    'Negotiate, Basic realm="x", Bearer realm="y"',
    [{ scheme: 'negotiate' }, { scheme: 'basic', realm: 'x' }, { scheme: 'bearer', realm: 'y' }],
  ],
  ['Basic realm="a\\"b\\\\c"', [{ scheme: 'basic', realm: 'a"b\\c' }]],
  ['Basic realm="never ends', [{ scheme: 'basic' }]],
  ['Basic realm="one", realm="two"', [{ scheme: 'basic', realm: 'one' }]],
  [',,,', []],
  ['', []],
  ['=', []],
  [`Basic realm="${'x'.repeat(10_000)}"`, []],
]
for (const [header, expected] of challenges) {
  test(`the challenge ${header.slice(0, 60)} is read`, () => {
    const read = parseChallenges([header]).map(({ scheme, parameters }) => ({ scheme, ...Object.fromEntries(parameters) }))
    assert.equal(read, expected)
  })
}

test.run()
