import * as assert from 'uvu/assert'
import { bandwidth, checkLimits, limitOf, weightOfShares } from '../../lib/cgroups/limits.ts'
import { StrakeError } from '../../lib/errors/error.ts'
import { test } from '../support/uvu.ts'

const refused = (error: unknown): boolean => error instanceof StrakeError && error.code === 'invalid_argument'

for (const limits of [
  { memory: 0 },
  { memory: -1 },
  { memory: 4095 },
  { memory: Number.NaN },
  { memory: 1e6 + 0.5 },
  { cpus: 0 },
  { cpus: -1 },
  { cpus: 0.0001 },
  { pids: 0 },
  { pids: 1.5 },
  { cpuShares: 1 },
  { ioWeight: 10_001 },
  { cpuset: '' },
  { cpuset: '0-' },
  { cpuset: '0\n1' },
  { cpuset: 'all' },
]) {
  test(`a limit that no kernel takes is refused by name: ${JSON.stringify(limits)}`, () => {
    const [name = ''] = Object.keys(limits)
    assert.throws(
      () => checkLimits(limits),
      (error: unknown) => refused(error) && error instanceof StrakeError && error.message.includes(name),
    )
  })
}

test('limits that a kernel takes, and Infinity, pass', () => {
  checkLimits({ memory: 2 ** 28, cpus: 0.5, cpuShares: 2, pids: 1, cpuset: '0-3,7', ioWeight: 1 })
  checkLimits({ memory: Infinity, cpus: Infinity, pids: Infinity, cpuShares: Infinity, ioWeight: Infinity })
  checkLimits({})
})

test('a quota is never below the 1 ms that the kernel asks for, and is the share that was asked for', () => {
  for (const cpus of [0.001, 0.005, 0.01, 0.5, 1, 2.5, 64]) {
    const { quota, period } = bandwidth(cpus)
    assert.ok(quota >= 1000 && period <= 1_000_000, `${cpus}: ${quota} ${period}`)
    assert.ok(Math.abs(quota / period - cpus) < 0.001, `${cpus}: ${quota} ${period}`)
  }
})

test('the ends and the defaults of cpu.shares are those of cpu.weight', () => {
  assert.is(weightOfShares(2), 1)
  assert.is(weightOfShares(1024), 100)
  assert.is(weightOfShares(262_144), 10_000)
})

test('no limit is read as Infinity in both versions of cgroups', () => {
  assert.is(limitOf('max\n'), Infinity)
  assert.is(limitOf('9223372036854771712\n'), Infinity)
  assert.is(limitOf('-1\n'), Infinity)
  assert.is(limitOf('4096\n'), 4096)
})

test.run()
