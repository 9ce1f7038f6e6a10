import * as assert from 'uvu/assert'
import { moreIds } from '../../lib/ids/index.ts'
import { test } from '../support/uvu.ts'

const map = (count: number) => [{ inside: 0, outside: 100_000, count }]

test('who needs more ids is told of /etc/subuid where that helps, and root, whose range is fixed, is not', () => {
  const ids = { uidMap: map(65_536), gidMap: map(65_536) }
  assert.match(moreIds({ kind: 'root', ...ids }), 'from 0 to 65535, and no setting gives them more')
  assert.not.match(moreIds({ kind: 'root', ...ids }), '/etc/subuid')
  assert.match(
    moreIds({ kind: 'subid', uidMap: map(2000), gidMap: map(1000) }),
    'from 0 to 999: give the user a wider range in /etc/subuid',
  )
  assert.match(moreIds({ kind: 'single', uidMap: map(1), gidMap: map(1) }), 'have one id, 0: give the user a range in /etc/subuid')
})

test.run()
