import * as assert from 'uvu/assert'
import { containerSpec } from '../../lib/containers/settings.ts'
import { type CommandSpec, type ContainerSpec, execPlan, planOf, preparedProgram, resolveCapabilities } from '../../lib/process/index.ts'
import { flags, flatten, type Op } from '../../lib/sys/index.ts'
import { test } from '../support/uvu.ts'

const { CLONE } = flags
const command: CommandSpec = {
  argv: ['true'],
  env: ['PATH=/bin'],
  cwd: '/',
  user: { uid: 0, gid: 0, groups: [0], home: '/root' },
  capabilities: resolveCapabilities(undefined),
  rlimits: [],
  noNewPrivileges: true,
  umask: 0o022,
}

/** A spec whose parts are made anew at each call. */
function spec(changes: Partial<ContainerSpec> = {}, commandChanges: Partial<CommandSpec> = {}): ContainerSpec {
  const base = containerSpec(
    {},
    {
      zygotePath: '/store/containers/example',
      layers: ['/store/snapshots/aa', '/store/snapshots/bb'],
      hostname: 'box',
      volatile: true,
      ids: 'subid',
      cgroups: 0,
      command: { ...command, ...commandChanges },
      config: {},
    },
  )
  return { ...base, arch: 'x64', maskedPaths: ['/proc/kcore'], readonlyPaths: ['/proc/sys'], ...changes }
}

function names(made: ContainerSpec): string[] {
  return [...flatten(planOf(made).ops)].map(({ op }) => op)
}

function opsOf<Name extends Op['op']>(made: ContainerSpec, name: Name): Extract<Op, { op: Name }>[] {
  return [...flatten(planOf(made).ops)].filter((op): op is Extract<Op, { op: Name }> => op.op === name)
}

const variants: Readonly<Record<string, ContainerSpec>> = {
  default: spec(),
  'host network': spec({ network: 'host' }),
  terminal: spec({}, { tty: { rows: 24, columns: 80 } }),
  user: spec({}, { user: { uid: 1000, gid: 1000, groups: [1000, 27], home: '/home/u' } }),
  'single id': spec({ ids: 'single' }),
  readonly: spec({ readonlyRoot: true }),
  time: spec({ time: true }),
  seccomp: spec({}, { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } }),
}

test('the same spec gives the same plan: as data, as text and as JSON', () => {
  for (const [name, made] of Object.entries(variants)) {
    const [one, other] = [planOf(made), planOf(structuredClone(made))]
    assert.equal(one.ops, other.ops, name)
    assert.is(String(one), String(other), name)
    assert.is(JSON.stringify(one), JSON.stringify(other), name)
    assert.equal([...one], one.ops, name)
    assert.is(one.length, one.ops.length, name)
    assert.is(Object.keys(JSON.parse(JSON.stringify(one))).join(), 'clone,ops', name)
  }
})

test('making a plan changes nothing of its spec', () => {
  for (const made of Object.values(variants)) {
    const before = structuredClone(made)
    planOf(made)
    assert.equal(made, before)
  }
})

test('the ops that spares carry out ahead are one object for all containers of the same kind', () => {
  const [one, other] = [preparedProgram(spec()), preparedProgram(spec({ hostname: 'other' }, { argv: ['false'] }))]
  assert.ok(one.prepared && one.prepared === other.prepared)
  assert.is(planOf(spec()).program.prepared, one.prepared)
  assert.is.not(preparedProgram(spec({ network: 'host' })).prepared, one.prepared)
})

test('the order that keeps a container in: root entered, then rights dropped, then the filter, then the command', () => {
  const order = names(spec())
  const at = (name: string): number => order.lastIndexOf(name)
  assert.ok(order.indexOf('pivotRoot') > 0)
  assert.ok(order.indexOf('pivotRoot') < order.indexOf('fork') && order.indexOf('fork') < order.indexOf('exec'))
  assert.ok(order.indexOf('capBounding') < order.indexOf('exec') && order.indexOf('noNewPrivs') < order.indexOf('exec'))
  assert.ok(order.indexOf('seccomp') < order.indexOf('exec'))
  assert.ok(at('started') > at('exec') && at('init') === order.length - 1)
})

test('what each option changes in the plan', () => {
  const { CLONE_NEWNET, CLONE_NEWTIME, CLONE_NEWUSER } = flags.CLONE
  const has = (name: string, bit: number): boolean => (BigInt(planOf(variants[name]!).clone) & BigInt(bit)) !== 0n
  assert.ok(has('default', CLONE_NEWNET) && !has('host network', CLONE_NEWNET))
  assert.ok(has('time', CLONE_NEWTIME) && !has('default', CLONE_NEWTIME))
  // All containers of a store share the zygote's user namespace.
  for (const name of Object.keys(variants)) assert.not.ok(has(name, CLONE_NEWUSER), name)
  assert.is(opsOf(variants.terminal!, 'openPty').length, 1)
  assert.is(opsOf(variants.default!, 'openPty').length, 0)
  assert.equal(opsOf(variants.user!, 'setGroups').at(-1)?.gids, [1000, 27])
  assert.is(opsOf(variants.user!, 'setResUid').at(-1)?.real, 1000)
  assert.is(opsOf(variants['single id']!, 'setGroups').length, 0)
  assert.ok(String(planOf(variants.readonly!)) !== String(planOf(variants.default!)))
  assert.ok(opsOf(variants.seccomp!, 'seccomp').some(({ filter }) => filter.length < 100))
  assert.equal(
    opsOf(spec({ cgroups: 2 }), 'writeFd')
      .filter(({ fd }) => fd.startsWith('cgroup'))
      .map(({ fd }) => fd),
    ['cgroup0', 'cgroup1'],
  )
  assert.equal(opsOf(spec({}, { rlimits: [{ resource: 7, soft: 10, hard: 20 }] }), 'prlimit').at(-1), {
    op: 'prlimit',
    resource: 7,
    soft: 10,
    hard: 20,
  })
})

