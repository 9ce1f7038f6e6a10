import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { type Cgroup, type Cgroups, openCgroups } from '../../lib/cgroups/index.ts'
import { StrakeError } from '../../lib/errors/error.ts'
import { isRoot } from '../support/machine.ts'
import { suite } from '../support/uvu.ts'
import { spawnInside } from './inside.ts'

const MiB = 2 ** 20
const cgroups = await openCgroups()
const coded = (code: string) => (error: unknown) => error instanceof StrakeError && error.code === code

// What this machine and user must have: said by those who know it (the VM's test), else root always has cgroups.
const everywhere = suite('cgroups: on every machine')

everywhere('root, or whoever has a delegated group, gets cgroups', () => {
  const expected = process.env.STRAKE_EXPECT_CGROUPS
  if (expected !== undefined) assert.is(cgroups.kind, expected, cgroups.problem)
  else if (isRoot) assert.is.not(cgroups.kind, 'none', cgroups.problem)
  else assert.ok(['v2', 'v1', 'none'].includes(cgroups.kind))
})

everywhere('who gets none, or not every controller, is told why and what mends it', () => {
  if (cgroups.problem === undefined) return assert.ok(cgroups.controllers.has('memory') && cgroups.controllers.has('pids'))
  assert.ok(cgroups.problem.length > 10)
  assert.ok(cgroups.fix !== undefined && cgroups.fix.length > 10, 'no fix')
})

if (cgroups.kind === 'none') {
  everywhere('without a place for cgroups none is made: not_delegated, with the mending command as the hint', () => {
    assert.throws(
      () => cgroups.create('x'),
      (error: unknown) => coded('not_delegated')(error) && (error as StrakeError).hint === cgroups.fix,
    )
  })
}

everywhere.run()

/** A group for one test; afterwards it is gone from the disk, whatever the test did. */
async function withGroup(limits: Parameters<Cgroups['create']>[1], body: (group: Cgroup) => Promise<void> | void): Promise<void> {
  const group = cgroups.create(`test-${Math.random().toString(36).slice(2)}`, limits)
  try {
    await body(group)
    await group.remove()
  } catch (error) {
    await group.remove()
    throw error
  }
  for (const path of group.joinPaths) assert.not.ok(existsSync(dirname(path)), `${path} is still there`)
}

const made = suite('cgroups: groups')

/** Tests for who may make groups; the others' have nothing to try. */
function groups(name: string, body: () => Promise<void> | void): void {
  if (cgroups.kind === 'none') process.stdout.write(`# elsewhere: ${name} (where groups can be made)\n`)
  else made(name, body)
}

groups('a process that writes "0" to joinPaths is in the group, and its children with it', () =>
  withGroup({}, async (group) => {
    const { child, ended } = spawnInside(group, ['sh', '-c', 'sleep 60 & echo $!; wait'])
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
    assert.equal(group.pids().sort(), [child.pid, Number(line)].sort())
    await group.kill()
    assert.is((await ended).signal, 'SIGKILL')
  }),
)

