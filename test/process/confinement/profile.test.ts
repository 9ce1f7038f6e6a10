import assert from 'node:assert/strict'
import { defaultCapabilities } from '../../../lib/process/confinement/capabilities.ts'
import { callTables } from '../../../lib/process/confinement/seccomp/architectures.ts'
import { compileRules, type Rule } from '../../../lib/process/confinement/seccomp/compile.ts'
import { type Condition, comparisons } from '../../../lib/process/confinement/seccomp/condition.ts'
import { filterAllows, profileFlags, type SeccompProfile, seccompFilter } from '../../../lib/process/confinement/seccomp/index.ts'
import { profileRules } from '../../../lib/process/confinement/seccomp/profile.ts'
import { test } from '../../support/uvu.ts'
import { checkFilter, emulate } from './emulator.ts'

const ALLOW = 0x7fff0000
const EPERM = 0x50001
const ENOSYS = 0x50026
const KILL_PROCESS = 0x80000000
const x64 = callTables.x64

function ask(profile: SeccompProfile, name: string, args: readonly bigint[] = [], capabilities = defaultCapabilities): number {
  const filter = seccompFilter({ capabilities, profile, arch: 'x64' })
  checkFilter(filter)
  return emulate(filter, { nr: x64.numbers.get(name)!, arch: x64.auditArch, args })
}

