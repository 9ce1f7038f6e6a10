// test: timeout 300
// HOSTILE.md, "Running containers": floods of file descriptors, open and on their way. R11.
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import type { Container } from '../../lib/index.ts'
import { assertNoMoreFds, quietFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'
import { arena } from './arena.ts'

/** The first `count` lines of what a running container says. */
async function lines(container: Container, count: number): Promise<string[]> {
  const found: string[] = []
  for await (const { text } of container.logs({ follow: true })) {
    found.push(text)
    if (found.length === count) break
  }
  return found
}

/** The host opens files, and the engine starts, joins and ends containers, each soon. */
async function assertResponsive(flooded: Container): Promise<void> {
  const since = Date.now()
  const opened = Array.from({ length: 100 }, () => openSync('/dev/null', 'r'))
  for (const fd of opened) closeSync(fd)
  for (let round = 0; round < 3; round += 1) {
    assert.equal((await flooded.exec(['echo', 'inside'])).stdout, 'inside\n')
    assert.equal((await (await arena()).exec(['echo', 'beside'])).stdout, 'beside\n')
    await using other = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
    assert.equal((await other.exec(['cat'], { stdin: 'piped' })).stdout, 'piped')
    assert.match((await other.exec(['tty'], { tty: true })).stdout, /^\/dev\/pts\//)
  }
  assert.ok(Date.now() - since < 15_000, `${Date.now() - since} ms`)
}

for (const nofile of [16, 64, 1024]) {
  test(`R11: RLIMIT_NOFILE of ${nofile} is what a process inside gets, and no more`, async () => {
    const { stdout } = await (await arena()).exec(['/probe', 'descriptors'], { rlimits: { nofile } })
    assert.equal(stdout, `descriptors\tEMFILE\t${nofile - 3}\n`)
    const raised = await (await arena()).exec(`ulimit -n ${nofile + 1} 2>/dev/null && echo raised; ulimit -n`, { rlimits: { nofile } })
    assert.equal(raised.stdout, `${nofile}\n`)
  })
}

test('R11: a command that is joined to a container is bounded by its limit, too', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'], rlimits: { nofile: 64 } })
  assert.equal((await container.exec(['/probe', 'descriptors'])).stdout, 'descriptors\tEMFILE\t61\n')
})

test('R11: while 20 processes hold all that they may open, the host and the engine go on, and nothing is left', async () => {
  await (await arena()).exec(['true'])
  const before = await quietFds()
  {
    await using container = await (await arena()).start({ cmd: ['/probe', 'flood', '20'], rlimits: { nofile: 1024 } })
    for (const line of await lines(container, 20)) assert.equal(line, 'descriptors\tEMFILE\t1021')
    await assertResponsive(container)
  }
  await assertNoMoreFds(before)
})

test('R11: while a container has as many file descriptors on their way as it may, the host and the engine go on', async () => {
  await using container = await (await arena()).start({ cmd: ['/probe', 'flight'], rlimits: { nofile: 1024 } })
  const [line = ''] = await lines(container, 1)
  const [, errno, count] = line.split('\t')
  assert.ok(errno === 'ETOOMANYREFS' || errno === 'EMFILE', line)
  assert.ok(Number(count) >= 1000, line)
  await assertResponsive(container)
})

test.run()
