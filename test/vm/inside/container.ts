// A smoke test of containers and their limits on the second kernel (cgroup v2), run in there by `suite`, as root and as an ordinary user.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { image } from '../../../lib/index.ts'
import { test } from '../../support/uvu.ts'

const expected = process.env.STRAKE_EXPECT_CGROUPS
// A few files rather than the host's: the processor is emulated.
const busybox = {
  'bin/busybox': { content: readFileSync('/bin/busybox'), mode: 0o755 },
  'bin/sh': { content: readFileSync('/bin/busybox'), mode: 0o755 },
}
const base = await image('scratch').copy(busybox, '/').run('/bin/busybox --install -s /bin; echo built > /built').build()

/** The groups that are left of this process, wherever they are. */
function left(directory = '/sys/fs/cgroup'): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => (directory.includes(`-${process.pid}-`) ? [`${directory}/${name}`] : left(`${directory}/${name}`)))
}

test('a built image runs, on an overlay of this kernel', async () => {
  const result = await base.exec(['cat', '/built'])
  assert.is(result.stdout, 'built\n', result.stderr)
  assert.is(result.exitCode, 0)
})

test('memory: a container that asks for more is killed, and the result says that it was for memory', async () => {
  const result = await base.exec(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'], { memory: '64m' })
  if (expected === 'none') return assert.is.not(result.exitCode, 0, 'a resource limit refuses the memory')
  assert.is(result.oomKilled, true)
  assert.is.not(result.exitCode, 0)
})

test('a time namespace of its own, which an exec is in too', async () => {
  await using container = await base.start({ cmd: ['sleep', '600'], time: true })
  const own = (await container.exec(['readlink', '/proc/self/ns/time'])).stdout.trim()
  assert.match(own, /^time:\[\d+\]$/)
  assert.is(own, (await container.exec(['readlink', '/proc/1/ns/time'])).stdout.trim())
  assert.is.not(own, readlinkSync('/proc/self/ns/time'))
})

test('memory: one that stays below is not', async () => {
  const result = await base.exec(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=8M', 'count=2'], { memory: '128m' })
  assert.is(result.exitCode, 0, result.stderr)
  assert.is(result.oomKilled, false)
})

test('pids: a fork bomb is bounded, and over when the container is', async () => {
  const script = 'i=0; while [ $i -lt 64 ]; do sleep 30 & i=$((i+1)); done; echo all'
  const result = await base.exec(['sh', '-c', script], { pids: 16 })
  assert.not.match(result.stdout, /all/)
})

if (expected === 'v2') {
  test('the container sees nothing of the cgroups above its own', async () => {
    const { stdout } = await base.exec(['cat', '/proc/self/cgroup'], { memory: '128m' })
    assert.is(stdout, '0::/\n')
  })

  test('limits, statistics and pause of a running container', async () => {
    await using container = await base.start({ cmd: ['sleep', '600'], memory: '128m', cpus: 0.5, pids: 50 })
    assert.is((await container.exec(['true'])).exitCode, 0)
    const { memory, pids } = await container.stats()
    assert.is(memory?.limit, 128 * 2 ** 20)
    assert.is(pids?.limit, 50)
    await container.update({ memory: '64m' })
    const { signal, oomKilled } = await container.exec(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'])
    assert.is(signal, 'SIGKILL', 'the new limit holds for an exec, too')
    assert.is(oomKilled, true)
    assert.is((await container.exec(['sh', '-c', 'kill -9 $$'])).oomKilled, false)
    await container.pause()
    const refused = await container.exec(['echo', 'on']).catch((error: unknown) => (error as { code?: unknown }).code)
    assert.is(refused, 'container_not_running')
    await container.unpause()
    assert.is((await container.exec(['echo', 'on'])).stdout, 'on\n')
    await container.pause()
    await container.remove()
  })

  test('no cgroup is left of any of them', async () => {
    for (let wait = 0; wait < 50 && left().length > 0; wait++) await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(left(), [])
  })
}

test.run()