const allowRead: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] }],
  syscalls: [
    { names: ['read', 'getpid'], action: 'SCMP_ACT_ALLOW' },
    { name: 'write', action: 'SCMP_ACT_ERRNO', errnoRet: 5 },
    { names: ['mount'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
    {
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      excludes: { caps: ['CAP_SYS_ADMIN'] },
      args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    },
    { names: ['kill'], action: 'SCMP_ACT_KILL' },
    { names: ['tkill'], action: 'SCMP_ACT_TRAP' },
    { names: ['pause'], action: 'SCMP_ACT_LOG' },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
    { names: ['bpf'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '99.0' } },
    { names: ['acct'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm64'] } },
    { names: ['getuid'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64', 'x32'] } },
    { names: ['riscv_hwprobe', 'a_call_of_the_future'], action: 'SCMP_ACT_ALLOW' },
  ],
}

test('a profile in Docker’s format does what it says', () => {
  assert.equal(ask(allowRead, 'read'), ALLOW)
  assert.equal(ask(allowRead, 'write'), 0x50005)
  assert.equal(ask(allowRead, 'lseek'), EPERM)
  assert.equal(ask(allowRead, 'kill'), 0)
  assert.equal(ask(allowRead, 'tkill'), 0x30000)
  assert.equal(ask(allowRead, 'pause'), 0x7ffc0000)
  assert.equal(ask(allowRead, 'mount'), EPERM)
  assert.equal(ask(allowRead, 'mount', [], ['CAP_SYS_ADMIN']), ALLOW)
  assert.equal(ask(allowRead, 'clone', [0x11n]), ALLOW)
  assert.equal(ask(allowRead, 'clone', [0x10000011n]), EPERM)
  assert.equal(ask(allowRead, 'clone', [0x11n], ['CAP_SYS_ADMIN']), EPERM)
  assert.equal(ask(allowRead, 'ptrace'), ALLOW)
  assert.equal(ask(allowRead, 'acct'), EPERM)
  assert.equal(ask(allowRead, 'getuid'), ALLOW)
  assert.equal(ask(allowRead, 'openat2'), ENOSYS)
})

test('a profile that names no 32-bit architecture kills its calls', () => {
  const filter = (profile: SeccompProfile): Uint8Array => seccompFilter({ capabilities: [], profile, arch: 'x64' })
  const call = { nr: callTables.i386.numbers.get('getpid')!, arch: callTables.i386.auditArch }
  assert.equal(emulate(filter(allowRead), call), ALLOW)
  assert.equal(emulate(filter({ ...allowRead, archMap: [] }), call), KILL_PROCESS)
  assert.equal(emulate(filter({ ...allowRead, archMap: null, architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'] }), call), ALLOW)
})

test('a list of what is forbidden lets the rest through, newer calls too, but never x32', () => {
  const profile: SeccompProfile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mount'], action: 'SCMP_ACT_ERRNO' }] }
  const filter = seccompFilter({ capabilities: [], profile, arch: 'x64' })
  checkFilter(filter)
  assert.equal(ask(profile, 'mount'), EPERM)
  assert.equal(ask(profile, 'listns'), ALLOW)
  assert.equal(emulate(filter, { nr: 5000, arch: x64.auditArch }), ALLOW)
  assert.equal(emulate(filter, { nr: 0x40000000 + x64.numbers.get('mount')!, arch: x64.auditArch }), ENOSYS)
})

test('where several rules fit, the strictest decides, in any order', () => {
  const rules = [
    { names: ['socket'], action: 'SCMP_ACT_ALLOW' },
    { names: ['socket'], action: 'SCMP_ACT_ERRNO', errnoRet: 97, args: [{ index: 0, value: 38, op: 'SCMP_CMP_EQ' }] },
    {
      names: ['socket'],
      action: 'SCMP_ACT_KILL_PROCESS',
      args: [
        { index: 0, value: 40, op: 'SCMP_CMP_EQ' },
        { index: 1, value: 3, op: 'SCMP_CMP_GE' },
      ],
    },
  ]
  for (const syscalls of [rules, [...rules].reverse()]) {
    const profile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls }
    assert.equal(ask(profile, 'socket', [2n, 1n]), ALLOW)
    assert.equal(ask(profile, 'socket', [38n, 5n]), 0x50061)
    assert.equal(ask(profile, 'socket', [40n, 2n]), ALLOW)
    assert.equal(ask(profile, 'socket', [40n, 3n]), KILL_PROCESS)
    assert.equal(filterAllows(['socket'], { capabilities: [], profile, arch: 'x64' }), false)
  }
})

test('two conditions on one argument mean either of them', () => {
  const args = [
    { index: 0, value: 0, op: 'SCMP_CMP_EQ' },
    { index: 0, value: 8, op: 'SCMP_CMP_EQ' },
  ]
  const profile = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['personality'], action: 'SCMP_ACT_ALLOW', args }] }
  for (const [value, answer] of [
    [0n, ALLOW],
    [8n, ALLOW],
    [1n, EPERM],
  ] as const)
    assert.equal(ask(profile, 'personality', [value]), answer)
})

test('a profile in error is invalid_argument, and says where', () => {
  const rule = { names: ['read'], action: 'SCMP_ACT_ALLOW' }
  const deny = 'SCMP_ACT_ERRNO'
  const argument = { index: 0, value: 1, op: 'SCMP_CMP_EQ' }
  const wrong: readonly unknown[] = [
    'unconfined',
    5,
    [],
    {},
    { defaultAction: 'ALLOW' },
    { defaultAction: 'SCMP_ACT_ALOW' },
    { defaultAction: 'SCMP_ACT_toString' },
    { defaultAction: deny, defaultErrnoRet: 5000 },
    { defaultAction: deny, defaultErrnoRet: -1 },
    { defaultAction: deny, defaultErrnoRet: 'EPERM' },
    { defaultAction: deny, syscalls: {} },
    { defaultAction: deny, syscalls: [null] },
    { defaultAction: deny, syscalls: [{ action: 'SCMP_ACT_ALLOW' }] },
    { defaultAction: deny, syscalls: [{ ...rule, action: 'SCMP_ACT_NOTIFY' }] },
    { defaultAction: deny, syscalls: [{ ...rule, name: 'write' }] },
    { defaultAction: deny, syscalls: [{ ...rule, errnoRet: 1 }] },
    { defaultAction: deny, syscalls: [{ ...rule, args: [{ ...argument, index: 6 }] }] },
    { defaultAction: deny, syscalls: [{ ...rule, args: [{ ...argument, index: 0.5 }] }] },
    { defaultAction: deny, syscalls: [{ ...rule, args: [{ ...argument, op: 'SCMP_CMP_XX' }] }] },
    { defaultAction: deny, syscalls: [{ ...rule, args: [{ ...argument, value: -1 }] }] },
    { defaultAction: deny, syscalls: [{ ...rule, args: [{ ...argument, value: 2 ** 64 }] }] },
    { defaultAction: deny, syscalls: [{ ...rule, includes: { minKernel: 'four' } }] },
    { defaultAction: deny, syscalls: [{ ...rule, names: 'read' }] },
    { defaultAction: deny, architectures: ['SCMP_ARCH_X86'], archMap: [{ architecture: 'SCMP_ARCH_X86_64' }] },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['muont'], action: deny }] },
  ]
  for (const profile of wrong) {
    assert.throws(
      () => seccompFilter({ capabilities: [], profile: profile as SeccompProfile, arch: 'x64' }),
      { code: 'invalid_argument' },
      JSON.stringify(profile),
    )
  }
  assert.throws(() => profileFlags({ defaultAction: deny, flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] }), { code: 'invalid_argument' })
  assert.deepEqual(profileFlags({ defaultAction: deny, flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC'] }), [
    'SECCOMP_FILTER_FLAG_LOG',
  ])
})

test('minKernel compares with the kernel as Docker does', () => {
  const profile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } }],
  }
  const count = (kernel: string): number => profileRules(profile, { capabilities: [], arch: 'x64', kernel }).rules.length
  for (const kernel of ['4.8', '4.8.0-rc1', '4.10.3-generic', '5.0', '6.18.44-fc']) assert.equal(count(kernel), 1, kernel)
  for (const kernel of ['4.7.99', '3.19', '4.2']) assert.equal(count(kernel), 0, kernel)
})