groups('memory: who asks for more is killed, and that it was for memory is told', () =>
  withGroup({ memory: 32 * MiB }, async (group) => {
    assert.is(group.enforced.memory, 'cgroup')
    const { ended } = spawnInside(group, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=128M', 'count=1'])
    const { signal } = await ended
    assert.is(signal, 'SIGKILL')
    assert.is(group.oomKills(), 1)
    const { peakMemory } = group.usage()
    assert.ok(peakMemory !== undefined && peakMemory > 16 * MiB && peakMemory <= 32 * MiB, `peak ${peakMemory}`)
    assert.is(group.stats().memory?.limit, 32 * MiB)
  }),
)

groups('memory: who stays below is not, and a SIGKILL of somebody else is no OOM kill', () =>
  withGroup({ memory: 64 * MiB }, async (group) => {
    const { ended } = spawnInside(group, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=8M', 'count=2'])
    assert.is((await ended).code, 0)
    const sleeper = spawnInside(group, ['sleep', '60'])
    while (group.pids().length === 0) await delay(5)
    sleeper.child.kill('SIGKILL')
    assert.is((await sleeper.ended).signal, 'SIGKILL')
    assert.is(group.oomKills(), 0)
  }),
)

groups('pids: no more processes than that', () =>
  withGroup({ pids: 3 }, async (group) => {
    const { child, ended } = spawnInside(group, ['sh', '-c', 'for i in 1 2 3 4 5 6; do sleep 30 & done; wait'])
    // The shell gives up; those that it could start stay.
    await once(child, 'exit')
    assert.ok(group.pids().length <= 3, String(group.pids()))
    assert.is(group.stats().pids?.limit, 3)
    await group.kill()
    const { output } = await ended
    assert.match(output, /fork/i)
  }),
)

groups('cpus: a busy loop gets its share and is seen to wait', () =>
  withGroup({ cpus: 0.2 }, async (group) => {
    const { child, ended } = spawnInside(group, ['sh', '-c', 'while :; do :; done'])
    while (group.pids().length === 0) await delay(5)
    const begun = performance.now()
    await delay(2000)
    const { cpu } = group.stats()
    const elapsed = performance.now() - begun
    child.kill('SIGKILL')
    await ended
    assert.ok(cpu && cpu.throttledPeriods > 0 && cpu.throttledMicros > 0, JSON.stringify(cpu))
    // Loose, for machines that are short of CPUs themselves; without the limit it would be all of `elapsed`.
    assert.ok((cpu.userMicros + cpu.systemMicros) / 1000 < elapsed * 0.2 + 500, `${JSON.stringify(cpu)} in ${elapsed} ms`)
  }),
)

groups('cpuset: only those CPUs', () =>
  withGroup({ cpuset: '0' }, async (group) => {
    assert.is(group.enforced.cpuset, 'cgroup')
    const { ended } = spawnInside(group, ['grep', 'Cpus_allowed_list', '/proc/self/status'])
    assert.match((await ended).output, /Cpus_allowed_list:\s+0\n/)
  }),
)

groups('shares and disk weights are taken, or said not to be', () =>
  withGroup({ cpuShares: 512, ioWeight: 50 }, (group) => {
    assert.is(group.enforced.cpuShares, 'cgroup')
    assert.ok(group.enforced.ioWeight === 'cgroup' || group.enforced.ioWeight === 'none')
  }),
)

groups('oomGroup: all of the group dies together on v2; v1 says that it cannot', () =>
  withGroup({ memory: 32 * MiB, oomGroup: true }, async (group) => {
    if (cgroups.kind === 'v1') return assert.is(group.enforced.oomGroup, 'none')
    const bystander = spawnInside(group, ['sleep', '60'])
    while (group.pids().length === 0) await delay(5)
    await spawnInside(group, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=128M', 'count=1']).ended
    assert.is((await bystander.ended).signal, 'SIGKILL')
    // The kernel counts the one that it chose first twice.
    assert.ok(group.oomKills() >= 2)
  }),
)

groups('update changes the limits that it names, takes one away with Infinity, and leaves the rest', () =>
  withGroup({ memory: 64 * MiB, pids: 50 }, (group) => {
    group.update({ memory: 128 * MiB })
    assert.is(group.stats().memory?.limit, 128 * MiB)
    assert.is(group.stats().pids?.limit, 50)
    group.update({ memory: 32 * MiB, pids: Infinity })
    assert.is(group.stats().memory?.limit, 32 * MiB)
    assert.is(group.stats().pids?.limit, Infinity)
    group.update({ memory: Infinity })
    assert.is(group.stats().memory?.limit, Infinity)
  }),
)

groups('a limit that is set while processes run holds for them too', () =>
  withGroup({ memory: 64 * MiB }, async (group) => {
    const { ended } = spawnInside(group, ['sh', '-c', 'sleep 1; grep Cpus_allowed_list /proc/self/status'])
    while (group.pids().length === 0) await delay(5)
    group.update({ cpuset: '0' })
    assert.match((await ended).output, /Cpus_allowed_list:\s+0\n/)
  }),
)

groups('frozen processes do nothing, thawed ones go on', () =>
  withGroup({}, async (group) => {
    const { child } = spawnInside(group, ['sh', '-c', 'while :; do :; done'])
    while (group.pids().length === 0) await delay(5)
    const spent = (): number => {
      const { userMicros = 0, systemMicros = 0 } = group.usage()
      return userMicros + systemMicros
    }
    await group.freeze()
    const before = spent()
    await delay(200)
    const frozen = spent() - before
    await group.thaw()
    await delay(200)
    const thawed = spent() - before
    child.kill('SIGKILL')
    assert.ok(frozen < 5000 && thawed > 20_000, `${frozen} µs while frozen, ${thawed} µs afterwards`)
  }),
)

groups('kill ends frozen processes and those that ignore every other signal', () =>
  withGroup({}, async (group) => {
    const { ended } = spawnInside(group, ['sh', '-c', 'trap "" TERM INT HUP QUIT; while :; do sleep 1; done'])
    while (group.pids().length === 0) await delay(5)
    await group.freeze()
    await group.kill()
    assert.equal(group.pids(), [])
    assert.is((await ended).signal, 'SIGKILL')
  }),
)

groups('kill keeps up with a group that forks as fast as it can', () =>
  withGroup({ pids: 60 }, async (group) => {
    spawnInside(group, ['sh', '-c', 'f() { f & f & }; f; sleep 60'])
    await delay(200)
    await group.kill()
    assert.equal(group.pids(), [])
  }),
)

groups('remove kills what is in the group, and a second remove is no error', async () => {
  const group = cgroups.create('leftover')
  const { ended } = spawnInside(group, ['sleep', '60'])
  while (group.pids().length === 0) await delay(5)
  await group.remove()
  assert.is((await ended).signal, 'SIGKILL')
  await group.remove()
})

groups('a name is taken once, and again when it is free', async () => {
  const group = cgroups.create('twice')
  assert.throws(() => cgroups.create('twice'), coded('name_in_use'))
  await group.remove()
  await cgroups.create('twice').remove()
})

for (const id of ['', '.', '..', '../x', 'a/b', 'memory.max', 'a\n', 'x'.repeat(129)]) {
  groups(`an id that could lead elsewhere is refused: ${JSON.stringify(id.slice(0, 20))}`, () => {
    assert.throws(() => cgroups.create(id), coded('invalid_argument'))
  })
}

groups('a limit that the kernel refuses leaves no group behind', async () => {
  assert.throws(() => cgroups.create('refused', { cpuset: '60000' }), coded('kernel_refused'))
  await cgroups.create('refused').remove()
})

groups('close leaves no directory of the owner, and groups can be made after it', async () => {
  const own = await openCgroups()
  const group = own.create('last')
  const directories = group.joinPaths.map((path) => dirname(dirname(path)))
  await group.remove()
  own.close()
  for (const directory of directories) assert.not.ok(existsSync(directory), directory)
  await own.create('another').remove()
  own.close()
})

groups('groups of an owner that was killed are swept away, with what runs in them; those of the living are not', async () => {
  const mine = cgroups.create('mine')
  const holder = spawn(process.execPath, [
    '--import',
    'tsx',
    join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), 'holder.ts'),
  ])
  let text = ''
  holder.stdout.on('data', (chunk) => (text += chunk))
  holder.stderr.on('data', (chunk) => process.stderr.write(chunk))
  while (!text.includes('\n')) await delay(20)
  const { paths, pid } = JSON.parse(text) as { paths: string[]; pid: number }

  const early = await openCgroups()
  for (const path of paths) assert.match(readFileSync(path, 'utf8'), new RegExp(`^${pid}$`, 'm'))
  holder.kill('SIGKILL')
  await once(holder, 'exit')

  const late = await openCgroups()
  for (const path of paths) assert.not.ok(existsSync(dirname(path)), path)
  const state = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] : 'gone'
  assert.ok(state === 'Z' || state === 'gone', `the sleeper is ${state}`)
  for (const path of mine.joinPaths) assert.ok(existsSync(path))
  await mine.remove()
  early.close()
  late.close()
})

made.after(() => cgroups.close())
made.run()
