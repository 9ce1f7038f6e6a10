import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as assert from 'uvu/assert'
import { image } from '../../lib/index.ts'
import { defaultRoot } from '../../lib/store/index.ts'
import { cgroupOwners, processesWith, settled } from '../containers/traces.ts'
import { assertNoMoreFds, quietFds } from '../support/fds.ts'
import { cgroupVersion, isRoot } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

const file = new URL('./fixtures/worker.ts', import.meta.url).href
// Node 20 gives a worker no loader for TypeScript by itself.
const bootstrap =
  "const { workerData } = require('node:worker_threads'); import('tsx/esm/api').then(({ register }) => { register(); return import(workerData.file) })"

function work(marker: string, ends: boolean): Worker {
  return new Worker(bootstrap, { eval: true, workerData: { file, marker, ends } })
}

/** The state letters of the zygotes among this process's children (proc_pid_stat(5)); others, a compiler's say, are not ours to reap. */
function zygoteStates(): string {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
  const stats = children.map((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return stats.map((stat) => /\(.*strake-in.*\) (\S)/.exec(stat)?.[1] ?? '').join('')
}

test('a worker that is terminated takes its own containers along, and nobody else’s', async () => {
  const built = await image('host').build()
  await using own = await built.start({ cmd: ['sleep', '1000'] })
  // With the first that is removed comes the agent that removes them.
  await (await built.start({ cmd: ['true'] })).remove()
  const before = await quietFds()
  const warnings: string[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', onWarning)
  const marker = `worker-${process.pid}`
  for (let round = 0; round < 3; round += 1) {
    const worker = work(marker, false)
    const [said] = (await once(worker, 'message')) as [string]
    assert.is(said, 'from a worker\n')
    // A process that is being started has its parent's words for a moment.
    const running = await settled(
      () => processesWith(marker),
      (pids) => pids.length === 3,
      5000,
    )
    assert.is(running.length, 3)
    await worker.terminate()
    assert.equal(
      await settled(
        () => processesWith(marker),
        (pids) => pids.length === 0,
        1000,
      ),
      [],
    )
    assert.is((await own.exec(['echo', 'still here'])).stdout, 'still here\n')
    assert.match(zygoteStates(), /^[^Z]$/, 'the zygote of the worker has been reaped, and the main thread’s is there')
  }
  await assertNoMoreFds(before)
  process.off('warning', onWarning)
  assert.equal(warnings, [])
})

test('the directories and control groups of workers that were terminated go by themselves, while the process goes on', async () => {
  await using own = await (await image('host').build()).start({ cmd: ['sleep', '1000'] })
  const others = (): string[] => readdirSync(join(defaultRoot(), 'containers')).filter((name) => !name.startsWith(own.id.slice(0, 12)))
  const workers = Array.from({ length: 3 }, (_, index) => work(`gone-${index}`, false))
  await Promise.all(workers.map((each) => once(each, 'message')))
  assert.ok(others().length >= 6, `${others().length} directories`)
  // Other processes of this machine make groups of their own meanwhile.
  const ofThreads = new Set(readdirSync('/proc/self/task').filter((id) => id !== String(process.pid)))
  const theirs = cgroupOwners().filter((path) => ofThreads.has(path.split('/').at(-1)?.split('-')[1] ?? ''))
  if (isRoot && cgroupVersion > 0) assert.ok(theirs.length >= 3, `${theirs.length} owners of groups`)
  await Promise.all(workers.map((each) => each.terminate()))
  assert.equal(await settled(others, (names) => names.length === 0, 10_000), [])
  const left = (): string[] => theirs.filter((each) => existsSync(each))
  assert.equal(await settled(left, (names) => names.length === 0, 10_000), [])
  assert.is((await own.exec(['echo', 'still here'])).stdout, 'still here\n')
})

test('the directories of a terminated worker’s containers go when the store is opened next, while the process goes on', async () => {
  await using own = await (await image('host').build()).start({ cmd: ['sleep', '1000'] })
  const directories = (): string[] => readdirSync(join(defaultRoot(), 'containers')).filter((name) => !name.startsWith(own.id.slice(0, 12)))
  const [first, second] = [work('first', false), work('second', false)]
  await Promise.all([once(first, 'message'), once(second, 'message')])
  const all = directories()
  await first.terminate()
  const third = work('third', false)
  await once(third, 'message')
  const left = await settled(directories, (names) => names.filter((name) => all.includes(name)).length < all.length, 5000)
  const stayed = left.filter((name) => all.includes(name))
  assert.is(stayed.length, all.length / 2, `those of the second worker: ${stayed.join(', ')} of ${all.join(', ')}`)
  await Promise.all([second.terminate(), third.terminate()])
  assert.is((await own.exec(['echo', 'still here'])).stdout, 'still here\n')
})

const many = process.env.STRAKE_LONG_TESTS ? 20 : 8

test(`${many} workers in a row, each with a container, end by themselves and leave nothing`, async () => {
  const built = await image('host').build()
  await built.exec(['true'])
  const before = await quietFds()
  for (let round = 0; round < many; round += 1) {
    const worker = work('', true)
    const [said] = (await once(worker, 'message')) as [string]
    assert.is(said, 'from a worker\n')
    const [code] = (await once(worker, 'exit')) as [number]
    assert.is(code, 0)
  }
  await assertNoMoreFds(before)
  assert.is((await built.exec(['echo', 'main'])).stdout, 'main\n')
})

test.run()
