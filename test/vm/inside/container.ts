// A smoke test of containers and their limits on the second kernel (cgroup v2), run in there by `suite`, as root and as an ordinary user.
import { readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** Of the public face, what this test uses. Imported by a computed name, so that this file stands alone. */
interface Result {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly oomKilled: boolean
  readonly usage: unknown
}
interface Container extends AsyncDisposable {
  exec(argv: readonly string[], options?: object): PromiseLike<Result>
  stats(): Promise<unknown>
  update(limits: object): Promise<void>
  pause(): Promise<void>
  unpause(): Promise<void>
  stop(options?: object): Promise<unknown>
}
interface Image {
  exec(argv: readonly string[], options?: object): PromiseLike<Result>
  start(options?: object): Promise<Container>
}
interface Builder {
  from(base: string): Builder
  run(command: string): Builder
  build(): Promise<Image>
}

const face = new URL('../../../lib/index.ts', import.meta.url).href
const { image } = (await import(face)) as { image(): Builder }
const expected = process.env.STRAKE_EXPECT_CGROUPS
const base = await image().from('host').run('echo built > /built').build()

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
    assert.ok(await container.stats())
    await container.update({ memory: '64m' })
    const { exitCode, signal } = await container.exec(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'])
    assert.ok(exitCode !== 0 || signal !== null, 'the new limit holds for an exec, too')
    await container.pause()
    await container.unpause()
  })

  test('no cgroup is left of any of them', async () => {
    for (let wait = 0; wait < 50 && left().length > 0; wait++) await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(left(), [])
  })
}

test.run()
