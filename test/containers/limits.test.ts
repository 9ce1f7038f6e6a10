// test: timeout 180
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { type Container, type Image, image, StrakeError } from '../../lib/index.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

const { cgroups } = await currentRuntime()
const hasCgroups = cgroups.kind !== 'none'
let built: Image

test.before(async () => {
  built = await image().from('host').build()
})

/** Made where this user has cgroups, and by root everywhere. */
function testWithCgroups(name: string, body: () => Promise<void>): void {
  if (hasCgroups) test(name, body)
  else testAs(test, ['root'], name, body)
}

/** Made where this user has none: then resource limits stand in. */
function testWithoutCgroups(name: string, body: () => Promise<void>): void {
  if (!hasCgroups) test(name, body)
  else process.stdout.write(`# elsewhere: ${name} (as a user without a delegated cgroup)\n`)
}

/** The groups of this process's containers, wherever they are. */
function groups(directory = '/sys/fs/cgroup'): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => (directory.includes(`-${process.pid}-`) ? [`${directory}/${name}`] : groups(`${directory}/${name}`)))
}

async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof StrakeError) return error.code
    throw error
  }
  throw new Error('it did not reject')
}

function stateOf(pid: number): string {
  return /^State:\t(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
}

const tooMuch = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1']
const busy = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'

testWithCgroups('memory: what takes more is killed, and the result tells that kill from another SIGKILL', async () => {
  const killed = await built.exec(tooMuch, { memory: '32m' })
  assert.is(killed.signal, 'SIGKILL')
  assert.is(killed.oomKilled, true)
  assert.ok(killed.usage.peakMemory > 16 * 2 ** 20 && killed.usage.peakMemory <= 33 * 2 ** 20, `${killed.usage.peakMemory} bytes`)
  const other = await built.exec(['sh', '-c', 'kill -9 $$'], { memory: '32m' })
  assert.is(other.signal, 'SIGKILL')
  assert.is(other.oomKilled, false)
})

testWithCgroups('memory: a command that outlives a killed process of its own is told so, too', async () => {
  const result = await built.exec(`${tooMuch.join(' ')}; echo status $?`, { memory: '32m' })
  assert.is(result.stdout, 'status 137\n')
  assert.is(result.exitCode, 0)
  assert.is(result.oomKilled, true)
})

test('memory: what stays below its limit is not killed', async () => {
  const result = await built.exec(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=8M', 'count=2'], { memory: '64m' })
  assert.is(result.exitCode, 0, result.stderr)
  assert.is(result.oomKilled, false)
})

testWithoutCgroups('memory: without a cgroup each process is refused what is beyond the limit, and nobody is killed', async () => {
  const result = await built.exec(tooMuch, { memory: '64m' })
  assert.is(result.exitCode, 1)
  assert.match(result.stderr, /memory exhausted|Cannot allocate/i)
  assert.is(result.oomKilled, false)
})

test('pids: more processes than the limit cannot be made, with a cgroup or without', async () => {
  const result = await built.exec('i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done; echo all', { pids: 40 })
  assert.not.match(result.stdout, /all/)
  assert.match(result.stderr, /fork/i)
})

testWithCgroups('cpus: half a CPU takes about twice as long as its CPU time', async () => {
  const result = await built.exec(`${busy}; ${busy}; ${busy}`, { cpus: 0.5 })
  const cpu = result.usage.userMs + result.usage.systemMs
  assert.ok(result.durationMs > cpu * 1.4, `${result.durationMs} ms for ${cpu} ms of CPU time`)
})

test('usage: CPU time and peak memory of a result are those of the work, with limits or without', async () => {
  for (const options of [{}, { memory: '128m' }]) {
    const idle = await built.exec(['true'], options)
    const { usage, durationMs } = await built.exec(`${busy}; dd if=/dev/zero of=/dev/null bs=24M count=1 2>/dev/null`, options)
    const cpu = usage.userMs + usage.systemMs
    assert.ok(cpu > idle.usage.userMs + idle.usage.systemMs && cpu > 10 && cpu <= durationMs * 2.5, `${cpu} ms in ${durationMs} ms`)
    assert.ok(usage.peakMemory > 24 * 2 ** 20 && usage.peakMemory < 64 * 2 ** 20, `${usage.peakMemory} bytes`)
    assert.ok(idle.usage.peakMemory < 16 * 2 ** 20, `idle: ${idle.usage.peakMemory} bytes`)
  }
})

test('usage: what a command had used when it was killed is told, also where nobody reaps it', async () => {
  const grows = `${busy}; x=$(head -c 20000000 /dev/zero | tr '\\0' a); echo grown; sleep 60`
  const { usage, timedOut } = await built.exec(grows, { timeout: 3000 })
  assert.is(timedOut, true)
  const process = built.exec(grows)
  process.stdout.once('data', () => process.kill('SIGKILL'))
  const killed = await process
  assert.is(killed.signal, 'SIGKILL')
  for (const each of [usage, killed.usage]) {
    assert.ok(each.userMs + each.systemMs >= 10, `${each.userMs} + ${each.systemMs} ms`)
    assert.ok(each.peakMemory > 16 * 2 ** 20, `${each.peakMemory} bytes`)
  }
})

testWithCgroups('stats, and update() of limits that were there and of one that was not; an exec is in every group', async () => {
  await using container: Container = await built.start({ cmd: ['sleep', '600'], memory: '64m', pids: 50 })
  const before = await container.stats()
  assert.is(before.memory?.limit, 64 * 2 ** 20)
  assert.is(before.pids?.limit, 50)
  assert.ok((before.memory?.current ?? 0) > 0 && (before.pids?.current ?? 0) >= 2)
  await container.update({ memory: '24m', cpus: 0.5 })
  assert.is((await container.stats()).memory?.limit, 24 * 2 ** 20)
  const { oomKilled, signal } = await container.exec(tooMuch)
  assert.is(signal, 'SIGKILL')
  assert.is(oomKilled, true)
  assert.is((await container.exec(['sh', '-c', 'kill -9 $$'])).oomKilled, false)
  assert.is((await container.exec(busy)).exitCode, 0)
  assert.ok(((await container.stats()).cpu?.periods ?? 0) > 0, 'the exec ran under the CPU limit that came later')
  await container.update({ cpus: 2 })
  assert.is(container.state, 'running')
})

testWithCgroups('an exec in a paused container is refused, after unpause() it runs, and one that is paused can be removed', async () => {
  const container = await built.start({ cmd: ['sleep', '600'], memory: '64m' })
  await container.pause()
  assert.is(container.state, 'paused')
  assert.is(await codeOf(container.exec(['echo', 'on'])), 'container_not_running')
  await container.unpause()
  assert.is((await container.exec(['echo', 'on'])).stdout, 'on\n')
  await container.pause()
  const begin = performance.now()
  await container.remove()
  assert.ok(performance.now() - begin < 3000, 'removed at once')
  assert.is(container.state, 'removed')
})

testWithCgroups('SIGKILL ends a container that is paused', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'], memory: '64m' })
  await container.pause()
  await container.kill('SIGKILL')
  const exit = await container.wait()
  assert.is(exit.signal, 'SIGKILL')
  assert.is(exit.oomKilled, false)
})

test('without a cgroup: pause() stops every process, and stats() and update() say that there is none', async () => {
  await using container = await built.start({ cmd: 'sleep 600 & sleep 600 & wait' })
  await container.pause()
  assert.is(stateOf(container.pid), 'T')
  await container.unpause()
  for (let wait = 0; wait < 100 && stateOf(container.pid) === 'T'; wait++) await delay(10)
  assert.is.not(stateOf(container.pid), 'T')
  assert.is(await codeOf(container.stats()), 'not_delegated')
  assert.is(await codeOf(container.update({ memory: '64m' })), 'not_delegated')
  await container.pause()
  await container.remove()
})

test('a limit that no kernel takes is refused before anything is made', async () => {
  for (const limits of [
    { memory: '1k' },
    { memory: -1 },
    { cpus: 0 },
    { cpus: Number.NaN },
    { pids: 0 },
    { pids: 1.5 },
    { memory: 'much' },
  ]) {
    assert.is(await codeOf(built.exec(['true'], limits)), 'invalid_argument', JSON.stringify(limits))
  }
})

test('no cgroup is left of any of them, also not where the start failed', async () => {
  assert.is(await codeOf(built.exec(['no-such-command'], { memory: '64m', pids: 20 })), 'command_not_found')
  assert.is(await codeOf(built.exec(['true'], { memory: '64m', user: 'no-such-user' })), 'user_not_found')
  assert.is(await codeOf(built.exec(['true'], { memory: '64m', hostname: '-' })), 'invalid_argument')
  assert.is(await codeOf(built.start({ cmd: ['true'], memory: '64m', cwd: '/dev/null' })), 'invalid_argument')
  assert.is(await codeOf(built.exec(['sleep', '60'], { memory: '64m', signal: AbortSignal.timeout(50) })), 'aborted')
  assert.is((await built.exec(['sleep', '60'], { memory: '64m', timeout: 50 })).timedOut, true)
  for (let wait = 0; wait < 100 && groups().length > 0; wait++) await delay(20)
  assert.equal(groups(), [])
})

test.run()
