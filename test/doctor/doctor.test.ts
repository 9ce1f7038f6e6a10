import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type CheckReport, type DoctorOptions, doctor, type Machine } from '../../lib/doctor/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { idKind, isLinux } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const files: Readonly<Record<string, string>> = {
  '/proc/self/uid_map': '         0          0 4294967295\n',
  '/proc/self/gid_map': '         0          0 4294967295\n',
  '/proc/self/status': 'CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n',
  '/proc/self/limits':
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            1048576              1048576              files     \n',
  '/proc/sys/kernel/seccomp/actions_avail': 'kill_process kill_thread trap errno user_notif trace log allow\n',
  '/proc/sys/user/max_user_namespaces': '63000\n',
  '/proc/self/mountinfo':
    '22 1 0:21 / /proc rw,nosuid - proc proc rw\n23 1 0:22 / /sys rw - sysfs sysfs rw\n24 23 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n25 22 0:24 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n',
  '/etc/subuid': 'other:100000:65536\nme:165536:65536\n',
  '/etc/subgid': 'other:100000:65536\nme:165536:65536\n',
  '/etc/os-release': 'ID=ubuntu\nID_LIKE=debian\n',
}

function machine(changes: Partial<Machine> & { files?: Readonly<Record<string, string | undefined>> } = {}): Machine {
  const all: Readonly<Record<string, string | undefined>> = { ...files, ...changes.files }
  return {
    platform: 'linux',
    arch: 'x64',
    release: '6.8.0-40-generic',
    uid: 1000,
    gid: 1000,
    user: 'me',
    execPath: '/usr/bin/node',
    read: async (path) => all[path],
    stat: async (path) => ({ mode: path.includes('idmap') ? 0o104755 : 0o40755, uid: path.includes('idmap') ? 0 : 1000 }),
    fileSystem: async () => 0xef53,
    isWritable: async () => true,
    which: (command) => `/usr/bin/${command}`,
    output: async () => '',
    ...changes,
  }
}

async function ask(options: DoctorOptions & { machine: Machine }): Promise<(name: string) => CheckReport> {
  const diagnosis = await doctor({ root: '/home/me/store', tryProgram: async () => undefined, loadNative: () => undefined, ...options })
  for (const check of diagnosis.checks) assert.ok(check.ok || check.fix, `${check.name} has no fix`)
  return (name) => {
    const found = diagnosis.checks.find((check) => check.name === name)
    assert.ok(found, `no check "${name}" among ${diagnosis.checks.map((check) => check.name).join(', ')}`)
    return found
  }
}

test('a machine with everything passes every check', async () => {
  const diagnosis = await doctor({
    machine: machine(),
    root: '/home/me/store',
    tryProgram: async () => undefined,
    loadNative: () => undefined,
  })
  assert.equal(diagnosis.ok, true)
  // Cgroups are looked for on the machine that the tests run on.
  assert.deepEqual(
    diagnosis.checks.filter((check) => !check.ok && check.name !== 'cgroups'),
    [],
  )
})

interface Lack {
  readonly what: string
  readonly machine: Machine
  readonly check: string
  readonly fix: RegExp
  readonly needed: boolean
}

