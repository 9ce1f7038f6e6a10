// test: timeout 300
// HOSTILE.md, "Running containers": what code in a container takes, and how it resists its end. R11, R13.
import assert from 'node:assert/strict'
import type { ContainerOptions } from '../../lib/containers/index.ts'
import { test } from '../support/uvu.ts'
import { arena, outcomes } from './arena.ts'

const hogs: readonly { what: string; argv: readonly string[]; options: ContainerOptions; most: number; line: string }[] = [
  { what: 'a fork bomb', argv: ['forks'], options: { pids: 40 }, most: 40, line: 'forks' },
  { what: 'a hog of file descriptors', argv: ['descriptors'], options: { rlimits: { nofile: 64 } }, most: 64, line: 'descriptors' },
  { what: 'a hog of inotify instances', argv: ['watches'], options: { rlimits: { nofile: 256 } }, most: 256, line: 'watches' },
  { what: 'a hog of pipe buffers', argv: ['pipes'], options: { rlimits: { nofile: 64 } }, most: 32, line: 'pipes' },
  { what: 'what fills /dev/shm', argv: ['fills', '/dev/shm/x'], options: { shmSize: '4m' }, most: 4, line: 'fill' },
  { what: 'what fills /dev', argv: ['fills', '/dev/x'], options: {}, most: 64, line: 'fill' },
  { what: 'a file larger than allowed', argv: ['fills', '/x'], options: { rlimits: { fsize: 4 * 1024 * 1024 } }, most: 4, line: 'fill' },
]

for (const { what, argv, options, most, line } of hogs) {
  test(`R11: ${what} is bounded`, async () => {
    const result = await (await arena()).exec(['/probe', ...argv], { timeout: 20_000, ...options })
    assert.equal(result.timedOut, false)
    if (result.signal === 'SIGXFSZ') return
    const count = Number(new RegExp(`^${line}\t\\w+\t(\\d+)$`, 'm').exec(result.stdout)?.[1] ?? Number.NaN)
    assert.ok(count <= most, `${count} of ${most}: ${result.stdout}${result.stderr}`)
    assert.ok(!outcomes(result.stdout).get(line)?.startsWith('done'))
  })
}

test('R11: a hog of memory is killed or refused, and others go on', async () => {
  await using other = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  const result = await (await arena()).exec(['/probe', 'memory'], { memory: '64m', timeout: 20_000 })
  if (result.signal === 'SIGKILL') assert.equal(result.oomKilled, true)
  else assert.match(result.stdout, /^memory\tENOMEM\t\d{1,2}$/m)
  assert.equal((await other.exec(['true'])).exitCode, 0)
})

test('R11: 20,000 entries in one directory are written, and go with the container', async () => {
  const result = await (await arena()).exec('mkdir /many && /probe entries /many 20000', { timeout: 60_000 })
  assert.equal(result.stdout.trim(), 'entries\tdone\t20000')
})

test('R11: a fork bomb without limits ends with its timeout, and nothing of it is left', async () => {
  const result = await (await arena()).exec(
    [
      '/bin/sh',
      '-c',
      'bomb() { sleep 5 & bomb2 & sleep 5; }; bomb2() { sleep 5 & sleep 5; }; for i in 1 2 3 4 5 6 7 8; do bomb & done; wait',
    ],
    { timeout: 500 },
  )
  assert.equal(result.timedOut, true)
  assert.ok(result.durationMs < 5000)
})

test('R13: a command that is deaf to every signal is stopped', async () => {
  await using container = await (await arena()).start({ cmd: ['/probe', 'deaf'] })
  for await (const { text } of container.logs({ follow: true })) if (text.startsWith('deaf')) break
  const { signal } = await container.stop({ grace: 200 })
  assert.equal(signal, 'SIGKILL')
  assert.equal(container.state, 'stopped')
})

test('R13: a command that stops itself is stopped', async () => {
  await using container = await (await arena()).start({ cmd: ['/bin/sh', '-c', 'kill -STOP $$; kill -STOP -1; sleep infinity'] })
  const since = Date.now()
  await container.stop({ grace: 300 })
  assert.ok(Date.now() - since < 5000)
})

test('R13: nothing inside kills or stops PID 1, which reaps 2,000 orphans', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  await container.exec('kill -KILL 1; kill -STOP 1; kill -TSTP 1')
  assert.equal(container.state, 'running')
  await container.exec(['/probe', 'zombies', '2000'], { timeout: 60_000 })
  let left = ''
  for (let tries = 0; tries < 50; tries += 1) {
    left = (await container.exec("grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l")).stdout.trim()
    if (Number(left) < 3) break
  }
  assert.ok(Number(left) < 3, `${left} zombies`)
})

test('R13: one who traces PID 1 and goes away leaves it running, and the end is told', async () => {
  for (const userns of ['shared', 'private'] as const) {
    await using container = await (await arena()).start({ cmd: ['sh', '-c', 'sleep 2; exit 5'], userns })
    for (let time = 0; time < 5; time += 1) {
      const { stdout } = await container.exec(['/probe', 'attach', '1'], { timeout: 10_000, check: true })
      // It may as long as PID 1 has no more capabilities than it.
      assert.equal(outcomes(stdout).get('attach'), 'done')
    }
    assert.equal((await container.wait()).exitCode, 5)
  }
})

test('R13: what outlives the command and holds its stdout open does not keep the result waiting', async () => {
  const since = Date.now()
  const thrown = await (await arena()).exec('(sleep 30 &) ; echo done', { timeout: 20_000 })
  assert.equal(thrown.stdout, 'done\n')
  await using container = await (await arena()).start({ cmd: ['/bin/sh', '-c', '(trap "" TERM; sleep 30) & echo started; exit 3'] })
  assert.equal((await container.wait()).exitCode, 3)
  assert.ok(Date.now() - since < 15_000)
})

test('R13: an exec whose child holds its stdout open resolves all the same', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  const since = Date.now()
  const { stdout, exitCode } = await container.exec('(sleep 30 &) ; echo done')
  assert.equal(exitCode, 0)
  assert.equal(stdout, 'done\n')
  assert.ok(Date.now() - since < 10_000)
})

test.run()
