import assert from 'node:assert/strict'
import { type CapabilityName, capabilityNames, defaultCapabilities } from '../../../lib/process/confinement/capabilities.ts'
import { allowedCalls, capabilityCalls } from '../../../lib/process/confinement/seccomp/allowed.ts'
import { type CallArchitecture, callTables } from '../../../lib/process/confinement/seccomp/architectures.ts'
import { filterAllows, seccompFilter } from '../../../lib/process/confinement/seccomp/index.ts'
import { test } from '../../support/uvu.ts'
import { checkFilter, emulate } from './emulator.ts'

const ALLOW = 0x7fff0000
const KILL_PROCESS = 0x80000000
const EPERM = 0x50001
const ENOSYS = 0x50026
const families = { x64: ['x64', 'i386'], arm64: ['arm64', 'arm'] } as const
const withArguments = new Set(['clone', 'personality', 'socket'])

function namesOf(table: CallArchitecture): Map<number, string[]> {
  const names = new Map<number, string[]>()
  for (const [name, number] of callTables[table].numbers) names.set(number, [...(names.get(number) ?? []), name])
  return names
}

/** What the lists say, looked up name by name. */
function expected(names: readonly string[] | undefined, number: number, last: number, capabilities: readonly CapabilityName[]): number {
  if (!names) return ENOSYS
  const allowed = new Set<string>([...allowedCalls, ...capabilities.flatMap((each) => capabilityCalls[each] ?? [])])
  if (names.some((name) => allowed.has(name))) return ALLOW
  if (names.includes('clone3') || (number > last && number < 0xf0000)) return ENOSYS
  return EPERM
}

const capabilitySets: readonly (readonly CapabilityName[])[] = [
  [],
  defaultCapabilities,
  ['CAP_SYS_ADMIN'],
  ['CAP_SYS_PTRACE', 'CAP_SYS_TIME'],
  capabilityNames,
]

for (const arch of ['x64', 'arm64'] as const) {
  test(`every call from 0 to 512 of ${families[arch].join(' and ')} meets the fate that the lists say`, () => {
    for (const capabilities of capabilitySets) {
      const filter = seccompFilter({ capabilities, arch })
      checkFilter(filter)
      for (const table of families[arch]) {
        const names = namesOf(table)
        const numbers = [
          ...Array.from({ length: 513 }, (_, number) => number),
          0xf0001,
          0xf0002,
          0xf0003,
          0xf0004,
          0xf0005,
          0xf0006,
          0xf0007,
        ]
        for (const nr of numbers) {
          const own = names.get(nr)
          if (own?.some((name) => withArguments.has(name))) continue
          const result = emulate(filter, { nr, arch: callTables[table].auditArch })
          assert.equal(result, expected(own, nr, 466, capabilities), `${table} ${nr} ${own} with ${capabilities}`)
        }
      }
    }
  })
}

test('a call of another architecture kills the process, an x32 call and call -1 answer ENOSYS', () => {
  const filter = seccompFilter({ capabilities: capabilityNames, arch: 'x64' })
  for (const arch of [0, 8, callTables.arm64.auditArch, callTables.arm.auditArch])
    assert.equal(emulate(filter, { nr: 39, arch }), KILL_PROCESS)
  for (const nr of [0x40000000, 0x40000027, 0x40000200, 0x7fffffff, 0xffffffff]) {
    assert.equal(emulate(filter, { nr, arch: callTables.x64.auditArch }), ENOSYS)
  }
})

test('R04: clone makes threads and processes, but no namespace unless CAP_SYS_ADMIN is given', () => {
  const call = (capabilities: readonly CapabilityName[], table: 'x64' | 'i386' | 'arm64' | 'arm', flags: bigint): number => {
    const filter = seccompFilter({ capabilities, arch: table === 'x64' || table === 'i386' ? 'x64' : 'arm64' })
    return emulate(filter, { nr: callTables[table].numbers.get('clone')!, arch: callTables[table].auditArch, args: [flags] })
  }
  const namespaces = [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n, 0x40000000n]
  for (const table of ['x64', 'i386', 'arm64', 'arm'] as const) {
    for (const flags of [0x11n, 0x3d0f00n, 0x4111n, 0x80000000n | 0x11n]) assert.equal(call(defaultCapabilities, table, flags), ALLOW)
    for (const flag of namespaces) assert.equal(call(defaultCapabilities, table, flag | 0x11n), EPERM)
    for (const flag of namespaces) assert.equal(call(['CAP_SYS_ADMIN'], table, flag | 0x11n), ALLOW)
  }
})