const lacks: readonly Lack[] = [
  {
    what: 'Debian with user namespaces switched off',
    machine: machine({ files: { '/proc/sys/kernel/unprivileged_userns_clone': '0\n' } }),
    check: 'user namespaces',
    fix: /^echo 'kernel.unprivileged_userns_clone=1' \| sudo tee \/etc\/sysctl.d\/60-strake-unprivileged_userns_clone.conf && sudo sysctl -p/,
    needed: true,
  },
  {
    what: 'Ubuntu 24.04, whose AppArmor restricts them',
    machine: machine({
      files: { '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n', '/proc/self/attr/apparmor/current': 'unconfined\n' },
    }),
    check: 'user namespaces',
    fix: /profile strake-node "\/usr\/bin\/node" flags=\(unconfined\) \{\\n {2}userns,\\n\}.*sudo tee \/etc\/apparmor.d\/strake-node && sudo apparmor_parser -r/,
    needed: true,
  },
  {
    what: 'no user namespaces left',
    machine: machine({ files: { '/proc/sys/user/max_user_namespaces': '0\n' } }),
    check: 'limits of namespaces',
    fix: /user.max_user_namespaces=28633/,
    needed: true,
  },
  {
    what: 'no network namespaces left, for root',
    machine: machine({ uid: 0, files: { '/proc/sys/user/max_net_namespaces': '0\n' } }),
    check: 'limits of namespaces',
    fix: /^echo 'user.max_net_namespaces=28633' \| tee/,
    needed: true,
  },
  { what: 'an old kernel', machine: machine({ release: '4.18.0-553.el8.x86_64' }), check: 'kernel', fix: /Upgrade/, needed: true },
  { what: 'a kernel too old for root', machine: machine({ uid: 0, release: '5.15.0-1' }), check: 'kernel', fix: /5\.19/, needed: true },
  { what: 'a processor without a native part', machine: machine({ arch: 'mips' }), check: 'system', fix: /x64 or arm64/, needed: true },
  {
    what: 'no seccomp',
    machine: machine({ files: { '/proc/sys/kernel/seccomp/actions_avail': undefined } }),
    check: 'seccomp',
    fix: /CONFIG_SECCOMP_FILTER/,
    needed: true,
  },
  {
    what: 'a user without subordinate ids',
    machine: machine({ user: 'new', uid: 1001 }),
    check: 'ids',
    fix: /^sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 new$/,
    needed: false,
  },
  {
    what: 'a uid that passwd(5) has no name for',
    machine: machine({ user: undefined, uid: 4242, gid: 4243 }),
    check: 'ids',
    fix: /^sudo sh -c 'echo strake-4242:x:4242:4243::\/:\/bin\/sh >>\/etc\/passwd; echo 4242:231072:65536 >>\/etc\/subuid; echo 4242:231072:65536 >>\/etc\/subgid'$/,
    needed: false,
  },
  {
    what: 'a user with ten of them',
    machine: machine({ files: { '/etc/subuid': 'me:100000:10\n' } }),
    check: 'ids',
    fix: /usermod/,
    needed: false,
  },
  {
    what: 'no newuidmap on Ubuntu',
    machine: machine({ which: () => undefined }),
    check: 'newuidmap',
    fix: /^sudo apt-get install -y uidmap$/,
    needed: false,
  },
  {
    what: 'no newuidmap on Fedora',
    machine: machine({ which: () => undefined, files: { '/etc/os-release': 'ID=fedora\n' } }),
    check: 'ids',
    fix: /^sudo dnf install -y shadow-utils$/,
    needed: false,
  },
  {
    what: 'a newgidmap without setuid',
    machine: machine({ stat: async () => ({ mode: 0o100755, uid: 1000 }) }),
    check: 'newgidmap',
    fix: /^sudo chmod u\+s \/usr\/bin\/newgidmap$/,
    needed: false,
  },
  {
    what: 'a service with NoNewPrivileges',
    machine: machine({ files: { '/proc/self/status': 'NoNewPrivs:\t1\n' } }),
    check: 'ids',
    fix: /NoNewPrivileges=no/,
    needed: false,
  },
  {
    what: 'a newuidmap on a file system without set-uid',
    machine: machine({
      files: { '/proc/self/mountinfo': `${files['/proc/self/mountinfo']}31 1 0:31 / /usr ro,nosuid,nodev - ext4 /dev/sdb ro\n` },
    }),
    check: 'newuidmap',
    fix: /^sudo mount -o remount,bind,suid \/usr$/,
    needed: false,
  },
  {
    what: 'root in a container of Docker’s standard kind',
    machine: machine({ uid: 0, files: { '/proc/self/status': 'CapEff:\t00000000a80425fb\n' } }),
    check: 'capabilities of root',
    fix: /ordinary user.*docker run --cap-add SYS_ADMIN --security-opt seccomp=unconfined/,
    needed: true,
  },
  {
    what: 'root in a container without any capability',
    machine: machine({ uid: 0 }),
    check: 'capabilities of root',
    fix: /--cap-add SETFCAP/,
    needed: true,
  },
  {
    what: 'a container with /proc masked',
    machine: machine({
      files: { '/proc/self/mountinfo': `${files['/proc/self/mountinfo']}30 22 0:30 / /proc/kcore rw - tmpfs tmpfs rw\n` },
    }),
    check: '/proc in full sight',
    fix: /systempaths=unconfined/,
    needed: false,
  },
  {
    what: 'a store on overlayfs',
    machine: machine({ fileSystem: async () => 0x794c7630 }),
    check: 'file system of the store',
    fix: /STRAKE_ROOT/,
    needed: true,
  },
  {
    what: 'a store on CIFS, as a signed number',
    machine: machine({ fileSystem: async () => 0xff534d42 | 0 }),
    check: 'file system of the store',
    fix: /STRAKE_ROOT/,
    needed: true,
  },
  {
    what: 'a store on an old tmpfs',
    machine: machine({ release: '6.1.0-18-amd64', fileSystem: async () => 0x01021994 }),
    check: 'file system of the store',
    fix: /ext4/,
    needed: true,
  },
  {
    what: 'a store of somebody else',
    machine: machine({ stat: async () => ({ mode: 0o40755, uid: 0 }), isWritable: async () => false }),
    check: 'store',
    fix: /^sudo find '\/home\/me\/store' -uid 0 -exec chown -h 1000 \{\} \+/,
    needed: true,
  },
  {
    what: 'a store that root has used once',
    machine: machine({
      stat: async (path) => ({ mode: 0o40755, uid: path.endsWith('index.json') ? 0 : 1000 }),
      isWritable: async (path) => !path.endsWith('index.json'),
    }),
    check: 'store',
    fix: /^sudo find .* -uid 0 -exec chown -h 1000/,
    needed: true,
  },
  {
    what: 'a store of an ordinary user, for root',
    machine: machine({ uid: 0 }),
    check: 'store',
    fix: /of root’s own/,
    needed: true,
  },
  {
    what: 'a store that cannot be made',
    machine: machine({ isWritable: async () => false }),
    check: 'store',
    fix: /STRAKE_ROOT/,
    needed: true,
  },
  {
    what: 'few open files, which ulimit may raise',
    machine: machine({ files: { '/proc/self/limits': 'Max open files            256                  524288               files\n' } }),
    check: 'open files',
    fix: /^ulimit -n 4096$/,
    needed: false,
  },
  {
    what: 'too few open files for one container',
    machine: machine({ files: { '/proc/self/limits': 'Max open files            28                  524288               files\n' } }),
    check: 'open files',
    fix: /^ulimit -n 4096$/,
    needed: true,
  },
  {
    what: 'few open files for good',
    machine: machine({ files: { '/proc/self/limits': 'Max open files            256                  256                  files\n' } }),
    check: 'open files',
    fix: /limits\.d/,
    needed: false,
  },
]

