import { constants } from 'node:os'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { type ContainerOptions, type Image, image, StrakeError } from '../../lib/index.ts'
import { flatten, type Op, Plan } from '../../lib/sys/index.ts'
import type { Connection } from '../../lib/zygote/index.ts'
import { closeZygote } from '../../lib/zygote/index.ts'
import { test } from '../support/uvu.ts'
import { assertNothingLeft, quietTraces, rejection } from './traces.ts'

const { EIO } = constants.errno
let built: Image

/** The zygote's connection; `nextFault` makes an op of the next program of a container fail, `seen` is that program. */
async function faultyZygote(): Promise<{ nextFault: { index: number; errno: number } | undefined; seen: Op[]; restore(): void }> {
  const agent: Connection = (await (await currentRuntime()).zygote()).agent
  const start = agent.start
  const state = {
    nextFault: undefined as { index: number; errno: number } | undefined,
    seen: [] as Op[],
    restore: () => {
      agent.start = start
    },
  }
  agent.start = (program, fds, options) => {
    if (options?.isBackground) return start.call(agent, program, fds, options)
    state.seen = [...flatten(new Plan('bytes' in program ? program.program() : program).ops)]
    const fault = state.nextFault
    state.nextFault = undefined
    return start.call(agent, program, fds, { ...options, fault })
  }
  return state
}

/** Makes every op of the program that `run` starts fail, one after the other. */
async function failEach(run: () => PromiseLike<unknown>): Promise<void> {
  await run()
  const before = await quietTraces()
  const zygote = await faultyZygote()
  try {
    await run()
    const ops = zygote.seen
    assert.ok(ops.length > 10, `${ops.length} ops`)
    for (const [index, op] of ops.entries()) {
      zygote.nextFault = { index, errno: EIO }
      const error = await rejection(run())
      const where = `${index} ${op.op}: ${error.message}`
      assert.is(error.code, 'kernel_refused', where)
      assert.equal([error.details?.op, error.details?.index, error.details?.errno], [op.op, index, 'EIO'], where)
      assert.ok(error.message.startsWith(op.op), where)
      await assertNothingLeft(before, where)
    }
    await assertNothingLeft(before, 'after all')
    await run()
  } finally {
    zygote.restore()
  }
}

const runs: readonly [name: string, options: ContainerOptions][] = [
  ['without a network', {}],
  ['with the network of the host', { network: 'host' }],
  ['with a terminal', { tty: true }],
  [
    'with a working directory, limits and a time namespace',
    { cwd: '/var/lib', pids: 50, memory: '256m', cpus: 1, rlimits: { nofile: 100 }, time: true },
  ],
  ['in a user namespace of its own', { userns: 'private', network: 'host' }],
  [
    'with a seccomp profile that is loaded late',
    {
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: [],
        syscalls: [
          { names: ['wait4'], action: 'SCMP_ACT_ALLOW' },
          { names: ['setgroups'], action: 'SCMP_ACT_ERRNO' },
        ],
      },
    },
  ],
]

test.before(async () => {
  built = await image('host').build()
})

test.after(async () => {
  await closeZygote((await currentRuntime()).store.root)
})

for (const [name, options] of runs) {
  test(`each op of a container ${name} that fails is named, and leaves nothing`, () => failEach(() => built.exec(['true'], options)))
}

test('each op of a command in a running container that fails is named, and leaves nothing', async () => {
  await using container = await built.start({ cmd: ['sleep', '100'] })
  await failEach(() => container.exec(['true'], { user: 0 }))
  await failEach(() => container.exec(['true'], { tty: true }))
  assert.is(container.state, 'running')
})

test('each op of a command that joins a user namespace and fails is named, and leaves nothing', async () => {
  await using container = await built.start({ cmd: ['sleep', '100'], userns: 'private' })
  await failEach(() => container.exec(['true'], { user: 65_534 }))
  assert.is(container.state, 'running')
})

test('start() says which op failed too', async () => {
  await (await built.start({ cmd: ['true'] })).remove()
  const before = await quietTraces()
  const zygote = await faultyZygote()
  try {
    await (await built.start({ cmd: ['true'] })).remove()
    const ops = zygote.seen
    for (const index of [
      0,
      Math.floor(ops.length / 2),
      ops.findIndex(({ op }) => op === 'exec'),
      ops.findIndex(({ op }) => op === 'started'),
    ]) {
      zygote.nextFault = { index, errno: EIO }
      const error = await rejection(built.start({ cmd: ['true'], name: 'faulty' }), 'kernel_refused')
      assert.equal([error.details?.op, error.details?.index], [ops[index]?.op, index])
    }
    await assertNothingLeft(before)
    await (await built.start({ cmd: ['true'], name: 'faulty' })).remove()
  } finally {
    zygote.restore()
  }
})

test('an errno that an op tolerates does not stop the program there', async () => {
  const zygote = await faultyZygote()
  try {
    await built.exec(['true'])
    const tolerant = [...zygote.seen.entries()].filter(([, op]) => (op.tolerate ?? []).length > 0)
    assert.ok(tolerant.length > 10)
    for (const [index, op] of tolerant) {
      const errno = constants.errno[(op.tolerate?.[0] ?? 'ENOENT') as keyof typeof constants.errno]
      zygote.nextFault = { index, errno }
      try {
        assert.is((await built.exec(['true'])).exitCode, 0)
      } catch (error) {
        // A directory that was said to be there already and is not: the next op that needs it fails, not this one.
        assert.instance(error, StrakeError)
        assert.ok(Number((error as StrakeError).details?.index) > index, `${index} ${op.op}: ${String(error)}`)
      }
    }
  } finally {
    zygote.restore()
  }
})

test('errnos that a person caused have codes of their own', async () => {
  const zygote = await faultyZygote()
  try {
    await built.exec(['true'])
    const exec = zygote.seen.findIndex(({ op }) => op === 'exec')
    zygote.nextFault = { index: exec, errno: constants.errno.ENOENT }
    assert.is((await rejection(built.exec(['true']), 'command_not_found')).details?.command, 'true')
    await built.exec(['true'], { cwd: '/' })
    const chdir = zygote.seen.findLastIndex(({ op }) => op === 'chdir')
    zygote.nextFault = { index: chdir, errno: constants.errno.ENOTDIR }
    assert.is((await rejection(built.exec(['true'], { cwd: '/' }), 'invalid_argument')).details?.errno, 'ENOTDIR')
  } finally {
    zygote.restore()
  }
})

test.run()