test('a user namespace of its own: entered first, uid 0 of it, out of sight; joined by the command of an exec alone', () => {
  const sameIds = { uidMap: '0 0 65536\n', gidMap: '0 0 65536\n' }
  const owned = spec({ users: { ...sameIds, owner: 40_960, processes: 32 } }, { processes: 32 })
  assert.is(String(planOf(owned)).split('\n')[0], 'clone3 user pid mnt uts ipc net')
  assert.equal(names(owned).slice(0, 3), ['userns', 'setResUid', 'setDumpable'])
  assert.equal(planOf(owned).ops[0], { op: 'userns', ...sameIds, owner: 40_960, processes: 32 })
  // It is like no other from its clone on; one that only wants to be apart is like all that do.
  assert.is(planOf(owned).program.prepared, undefined)
  const apart = (): ContainerSpec => spec({ users: { ...sameIds, owner: 0 } })
  assert.equal(names(apart()).slice(0, 2), ['userns', 'setDumpable'])
  const [one, other] = [planOf(apart()), planOf(apart())]
  assert.ok(one.program.prepared && one.program.prepared === other.program.prepared)
  // The rest is that of a container in the shared namespace.
  assert.equal(names(apart()).slice(2), names(spec()))
  const joined = execPlan({ container: 3, cgroups: 0, ids: 'subid', arch: 'x64', hasNetwork: true, time: false, hasUsers: true, command })
  const fork = joined.ops.findIndex(({ op }) => op === 'fork')
  const inside = joined.ops[fork]
  assert.ok(inside?.op === 'fork')
  assert.equal(joined.ops.slice(0, 2), [
    { op: 'openChild', child: 3, out: 'container' },
    {
      op: 'join',
      child: 3,
      flags: CLONE.CLONE_NEWPID + CLONE.CLONE_NEWNS + CLONE.CLONE_NEWUTS + CLONE.CLONE_NEWIPC + CLONE.CLONE_NEWCGROUP + CLONE.CLONE_NEWNET,
    },
  ])
  // The copy of the zygote has no filter and no rights to lose; the command loses what it got with the namespace.
  assert.not.ok(joined.ops.some(({ op }) => op === 'seccomp' || op === 'setns'))
  assert.equal(
    inside.ops.slice(0, 4).map(({ op }) => op),
    ['setns', 'capBounding', 'noNewPrivs', 'seccomp'],
  )
})

test('with one id the bound on processes is set before the namespace of another user, and a bound of its own after', () => {
  const order = [
    ...flatten(
      planOf(
        spec(
          { ids: 'single', users: { uidMap: '0 0 1\n', gidMap: '0 0 1\n', owner: 0 } },
          {
            user: { uid: 1000, gid: 1000, groups: [1000], home: '/' },
            processes: 32,
            rlimits: [{ resource: flags.RLIMIT.RLIMIT_NPROC, soft: 20, hard: 20 }],
          },
        ),
      ).ops,
    ),
  ]
  const bounds = order.flatMap((op, index) => (op.op === 'prlimit' ? [[op.soft, index] as const] : []))
  const nested = order.findIndex((op) => op.op === 'unshare' && op.flags === CLONE.CLONE_NEWUSER)
  assert.equal(
    bounds.map(([soft, index]) => [soft, index < nested]),
    [
      [32, true],
      [20, false],
    ],
  )
})

test('the printed plan of a default container, line by line where it matters', () => {
  const lines = String(planOf(spec())).split('\n')
  assert.is(lines[0], 'clone3 pid mnt uts ipc net')
  assert.equal(
    lines.slice(1).map((line) => Number(line.slice(0, 3))),
    lines.slice(1).map((_, index) => index),
  )
  const text = lines.join('\n')
  for (const line of [
    'setHostname name="box"',
    'unshare flags=CLONE_NEWCGROUP',
    'pivotRoot newRoot="." putOld="."',
    'capBounding keep=CAP_CHOWN|CAP_DAC_OVERRIDE|CAP_FOWNER',
    'noNewPrivs',
    'exec paths=["/bin/true"] argv=["true"] env=["PATH=/bin"]',
    'started',
    'init',
  ]) {
    assert.ok(text.includes(line), `${line} is not in\n${text}`)
  }
})

test.run()