for (const lack of lacks) {
  test(`${lack.what}: the check "${lack.check}" fails, with the command that mends it`, async () => {
    const report = (await ask({ machine: lack.machine }))(lack.check)
    assert.equal(report.ok, false)
    assert.equal(report.needed, lack.needed)
    assert.match(report.fix ?? '', lack.fix)
  })
}

test('a store of somebody else that everybody may use is a store', async () => {
  const open = machine({ stat: async () => ({ mode: 0o40777, uid: 0 }) })
  assert.equal((await ask({ machine: open }))('store').ok, true)
})

test('AppArmor’s restriction is none for a Node that has a profile, nor for root; file capabilities do as well as setuid', async () => {
  const restricted = { '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n' }
  const profiled = machine({ files: { ...restricted, '/proc/self/attr/apparmor/current': 'strake-node (unconfined)\n' } })
  assert.equal((await ask({ machine: profiled }))('user namespaces').ok, true)
  assert.equal((await ask({ machine: machine({ uid: 0, files: restricted }) }))('user namespaces').ok, true)
  const capable = machine({
    stat: async (path) => ({ mode: path.includes('idmap') ? 0o100755 : 0o40755, uid: 1000 }),
    output: async (_, [path]) => `${path} cap_setuid=ep\n`,
  })
  assert.equal((await ask({ machine: capable }))('newuidmap').ok, true)
})

test('elsewhere than on Linux one check says where to go, and nothing native is loaded', async () => {
  for (const [platform, place] of [
    ['darwin', /lima/],
    ['win32', /wsl/],
  ] as const) {
    const loadNative = (): void => assert.fail('loaded')
    const diagnosis = await doctor({ machine: machine({ platform }), loadNative, tryProgram: () => assert.fail('tried') })
    assert.equal(diagnosis.ok, false)
    assert.equal(diagnosis.checks.length, 1)
    assert.match(diagnosis.checks[0]?.fix ?? '', place)
  }
})

