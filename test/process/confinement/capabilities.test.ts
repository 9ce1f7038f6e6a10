import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  type Capability,
  capabilityMask,
  capabilityNames,
  defaultCapabilities,
  maskedPaths,
  parseRlimits,
  readonlyPaths,
  resolveCapabilities,
  rlimitNames,
  throttlePaths,
} from '../../../lib/process/confinement/index.ts'
import { test } from '../../support/uvu.ts'

const invalid = { code: 'invalid_argument' }

test('the default set is Docker’s: 14 of 41', () => {
  assert.equal(capabilityNames.length, 41)
  assert.equal(defaultCapabilities.length, 14)
  assert.equal(capabilityMask(defaultCapabilities), 0xa80425fb)
  assert.deepEqual(resolveCapabilities(), defaultCapabilities)
})

test('add and drop follow Docker’s rules, with or without CAP_, in any case', () => {
  assert.deepEqual(resolveCapabilities({ drop: ['ALL'] }), [])
  assert.deepEqual(resolveCapabilities({ drop: ['all'], add: ['net_admin', 'CAP_CHOWN'] }), ['CAP_CHOWN', 'CAP_NET_ADMIN'])
  assert.deepEqual(resolveCapabilities({ add: ['ALL'] }), capabilityNames)
  assert.deepEqual(
    resolveCapabilities({ add: ['ALL'], drop: ['sys_admin'] }),
    capabilityNames.filter((name) => name !== 'CAP_SYS_ADMIN'),
  )
  assert.equal(resolveCapabilities({ add: ['SYS_PTRACE', 'cap_sys_ptrace'], drop: ['MKNOD', 'NET_RAW'] }).length, 13)
  assert.ok(resolveCapabilities({ add: ['KILL'], drop: ['KILL'] }).includes('CAP_KILL'))
})

test('an unknown capability is invalid_argument, however long', () => {
  for (const name of ['', 'CAP_', 'NET-ADMIN', 'CAP_ALL', 'toString', '__proto__', 'X'.repeat(1_000_000)]) {
    assert.throws(
      () => resolveCapabilities({ add: [name as Capability] }),
      (error: Error & { code?: string }) => error.code === 'invalid_argument' && error.message.length < 300,
    )
    assert.throws(() => resolveCapabilities({ drop: [name as Capability] }), invalid)
  }
  assert.throws(() => resolveCapabilities({ add: [7 as unknown as Capability] }), invalid)
})

test('a mask has the bit of each capability once', () => {
  assert.equal(capabilityMask(['CAP_CHOWN', 'CAP_CHOWN']), 1)
  assert.equal(capabilityMask(['CAP_CHECKPOINT_RESTORE']), 2 ** 40)
  assert.equal(capabilityMask(capabilityNames), 2 ** 41 - 1)
})

test('limits are pairs for prlimit, in the order of their numbers', () => {
  assert.deepEqual(parseRlimits({ nofile: [1024, 'unlimited'], core: 0 }), [
    { resource: 4, soft: 0, hard: 0 },
    { resource: 7, soft: 1024, hard: Number.POSITIVE_INFINITY },
  ])
  assert.deepEqual(parseRlimits(), [])
  assert.equal(rlimitNames.length, 16)
})

test('an unknown limit, a limit that is none, soft above hard: invalid_argument', () => {
  const wrong: readonly unknown[] = [
    { files: 1 },
    { nofile: -1 },
    { nofile: 1.5 },
    { nofile: '5' },
    { nofile: [2, 1] },
    { nofile: ['unlimited', 5] },
    { nofile: [1] },
    { nofile: [1, 2, 3] },
    { nofile: null },
  ]
  for (const rlimits of wrong) assert.throws(() => parseRlimits(rlimits as Record<string, number>), invalid, JSON.stringify(rlimits))
})

test('masked and read-only paths are absolute and apart', () => {
  const all = [...maskedPaths, ...readonlyPaths, ...throttlePaths()]
  assert.equal(new Set(all).size, all.length)
  for (const each of all) assert.match(each, /^\/(proc|sys)\//)
  for (const each of throttlePaths()) assert.ok(existsSync(each))
  for (const each of ['/proc/kcore', '/proc/keys', '/sys/firmware']) assert.ok(maskedPaths.includes(each))
})

test.run()
