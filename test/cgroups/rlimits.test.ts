import * as assert from 'uvu/assert'
import { rlimitsFor } from '../../lib/cgroups/index.ts'
import { flags } from '../../lib/sys/index.ts'
import { test } from '../support/uvu.ts'

test('memory and pids become resource limits, and what none can do is said', () => {
  const { ops, enforced } = rlimitsFor({ memory: 2 ** 26, pids: 10, cpus: 0.5, oomGroup: false })
  assert.equal(ops, [
    { op: 'prlimit', resource: flags.RLIMIT.RLIMIT_DATA, soft: 2 ** 26, hard: 2 ** 26 },
    { op: 'prlimit', resource: flags.RLIMIT.RLIMIT_NPROC, soft: 10, hard: 10 },
  ])
  assert.equal(enforced, { memory: 'rlimit', pids: 'rlimit', cpus: 'none' })
})

test('what a cgroup enforces gets no resource limit besides', () => {
  const { ops, enforced } = rlimitsFor({ memory: 2 ** 26, pids: 10 }, { memory: 'cgroup', pids: 'none' })
  assert.equal(
    ops.map((op) => op.op),
    ['prlimit'],
  )
  assert.equal(enforced, { memory: 'cgroup', pids: 'rlimit' })
})

test('no limits, no ops', () => {
  assert.equal(rlimitsFor({}), { ops: [], enforced: {} })
  assert.equal(rlimitsFor({ memory: Infinity }), { ops: [], enforced: { memory: 'none' } })
})

test.run()
