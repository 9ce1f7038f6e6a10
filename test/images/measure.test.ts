import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { currentRuntime, type Runtime } from '../../lib/containers/index.ts'
import { storeUsage } from '../../lib/images/index.ts'
import { type Image, image, store } from '../../lib/index.ts'
import type { AgentFor } from '../../lib/layers/index.ts'
import { test } from '../support/uvu.ts'

let runtime: Runtime
let built: Image

/** An image of two layers, unpacked, and nothing else. */
async function unpack(): Promise<void> {
  built = await image('scratch').copy({ one: '1' }, '/').copy({ two: '22' }, '/').build()
  await built.exec(['/one']).catch(() => undefined)
}

test.before.each(async () => {
  runtime = await currentRuntime()
  await store.prune({ images: 'all', cache: true })
  await unpack()
})

const snapshots = (): string[] => readdirSync(runtime.store.path('snapshots')).filter((name) => !name.startsWith('.'))
const pathOf = (name: string): string => runtime.store.path('snapshots', name)
const recordOf = (name: string): string => runtime.store.path('cache', 'snapshots', name)
const agentFor: AgentFor = (path) => runtime.agentFor(path)

/** Agents before whose first request something happens. */
function after(happens: () => Promise<void>): AgentFor {
  let before: Promise<void> | undefined
  return async (path) => {
    const agent = await runtime.agentFor(path)
    const run = agent.run.bind(agent)
    return Object.assign(agent, {
      run: async (...given: Parameters<typeof run>) => {
        before ??= happens()
        await before
        return await run(...given)
      },
    })
  }
}

test('a snapshot that goes while others are measured is not counted, and nothing is recorded of it', async () => {
  const [, second = ''] = snapshots()
  const usage = await storeUsage(
    runtime.store,
    after(async () => rmSync(pathOf(second), { recursive: true })),
  )
  assert.is(usage.snapshots.count, 1)
  assert.not(existsSync(recordOf(second)))
})

test('no snapshot is collected while it is measured, and no record outlives it', async () => {
  let pruned: Promise<unknown> | undefined
  const usage = await storeUsage(
    runtime.store,
    after(async () => {
      pruned = store.prune({ images: 'all', cache: true })
      await sleep(300)
      assert.is(snapshots().length, 2)
    }),
  )
  await pruned
  assert.ok(usage.snapshots.count + usage.garbage.count > 0)
  assert.equal(snapshots(), [])
  assert.equal(readdirSync(runtime.store.path('cache', 'snapshots')), [])
})

test('a snapshot is not compared with what was recorded of an earlier one that was removed by hand', async () => {
  assert.ok((await store.verify()).ok)
  const [name = ''] = snapshots()
  const record = readFileSync(recordOf(name), 'utf8')
  writeFileSync(recordOf(name), record.replace(/"fingerprint":"..../, '"fingerprint":"0000'))
  assert.not((await store.verify()).ok)
  renameSync(pathOf(name), pathOf(`.${name}`))
  runtime.forgetUnpacked()
  await built.exec(['/one']).catch(() => undefined)
  assert.ok(existsSync(pathOf(name)))
  assert.equal((await store.verify()).problems, [])
  const agent = await agentFor('/store/snapshots')
  await agent.run([{ op: 'removeTree', path: `/.${name}` }])
  await agent.close()
})

test.run()