test('R04, R05: what Docker refuses is refused, on every architecture', () => {
  // biome-ignore format: a table
  const refused = [
    'mount', 'umount2', 'pivot_root', 'unshare', 'setns', 'keyctl', 'add_key', 'request_key', 'bpf', 'perf_event_open', 'io_uring_setup',
    'io_uring_enter', 'io_uring_register', 'kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module', 'userfaultfd',
    'open_by_handle_at', 'fanotify_init', 'quotactl', 'swapon', 'swapoff', 'reboot', 'settimeofday', 'clock_settime', 'fsopen', 'fsmount',
    'move_mount', 'open_tree', 'mount_setattr', 'sethostname', 'setdomainname', 'acct', 'iopl', 'ioperm', 'uselib', 'nfsservctl', 'syslog',
    'vhangup', 'move_pages', 'pidfd_getfd', 'kcmp', 'vm86', 'create_module', '_sysctl', 'lookup_dcookie',
  ]
  for (const arch of ['x64', 'arm64'] as const) {
    const filter = seccompFilter({ capabilities: defaultCapabilities, arch })
    for (const table of families[arch]) {
      for (const name of refused) {
        const nr = callTables[table].numbers.get(name)
        if (nr !== undefined) assert.equal(emulate(filter, { nr, arch: callTables[table].auditArch }), EPERM, `${table} ${name}`)
      }
      assert.equal(emulate(filter, { nr: callTables[table].numbers.get('clone3')!, arch: callTables[table].auditArch }), ENOSYS)
    }
  }
})

test('R05: personality takes only the harmless execution domains', () => {
  for (const arch of ['x64', 'arm64'] as const) {
    const filter = seccompFilter({ capabilities: defaultCapabilities, arch })
    const ask = (value: bigint): number =>
      emulate(filter, { nr: callTables[arch].numbers.get('personality')!, arch: callTables[arch].auditArch, args: [value] })
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn]) assert.equal(ask(value), ALLOW)
    for (const value of [1n, 0x40000n, 0x400000n, 0x20001n, 0xfffffffen, 0x1_00000000n, 0x1_ffffffffn]) assert.equal(ask(value), EPERM)
  }
})

test('sockets of AF_ALG and AF_VSOCK are refused, also with a dirty upper half of the int', () => {
  for (const [arch, table] of [
    ['x64', 'x64'],
    ['x64', 'i386'],
    ['arm64', 'arm64'],
    ['arm64', 'arm'],
  ] as const) {
    const filter = seccompFilter({ capabilities: defaultCapabilities, arch })
    const ask = (family: bigint): number =>
      emulate(filter, { nr: callTables[table].numbers.get('socket')!, arch: callTables[table].auditArch, args: [family] })
    for (let family = 0n; family < 64n; family += 1n) {
      const answer = family === 38n || family === 40n ? EPERM : ALLOW
      for (const upper of [0n, 1n, 0xffffffffn]) assert.equal(ask(family | (upper << 32n)), answer, `${table} ${family} ${upper}`)
    }
  }
})

test('fakeOwnership answers the chown family with success, fakeIds the set*id family; nothing else changes', () => {
  const ownership = ['chown', 'fchown', 'lchown', 'fchownat', 'chown32', 'fchown32', 'lchown32']
  const ids = ['setuid', 'setgid', 'setreuid', 'setregid', 'setresuid', 'setresgid', 'setgroups', 'setfsuid', 'setfsgid']
  for (const arch of ['x64', 'arm64'] as const) {
    const plain = seccompFilter({ capabilities: defaultCapabilities, arch })
    for (const [options, names] of [
      [{ fakeOwnership: true }, ownership],
      [{ fakeIds: true }, [...ids, ...ids.map((id) => `${id}32`)]],
    ] as const) {
      const faked = seccompFilter({ capabilities: defaultCapabilities, arch, ...options })
      checkFilter(faked)
      for (const table of families[arch]) {
        const known = namesOf(table)
        for (let nr = 0; nr <= 512; nr += 1) {
          const data = { nr, arch: callTables[table].auditArch }
          const isFaked = known.get(nr)?.some((name) => (names as readonly string[]).includes(name))
          assert.equal(emulate(faked, data), isFaked ? 0x50000 : emulate(plain, data), `${table} ${nr}`)
        }
      }
    }
  }
})

test('a filter is compiled once for the same options', () => {
  const first = seccompFilter({ capabilities: ['CAP_KILL', 'CAP_CHOWN'], arch: 'x64' })
  assert.equal(seccompFilter({ capabilities: ['CAP_CHOWN', 'CAP_KILL'], arch: 'x64' }), first)
  assert.notEqual(seccompFilter({ capabilities: ['CAP_CHOWN', 'CAP_KILL'], arch: 'x64', fakeIds: true }), first)
})

test('the default filter is small and shallow', () => {
  const filter = seccompFilter({ capabilities: defaultCapabilities, arch: 'x64' })
  assert.ok(filter.length / 8 < 300, `${filter.length / 8} instructions`)
})

test('filterAllows tells calls that are let through whatever their arguments', () => {
  const options = { capabilities: defaultCapabilities, arch: 'x64' as const }
  assert.equal(filterAllows(['execve', 'wait4', 'prctl', 'capset', 'setresuid'], options), true)
  for (const name of ['clone', 'clone3', 'socket', 'personality', 'mount'] as const) assert.equal(filterAllows([name], options), false)
  assert.equal(filterAllows(['clone', 'clone3', 'mount'], { ...options, capabilities: ['CAP_SYS_ADMIN'] }), true)
  assert.equal(filterAllows(['chown'], { ...options, fakeOwnership: true }), false)
  assert.equal(filterAllows(['open'], { ...options, arch: 'arm64' }), true)
})

test('another architecture than x64 and arm64 is unsupported_platform', () => {
  assert.throws(() => seccompFilter({ capabilities: [], arch: 'mips' as 'x64' }), { code: 'unsupported_platform' })
})

test.run()
