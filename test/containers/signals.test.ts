import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { containers, type Image, image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { assertNothingLeft, descendants, processesWith, quietTraces, rejection, settled } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
  await built.exec(['true'])
})

test('a signal that is sent before the command runs reaches it', async () => {
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGUSR1'] as const) {
    const early = built.exec(['sleep', '100'])
    early.kill(signal)
    assert.is((await early).signal, signal)
    const late = built.exec(['sleep', '100'])
    await late.started
    late.kill(signal)
    assert.is((await late).signal, signal)
  }
})

test('the command of a container sees signals itself, and ends as it likes', async () => {
  await using container = await built.start({
    cmd: ['sh', '-c', 'trap "exit 42" USR2; trap "" TERM; echo ready; while :; do sleep 0.05; done'],
  })
  for await (const line of container.logs({ follow: true })) if (line.text.includes('ready')) break
  await container.kill('SIGTERM')
  await sleep(150)
  assert.is(container.state, 'running')
  await container.kill('SIGUSR2')
  assert.is((await container.wait()).exitCode, 42)
})

test('a signal at any moment of an exec in a running container ends it, and none of it is left', async () => {
  await using container = await built.start({ cmd: ['sleep', '1000'] })
  await container.exec(['true'])
  const before = await quietTraces()
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    for (let delay = 0; delay < 4; delay += 0.1) {
      const marked = container.exec(['sleep', '4711'])
      const begun = performance.now()
      if (delay >= 1) await sleep(delay)
      else while (performance.now() - begun < delay) await new Promise(setImmediate)
      marked.kill(signal)
      const { exitCode, signal: ended } = await marked
      assert.equal([exitCode, ended], [null, signal], `${delay} ms`)
    }
    assert.equal(
      await settled(
        () => processesWith('4711'),
        (found) => found.length === 0,
      ),
      [],
    )
  }
  await assertNothingLeft(before)
})

test('stop() ends a command that ignores the signal, one that has stopped itself, and one that has many zombies', async () => {
  const ignores = await built.start({ cmd: ['sh', '-c', 'trap "" TERM INT HUP; echo ready; while :; do sleep 1000; done'] })
  for await (const line of ignores.logs({ follow: true })) if (line.text.includes('ready')) break
  const begun = Date.now()
  assert.equal((await ignores.stop({ grace: 200 })).signal, 'SIGKILL')
  assert.ok(Date.now() - begun >= 190 && Date.now() - begun < 3000)
  await ignores.remove()

  const stopped = await built.start({ cmd: ['sh', '-c', 'kill -STOP $$; sleep 1000'] })
  await sleep(100)
  assert.is((await stopped.stop({ grace: 5000 })).signal, 'SIGTERM')
  await stopped.remove()

  const polite = await built.start({ cmd: ['sleep', '1000'] })
  assert.is((await polite.stop()).signal, 'SIGTERM')
  assert.is((await polite.stop()).signal, 'SIGTERM', 'a second time it tells the same')
  await polite.remove()

  const abrupt = await built.start({ cmd: ['sleep', '1000'] })
  assert.is((await abrupt.stop({ grace: 0 })).signal, 'SIGKILL')
  await abrupt.remove()
})

const orphans = process.env.STRAKE_LONG_TESTS ? 10_000 : 1000

test(`wait() resolves for a container that leaves ${orphans} orphans`, async () => {
  await using container = await built.start({
    cmd: ['sh', '-c', `i=0; while [ $i -lt ${orphans} ]; do (: &); i=$((i+1)); done; echo done`],
    timeout: '10m',
  })
  assert.is((await container.wait()).exitCode, 0)
})

test('zombies of a container are reaped while it runs', async () => {
  await using container = await built.start({
    cmd: ['sh', '-c', 'i=0; while [ $i -lt 200 ]; do (: &); i=$((i+1)); done; echo made; exec sleep 1000'],
  })
  for await (const line of container.logs({ follow: true })) if (line.text.includes('made')) break
  const zombies = async (): Promise<number> => Number((await container.exec('cat /proc/[0-9]*/stat | grep -c ") Z " || true')).stdout)
  assert.is(await settled(zombies, (count) => count === 0), 0)
})

test('a timeout ends the command with all that it started', async () => {
  const before = await quietTraces()
  const result = await built.exec('trap "" TERM; (setsid sleep 4712 &) ; sleep 4712', { timeout: 300 })
  assert.equal([result.timedOut, result.signal], [true, 'SIGKILL'])
  const error = await rejection(built.exec(['sleep', '4712'], { timeout: '100ms', check: true }), 'timed_out')
  assert.is(error.details?.timedOut, true)
  assert.equal((await built.exec(['sleep', '4712'], { timeout: 1 })).timedOut, true, 'during the start, too')
  await assertNothingLeft(before)
  assert.equal(processesWith('4712'), [])
})

test('names are used once at a time, also by starts side by side', async () => {
  const attempts = await Promise.allSettled(Array.from({ length: 5 }, () => built.start({ name: 'one', cmd: ['sleep', '1000'] })))
  const made = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  assert.is(made.length, 1)
  for (const attempt of attempts) if (attempt.status === 'rejected') assert.is(attempt.reason.code, 'name_in_use')
  assert.is(containers.get('one'), made[0])
  // As of `require` beside `import`.
  const copy = (await import(new URL('../../lib/containers/containers.ts?copy', import.meta.url).href)) as { containers: typeof containers }
  assert.is.not(copy.containers, containers)
  assert.is(copy.containers.get('one'), made[0])
  await made[0]?.remove()
  await (await built.start({ name: 'one', cmd: ['true'] })).remove()
  assert.equal(containers.list(), [])
})

test('a container that has ended refuses what needs it running, and can be removed twice', async () => {
  const container = await built.start({ cmd: ['true'] })
  await container.wait()
  await rejection(container.exec(['true']), 'container_not_running')
  await rejection(container.kill(), 'container_not_running')
  await rejection(container.pause(), 'container_not_running')
  await Promise.all([container.remove(), container.remove()])
  await rejection(container.exec(['true']), 'container_not_running')
  assert.is(container.state, 'removed')
})

test('execs end with their container', async () => {
  const container = await built.start({ cmd: ['sleep', '1000'] })
  const running = [
    container.exec(['sleep', '4713']),
    container.exec('trap "" TERM; sleep 4713'),
    container.exec(['cat'], { stdin: 'pipe' }),
  ]
  await Promise.all(running.map((each) => each.started))
  const starting = container.exec(['sleep', '4713'])
  starting.catch(() => undefined)
  await container.kill('SIGKILL')
  for (const each of running) assert.is((await each).signal, 'SIGKILL')
  await starting.then<void, void>(
    (result): void => assert.is.not(result.exitCode, 0),
    (error: unknown): void =>
      assert.ok(['container_not_running', 'kernel_refused', 'process_failed'].includes((error as { code: string }).code), String(error)),
  )
  await container.remove()
  assert.equal(processesWith('4713'), [])
})

test('await using disposes of a process at any moment of its start', async () => {
  await built.exec(['true']).catch((e) => {
    console.log('BEFORE', e)
    throw e
  })
  const before = await quietTraces()
  for (let turns = 0; turns < 40; turns += 1) {
    await using marked = built.exec(['sleep', '4714'])
    for (let turn = 0; turn < turns; turn += 1) await (turns < 20 ? undefined : new Promise(setImmediate))
    assert.ok(marked)
  }
  await assertNothingLeft(before)
  assert.equal(processesWith('4714'), [])
  assert.ok(descendants().length > 0)
})

test.run()
