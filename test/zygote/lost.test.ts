import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { type Image, image } from '../../lib/index.ts'
import { containerDirectories, processesWith, rejection, settled } from '../containers/traces.ts'
import { assertNoMoreFds, quietFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
  await built.exec(['true'])
})

async function killZygote(): Promise<number> {
  const { agent } = await (await currentRuntime()).zygote()
  process.kill(agent.pid, 'SIGKILL')
  await settled(
    () => agent.isOpen,
    (isOpen) => !isOpen,
  )
  return agent.pid
}

test('when the zygote is killed its containers are reported as ended, and the next start makes a new one', async () => {
  const marker = `lost-${process.pid}`
  const process1 = built.exec(['sh', '-c', `sleep 1000; : ${marker}`])
  const container = await built.start({ cmd: ['sh', '-c', `sleep 1000; : ${marker}`], name: 'lost' })
  const inside = container.exec(['sh', '-c', `sleep 1000; : ${marker}`])
  await Promise.all([process1.started, inside.started])
  const pid = await killZygote()
  await rejection(process1, 'zygote_lost')
  await rejection(inside, 'zygote_lost')
  const exit = await container.wait()
  assert.equal([exit.exitCode, exit.signal], [null, 'SIGKILL'])
  assert.is(container.state, 'stopped')
  await rejection(container.exec(['true']), 'container_not_running')
  assert.equal(
    await settled(
      () => processesWith(marker),
      (found) => found.length === 0,
      1000,
    ),
    [],
  )
  assert.is((await built.exec(['echo', 'again'])).stdout, 'again\n')
  assert.is.not((await (await currentRuntime()).zygote()).agent.pid, pid)
  await container.remove()
  assert.equal(await settled(containerDirectories, (found) => found.length === 0), [])
})

test('a zygote killed during starts: each ends or fails by name, nothing hangs, no file descriptor is lost', async () => {
  await killZygote()
  await built.exec(['true'])
  const before = await quietFds()
  for (let round = 0; round < 8; round += 1) {
    const starts = Array.from({ length: 4 }, () => built.exec(['true']))
    const kept = built.start({ cmd: ['sleep', '1000'] })
    kept.catch(() => undefined)
    for (let turn = 0; turn < round * 3; turn += 1) await new Promise(setImmediate)
    await killZygote()
    for (const outcome of await Promise.allSettled(starts)) {
      if (outcome.status === 'rejected') assert.ok(['zygote_lost', 'kernel_refused'].includes(outcome.reason.code), String(outcome.reason))
    }
    await kept.then(
      (container) => container.remove(),
      (error) => assert.ok(['zygote_lost', 'kernel_refused'].includes(error.code), String(error)),
    )
    assert.is((await built.exec(['echo', 'again'])).stdout, 'again\n')
  }
  // One more than before: what the pool of the last zygote holds may differ by that.
  await assertNoMoreFds(before + 1)
  assert.equal(await settled(containerDirectories, (found) => found.length === 0), [])
})

test('a timeout, a kill and a removal hold though somebody has stopped the zygote: it is continued to carry them out', async () => {
  const { agent } = await (await currentRuntime()).zygote()
  const stop = async (): Promise<void> => {
    process.kill(agent.pid, 'SIGSTOP')
    await settled(
      () => /^State:\tT/m.test(readFileSync(`/proc/${agent.pid}/status`, 'utf8')),
      (isStopped) => isStopped,
    )
  }
  const running = built.exec(['sleep', '1000'], { timeout: 2000 })
  await running.started
  await stop()
  const { signal, timedOut } = await running
  assert.equal([signal, timedOut], ['SIGKILL', true])
  await stop()
  assert.is((await built.exec(['sleep', '1000'], { timeout: 50 })).timedOut, true)
  const container = await built.start({ cmd: ['sleep', '1000'] })
  await stop()
  await container.remove()
  assert.is(container.state, 'removed')
  assert.is((await (await currentRuntime()).zygote()).agent.pid, agent.pid)
})

test.run()
