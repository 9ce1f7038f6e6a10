// HOSTILE.md, "Running containers": what code in a container asks of the kernel. R04, R05, R06, R10.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { idKind } from '../support/machine.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { arena, outcomes } from './arena.ts'

const kinds = ['user', 'mount', 'pid', 'uts', 'ipc', 'net', 'cgroup', 'time']

const refusals: readonly { id: string; what: string; argv: readonly string[]; tried: readonly string[]; answers: readonly string[] }[] = [
  {
    id: 'R04',
    what: 'mounts stay as they are',
    argv: ['namespaces'],
    tried: [
      ...['tmpfs', 'proc', 'bind'].map((name) => `mount ${name}`),
      ...['rw', 'root'].map((name) => `remount ${name}`),
      ...['mask', 'read-only', 'proc'].map((name) => `umount ${name}`),
      ...['propagation', 'pivot_root', 'open_tree', 'move_mount', 'fsopen', 'fspick', 'mount_setattr'],
    ],
    answers: ['EPERM'],
  },
  {
    id: 'R04',
    what: 'no namespace of any kind is made or entered',
    argv: ['namespaces'],
    tried: kinds.flatMap((kind) => [`unshare ${kind}`, `setns ${kind}`, ...(kind === 'time' ? [] : [`clone ${kind}`])]),
    answers: ['EPERM'],
  },
  // Its flags are out of a filter's sight, and a libc that hears ENOSYS goes back to clone(2).
  { id: 'R04', what: 'clone3 is not there', argv: ['namespaces'], tried: ['clone3', 'clone3 user'], answers: ['ENOSYS'] },
  {
    id: 'R05',
    what: "what Docker's profile refuses is refused",
    argv: ['calls'],
    // biome-ignore format: words, not a column
    tried: [
      'keyctl', 'add_key', 'request_key', 'bpf', 'perf_event_open', 'io_uring_setup', 'io_uring_enter', 'io_uring_register', 'kexec_load',
      'init_module', 'finit_module', 'delete_module', 'userfaultfd', 'open_by_handle_at', 'fanotify_init', 'quotactl', 'swapon', 'swapoff',
      'reboot', 'settimeofday', 'clock_settime', 'personality', 'acct', 'syslog', 'vhangup', 'move_pages', 'kcmp', 'lookup_dcookie',
      'socket vsock',
    ],
    answers: ['EPERM'],
  },
]

for (const { id, what, argv, tried, answers } of refusals) {
  test(`${id}: ${what}`, async () => {
    const { stdout } = await (await arena()).exec(['/probe', ...argv])
    const ends = outcomes(stdout)
    for (const each of tried) assert.ok(answers.includes(ends.get(each) ?? 'not tried'), `${each}: ${ends.get(each) ?? 'not tried'}`)
  })

  test(`${id}: ${what}, to an exec in a running container and to another user as well`, async () => {
    await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
    for (const user of ['0', '1000']) {
      const { stdout } = await container.exec(['/probe', ...argv], { user })
      const ends = outcomes(stdout)
      // With one id, a user other than root is root's in a user namespace inside; the filter is the same.
      for (const each of tried)
        assert.ok(answers.includes(ends.get(each) ?? 'not tried'), `${user}: ${each}: ${ends.get(each) ?? 'not tried'}`)
    }
  })
}

test('R05: no other table of system calls leads around the filter', async () => {
  if (process.arch !== 'x64') return
  const { stdout } = await (await arena()).exec(['/probe', 'calls'])
  for (const [what, end] of outcomes(stdout)) {
    if (what.startsWith('i386') || what.startsWith('x32')) assert.match(end, /^(EPERM|ENOSYS)$/, what)
  }
  assert.ok(outcomes(stdout).has('x32 keyctl'))
})

const closed: readonly string[] = [
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/hostname',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/sysrq',
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/fs/file-max',
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/sysrq-trigger',
  '/proc/irq/default_smp_affinity',
  '/sys/kernel/uevent_helper',
  '/sys/kernel/mm/transparent_hugepage/enabled',
  '/sys/power/state',
  '/sys/module/kernel/parameters/panic',
]

for (const capabilities of [undefined, { add: ['DAC_READ_SEARCH', 'SYS_RESOURCE'] } as const]) {
  test(`R06: nothing of /proc or /sys that is the kernel's is written${capabilities ? `, with ${capabilities.add.join(' and ')}` : ''}`, async () => {
    const { stdout } = await (await arena()).exec(['/probe', 'writes', ...closed], { capabilities })
    const ends = outcomes(stdout)
    assert.equal(ends.size, closed.length)
    for (const [path, end] of ends) assert.match(end, /^(EROFS|EACCES|EPERM|ENOENT)$/, `${path}: ${end}`)
  })
}

test('R06: /sys, /proc/sys and their like are mounted read-only', async () => {
  const { stdout } = await (await arena()).exec(['cat', '/proc/self/mountinfo'])
  const options = new Map(stdout.split('\n').map((line) => [line.split(' ')[4], line.split(' ')[5]]))
  // What this kernel has of them: not each is built with buses or sysrq.
  for (const path of ['/sys', '/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs'].filter(existsSync)) {
    assert.match(options.get(path) ?? 'not mounted', /^ro,/, path)
  }
  for (const path of ['/proc', '/sys', '/dev/shm', '/dev/mqueue']) assert.match(options.get(path) ?? '', /nosuid,nodev,noexec/, path)
})

test('R06: no cgroup file system is in sight, so no release_agent', async () => {
  const found = await (await arena()).exec(
    'find / -xdev -name release_agent; find /sys/fs/cgroup -mindepth 1 | head -1; grep -c cgroup /proc/self/mountinfo',
  )
  assert.equal(found.stdout.trim(), '0')
})

test('R06: what is masked shows nothing', async () => {
  const { stdout } = await (await arena()).exec(
    'cat /proc/keys /proc/timer_list /proc/interrupts /proc/kcore 2>/dev/null | wc -c; ls -A /sys/firmware /proc/scsi /proc/acpi 2>/dev/null | grep -v : | wc -w',
  )
  assert.deepEqual(stdout.trim().split(/\s+/), ['0', '0'])
})

const status = "grep -E '^(Cap|Groups|NoNewPrivs|Seccomp:)' /proc/self/status"

test('R10: no group, no inheritable and no ambient capability comes from the caller', async () => {
  const { stdout } = await (await arena()).exec(status)
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(stdout)?.[1] ?? 'none'
  assert.match(field('CapInh'), /^0+$/)
  assert.match(field('CapAmb'), /^0+$/)
  assert.equal(field('CapEff'), field('CapBnd'))
  assert.equal(field('CapPrm'), '00000000a80425fb')
  assert.equal(field('NoNewPrivs'), '1')
  assert.equal(field('Seccomp'), '2')
})

test('R10: a user other than root has no capability at all', async () => {
  const { stdout } = await (await arena()).exec(status, { user: '1000:1000' })
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(stdout)?.[1] ?? 'none'
  assert.match(field('CapInh'), /^0+$/)
  assert.match(field('CapAmb'), /^0+$/)
  assert.match(field('CapEff'), /^0+$/)
})

testAs(test, ['root', 'subid'], "R10: the supplementary groups are the user's in the image, whatever the caller's are", async () => {
  assert.notEqual(idKind, 'single')
  const one = await (await arena()).exec(['id', '-G'], { user: '1000:1000' })
  assert.equal(one.stdout.trim(), '1000')
  const root = await (await arena()).exec(['id', '-G'])
  assert.equal(root.stdout.trim(), '0')
})

test.run()
