// In the machine: only that groups can be made and joined from where this process is, which is what differs from user to user.

import * as assert from 'uvu/assert'
import { openCgroups } from '../../../lib/cgroups/index.ts'
import { spawnInside } from '../../cgroups/inside.ts'
import { test } from '../../support/uvu.ts'

test('a group with every limit can be made, joined and removed', async () => {
  const cgroups = await openCgroups()
  assert.is(cgroups.kind, process.env.STRAKE_EXPECT_CGROUPS, cgroups.problem)
  assert.is(cgroups.problem, undefined)
  const group = cgroups.create('place', { memory: 2 ** 25, cpus: 1, pids: 20, cpuset: '0' })
  assert.equal(group.enforced, { memory: 'cgroup', cpus: 'cgroup', pids: 'cgroup', cpuset: 'cgroup' })
  const { signal } = await spawnInside(group, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=128M', 'count=1']).ended
  assert.is(signal, 'SIGKILL')
  assert.is(group.oomKills(), 1)
  await group.remove()
  cgroups.close()
})

test.run()