test('root with all capabilities lacks none; nor does one that has no CAP_SYS_ADMIN and one id to map', async () => {
  for (const capEff of ['000001ffffffffff', '0000000080000000']) {
    const root = machine({ uid: 0, files: { '/proc/self/status': `CapEff:\t${capEff}\n` } })
    assert.equal((await ask({ machine: root }))('capabilities of root').ok, true)
  }
})

test('a native part that does not load is told with what its own error says of it', async () => {
  const refusal = new StrakeError('unsupported_platform', 'It is missing.', { hint: "Build it: cd '/p' && npx -y node-gyp rebuild" })
  const check = await ask({
    machine: machine(),
    loadNative: () => {
      throw refusal
    },
  })
  assert.equal(check('native part').detail, 'It is missing.')
  assert.equal(check('native part').fix, refusal.hint)
})

test('what a trial was refused is shown with its own hint, and the overlay is not tried without namespaces', async () => {
  const refusal = new StrakeError('kernel_refused', 'mountSetattr: EINVAL, no.', { hint: 'Put STRAKE_ROOT on ext4.' })
  const check = await ask({ machine: machine(), tryProgram: async () => Promise.reject(refusal) })
  assert.equal(check('a container’s namespaces').detail, 'mountSetattr: EINVAL, no.')
  assert.equal(check('a container’s namespaces').fix, 'Put STRAKE_ROOT on ext4.')
  assert.match(check('overlay in the store').detail, /not tried/)
})

test('an overlay that is refused fails its own check, and what the trial made is removed', async () => {
  const ops: string[] = []
  const tryProgram: NonNullable<DoctorOptions['tryProgram']> = async (mounts, inside) => {
    ops.push(...[...mounts, ...inside].map((op) => op.op))
    if (mounts.some((op) => op.op === 'mount' && op.type === 'overlay')) throw new StrakeError('kernel_refused', 'mount: EINVAL, no.')
  }
  const check = await ask({ machine: machine(), tryProgram })
  assert.equal(check('a container’s namespaces').ok, true)
  assert.match(check('overlay in the store').fix ?? '', /STRAKE_ROOT/)
  assert.equal(ops.at(-1), 'removeTree')
})

test('a check of somebody else’s is asked too; one that breaks is a failing check and no rejection', async () => {
  const checks = [
    { name: 'mine', needed: false, run: () => ({ ok: true, detail: 'fine' }) },
    { name: 'broken', run: () => Promise.reject(new Error('oh\nno')) },
  ]
  const check = await ask({ machine: machine(), checks })
  assert.deepEqual(check('mine'), { name: 'mine', ok: true, needed: false, detail: 'fine' })
  assert.match(check('broken').detail, /oh$/)
})

test('printed it is a table without control characters', async () => {
  const checks = [{ name: 'x', run: () => ({ ok: false, detail: '\u001b[31mred\n', fix: 'do\u0007' }) }]
  const diagnosis = await doctor({
    machine: machine(),
    root: '/home/me/store',
    tryProgram: async () => undefined,
    loadNative: () => undefined,
    checks,
  })
  const text = String(diagnosis)
  assert.equal(inspect(diagnosis), text)
  assert.match(text, /^✓ system {2,}Linux on x64$/m)
  assert.match(text, /^✗ x {2,}\?\[31mred\?$/m)
  assert.match(text, /^ +→ do\?$/m)
  assert.match(text, /mend what is marked ✗/)
  assert.deepEqual(JSON.parse(JSON.stringify(diagnosis)).ok, false)
})

test('on this machine containers can run, every lack has a fix, and nothing is left of the trials', async () => {
  if (!isLinux) return
  using directory = temporaryDirectory('doctor')
  const root = join(directory.path, 'store')
  const diagnosis = await doctor({ root })
  assert.equal(diagnosis.ok, true, String(diagnosis))
  for (const check of diagnosis.checks) assert.ok(check.ok || check.fix, check.name)
  const ids = diagnosis.checks.find((check) => check.name === 'ids')
  assert.equal(ids?.ok, idKind !== 'single')
  assert.equal(existsSync(root), false)
})

test.run()