test('a profile too large for the kernel is limit_exceeded', () => {
  const args = (value: number) => [{ index: 0, value, op: 'SCMP_CMP_EQ' }]
  const syscalls = Array.from({ length: 5000 }, (_, value) => ({ names: ['ioctl'], action: 'SCMP_ACT_ALLOW', args: args(value) }))
  assert.throws(() => seccompFilter({ capabilities: [], profile: { defaultAction: 'SCMP_ACT_ERRNO', syscalls } }), {
    code: 'limit_exceeded',
  })
})

/** A generator of numbers that is the same on every run (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

const corners = [
  0n,
  1n,
  5n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x1_00000000n,
  0x1_00000005n,
  0x7fffffff_ffffffffn,
  0xffffffff_ffffffffn,
]

function holds(condition: Condition, args: readonly bigint[]): boolean {
  const value = args[condition.index]!
  switch (condition.compare) {
    case 'EQ':
      return value === condition.value
    case 'NE':
      return value !== condition.value
    case 'LT':
      return value < condition.value
    case 'LE':
      return value <= condition.value
    case 'GT':
      return value > condition.value
    case 'GE':
      return value >= condition.value
    case 'MASKED_EQ':
      return (value & condition.mask!) === condition.value
  }
}

test('any rules compile to a filter that decides as the rules do, long ones with far jumps too', () => {
  const next = random(7)
  const pick = <T>(list: readonly T[]): T => list[next(list.length)]!
  const names = [...x64.numbers.keys()]
  const actions = [ALLOW, 0x50002, 0x50016, 0x30000, 0x7ffc0000, KILL_PROCESS, 0]
  let farJumps = 0
  for (let round = 0; round < 60; round += 1) {
    const size = 1 + next(round < 40 ? 12 : 220)
    const rules = Array.from({ length: size }, (): Rule => {
      const conditions = Array.from({ length: next(4) }, (): Condition => {
        const compare = pick(comparisons)
        return { index: next(6), compare, value: pick(corners), ...(compare === 'MASKED_EQ' ? { mask: pick(corners) } : {}) }
      })
      return { names: Array.from({ length: 1 + next(3) }, () => pick(names)), action: pick(actions), conditions }
    })
    const filter = compileRules({ architectures: ['x64'], fallback: ALLOW, rules })
    checkFilter(filter)
    for (let at = 0; at < filter.length; at += 8) if (filter[at] === 0x05) farJumps += 1
    for (const name of new Set(rules.flatMap((rule) => rule.names))) {
      for (let call = 0; call < 8; call += 1) {
        const args = Array.from({ length: 6 }, () => pick(corners))
        const fitting = rules.filter((rule) => rule.names.includes(name) && rule.conditions!.every((each) => holds(each, args)))
        const strictest = Math.min(ALLOW | 0, ...fitting.map((rule) => (rule.action & 0xffff0000) | 0))
        const found = emulate(filter, { nr: x64.numbers.get(name)!, arch: x64.auditArch, args })
        assert.equal((found & 0xffff0000) | 0, strictest, `round ${round}: ${name}(${args})`)
      }
    }
  }
  assert.ok(farJumps > 0, 'no filter was long enough')
})

test.run()
