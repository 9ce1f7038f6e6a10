import * as assert from 'uvu/assert'
import { errnoNumbers, explain, flags, formatFlags, formatOp, kernelRefused, type Op, Plan, systemCalls } from '../../lib/sys/index.ts'
import { test } from '../support/uvu.ts'
import { opNames, sampleOp } from './sample.ts'

test('flags are written as C writes them', () => {
  assert.is(formatFlags('MS', flags.MS.MS_NOSUID | flags.MS.MS_NOEXEC), 'MS_NOSUID|MS_NOEXEC')
  assert.is(formatFlags('MS', 0), '0')
  assert.is(formatFlags('CLONE', flags.CLONE.CLONE_NEWNS + 2 ** 40), 'CLONE_NEWNS|0x10000000000')
  assert.is(formatFlags('RLIMIT', flags.RLIMIT.RLIMIT_NOFILE), 'RLIMIT_NOFILE')
  assert.is(formatFlags('CAP', 2 ** flags.CAP.CAP_KILL + 2 ** flags.CAP.CAP_SYS_ADMIN), 'CAP_KILL|CAP_SYS_ADMIN')
})

test('an op is one line: what has its default is left out, what is long is cut, bytes are counted', () => {
  assert.is(
    formatOp({ op: 'mount', source: 'proc', target: '/proc', type: 'proc', flags: flags.MS.MS_NODEV }),
    'mount source="proc" target="/proc" type="proc" flags=MS_NODEV',
  )
  assert.is(formatOp({ op: 'umount', target: 'a\nb', flags: 0, tolerate: ['EINVAL'] }), 'umount target="a\\nb" (or EINVAL)')
  assert.is(formatOp({ op: 'writeFd', fd: 'x', data: Buffer.alloc(9) }), 'writeFd fd=x data=<9 bytes>')
  assert.ok(formatOp({ op: 'chdir', path: 'x'.repeat(5000) }).length < 150)
  for (const name of opNames) assert.not.match(formatOp(sampleOp(name)), /\n|undefined|\[object/, name)
})

test('a plan prints every op with the number that an error names, nested ones behind their own', () => {
  const inner: readonly Op[] = [{ op: 'setSid' }, { op: 'umask', mask: 18 }]
  const plan = new Plan({
    clone: flags.CLONE.CLONE_NEWUTS,
    ops: [
      { op: 'fork', ops: inner },
      { op: 'chdir', path: '/' },
    ],
  })
  assert.equal(String(plan).split('\n'), ['clone3 uts', '  0  fork', '  1    setSid', '  2    umask mask=022', '  3  chdir path="/"'])
  const error = kernelRefused(plan.ops, 2, errnoNumbers.EIO)
  assert.equal([error.code, error.details?.op, error.details?.errno], ['kernel_refused', 'umask', 'EIO'])
  assert.match(kernelRefused(plan.ops, -1, errnoNumbers.ENOSPC).message, /^clone3: ENOSPC, the limit of namespaces/)
})

test('an error says what errno means for that op, else what it means in general, else that the kernel refused', () => {
  assert.is(explain('chdir', 'ENOTDIR').meaning, 'it is not a directory')
  assert.is(explain('umask', 'ENOSPC').meaning, 'no space left')
  assert.is(explain('umask', 'EPROTO').meaning, 'the kernel refused')
  assert.match(explain('clone3', 'EPERM').hint ?? '', /doctor/)
  assert.match(explain('openTree', 'EPERM').hint ?? '', /doctor/)
  assert.match(explain('linkUp', 'ENODEV').meaning, /no interface/)
  assert.match(explain('setDomainname', 'EINVAL').meaning, /64/)
  assert.match(explain('waitId', 'ECHILD').meaning, /no child/)
  assert.match(explain('umount', 'EINVAL').meaning, /no mount point/)
})

test('too many open files are one code, whatever met them, with what raises the limit', () => {
  for (const index of [0, -1]) {
    const error = kernelRefused([{ op: 'dup2', fd: 'stdin', to: 0 }], index, errnoNumbers.EMFILE)
    assert.equal([error.code, error.details?.errno], ['limit_exceeded', 'EMFILE'])
    assert.match(error.hint ?? '', /ulimit -n/)
  }
})

test('calls: every op that is a call of its own, with a short form where one argument says all', async () => {
  const seen: Op[] = []
  const calls = systemCalls(async (op) => {
    seen.push(op)
    return op.op === 'getPid' ? 7 : undefined
  })
  await calls.setHostname('box')
  await calls.mount({ source: 'tmpfs', target: '/mnt', type: 'tmpfs' })
  await calls.setGroups([1, 2])
  await calls.setSid()
  const pid: number = await calls.getPid()
  assert.is(pid, 7)
  assert.equal(seen, [
    { op: 'setHostname', name: 'box' },
    { op: 'mount', source: 'tmpfs', target: '/mnt', type: 'tmpfs' },
    { op: 'setGroups', gids: [1, 2] },
    { op: 'setSid' },
    { op: 'getPid' },
  ])
  const unfit = ['exec', 'execFd', 'init', 'serve', 'started', 'join', 'sendFd', 'fork', 'mapRing', 'put', 'listDir']
  assert.equal(Object.keys(calls).sort(), opNames.filter((name) => !unfit.includes(name)).sort())
})

test.run()
