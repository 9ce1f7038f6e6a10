// test: timeout 600
// Many containers one after the other: what the engine holds does not grow. STRAKE_LONG_TESTS=1 makes it the 10,000 that are promised.
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { image } from '../../lib/index.ts'
import { assertNoMoreFds, quietFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'

const many = process.env.STRAKE_LONG_TESTS ? 10_000 : 500

function residentKilobytes(pid: number | 'self'): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
}

test(`${many} containers in a row: file descriptors and memory stay flat, of this process and of the zygote`, async () => {
  const built = await image('host').build()
  const zygote = (await (await currentRuntime()).zygote()).agent.pid
  const warmUp = Math.min(200, many / 2)
  for (let count = 0; count < warmUp; count += 1) assert.is((await built.exec(['true'])).exitCode, 0)
  const fds = await quietFds()
  const ownMemory = residentKilobytes('self')
  const zygoteMemory = residentKilobytes(zygote)
  for (let count = warmUp; count < many; count += 1) assert.is((await built.exec(['true'])).exitCode, 0)
  await assertNoMoreFds(fds + 2)
  assert.ok(residentKilobytes('self') < ownMemory + 60_000, `${ownMemory} kB became ${residentKilobytes('self')}`)
  assert.ok(residentKilobytes(zygote) < zygoteMemory + 200, `${zygoteMemory} kB became ${residentKilobytes(zygote)}`)
})

test.run()
