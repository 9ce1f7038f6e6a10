import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { childrenOf } from '../../lib/containers/still.ts'
import { type Image, image } from '../../lib/index.ts'
import { containerDirectories, rejection, settled } from '../containers/traces.ts'
import { has } from '../support/machine.ts'
import { skip, testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
  await built.exec(['true'])
})

async function zygotePid(): Promise<number> {
  return (await (await currentRuntime()).zygote()).agent.pid
}

/** strace(1) on processes, and with `-f` on what they start; returns once it holds them. */
async function injecting(fault: string, pids: readonly number[], ...options: readonly string[]): Promise<ChildProcess> {
  const tracer = spawn('strace', [...options, '-o', '/dev/null', '-e', `inject=${fault}`, ...pids.flatMap((pid) => ['-p', String(pid)])], {
    stdio: 'ignore',
  })
  await once(tracer, 'spawn')
  const isHeld = (pid: number) => new RegExp(`^TracerPid:\\s*${tracer.pid}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  assert.ok(
    await settled(
      () => pids.every(isHeld),
      (areHeld) => areHeld,
    ),
  )
  return tracer
}

async function release(tracer: ChildProcess): Promise<void> {
  if (tracer.exitCode !== null || tracer.signalCode !== null) return
  tracer.kill('SIGINT')
  await once(tracer, 'exit')
}

// Who is not root may not trace a process that sees the host's mounts.
testAs(test, ['root'], 'a message of the zygote or of a child that the kernel has no memory for once is sent all the same', async () => {
  if (!has('strace')) return skip('strace is not installed')
  for (const errno of ['ENOBUFS', 'ENOMEM', 'EAGAIN']) {
    for (const when of ['1', '2', '4', '1+2']) {
      const tracer = await injecting(`sendmsg:error=${errno}:when=${when}`, [await zygotePid()], '-f')
      const results = await Promise.all(Array.from({ length: 4 }, () => built.exec(['echo', 'told'], { timeout: 60_000 })))
      await release(tracer)
      for (const { exitCode, stdout } of results) assert.equal([exitCode, stdout], [0, 'told\n'], `${errno} ${when}`)
    }
  }
})

testAs(
  test,
  ['root'],
  'a zygote that can tell nothing any more ends, its containers are reported as ended, and the next start makes a new one',
  async () => {
    if (!has('strace')) return skip('strace is not installed')
    const pid = await zygotePid()
    const container = await built.start({ cmd: ['sleep', '1000'] })
    const tracer = await injecting('sendmsg:error=ENOBUFS', [pid])
    for (const outcome of await Promise.allSettled(Array.from({ length: 4 }, () => built.exec(['true'])))) {
      assert.is(outcome.status === 'rejected' && outcome.reason.code, 'zygote_lost')
    }
    assert.is((await container.wait()).signal, 'SIGKILL')
    await release(tracer)
    await container.remove()
    assert.is((await built.exec(['echo', 'again'])).stdout, 'again\n')
    assert.is.not(await zygotePid(), pid)
    assert.equal(await settled(containerDirectories, (found) => found.length === 0), [])
  },
)

testAs(test, ['root'], 'a child that can tell nothing is an error, and never an exit code of its command', async () => {
  if (!has('strace')) return skip('strace is not installed')
  // The next containers: they wait for their names.
  const spares = await settled(
    async () => childrenOf(await zygotePid()),
    (pids) => pids.length === 3,
  )
  const tracer = await injecting('sendmsg:error=ENOBUFS', spares, '-f')
  await rejection(built.exec(['true']), 'process_failed')
  await release(tracer)
  assert.is((await built.exec(['echo', 'again'])).stdout, 'again\n')
})

test.run()
