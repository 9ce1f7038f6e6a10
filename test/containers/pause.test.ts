// test: timeout 300
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { type Container, type Image, image } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const times = 20

let built: Image

test.before(async () => {
  built = await image('host').build()
})

async function started(cmd: readonly string[], options: { memory?: string } = {}): Promise<Container> {
  const container = await built.start({ cmd: [...cmd], ...options })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  return container
}

/** A pause between two looks at what it counts: the same number, and more once it goes on. */
async function assertPauses(container: Container): Promise<void> {
  const count = () => container.fs.readFile('/count', 'utf8')
  while (!(await container.fs.list('/')).some(({ name }) => name === 'count')) await sleep(5)
  for (let time = 0; time < times; time += 1) {
    await sleep(time)
    await container.pause()
    const paused = await count()
    await sleep(5)
    assert.is(await count(), paused)
    await container.unpause()
    while ((await count()) === paused) await sleep(1)
  }
}

// dash calls a program by vfork(2).
const spawning = 'n=0; echo up; while :; do n=$((n+1)); echo $n > /count; /bin/true; done'

test('a container that spawns a program after the other can be paused at any moment, and stands still then', async () => {
  for (const options of [{}, { memory: '256m' }]) {
    await using container = await started(['sh', '-c', spawning], options)
    await assertPauses(container)
  }
})

test('a container that spawns a program after the other can be kept as a snapshot at any moment', async () => {
  for (const options of [{}, { memory: '256m' }]) {
    await using container = await started(['sh', '-c', spawning], options)
    for (let time = 0; time < times; time += 1) {
      await sleep(time)
      await container.snapshot()
    }
    assert.is(container.state, 'running')
  }
})

test('threads that spawn by posix_spawn(3), and in a command that came later, stand still as well', async () => {
  using directory = temporaryDirectory('spawner')
  const program = join(directory.path, 'spawner')
  execFileSync('gcc', ['-static', '-O1', '-Wall', '-pthread', '-o', program, new URL('fixtures/spawner.c', import.meta.url).pathname])
  await using idle = await started(['sh', '-c', 'echo up; exec sleep 1000'])
  await idle.fs.writeFile('/spawner', readFileSync(program), { mode: 0o755 })
  const later = idle.exec(['/spawner'])
  await later.started
  await assertPauses(idle)
  const kept = await idle.snapshot()
  await using container = await kept.start({ cmd: ['/spawner'] })
  await assertPauses(container)
})

test('processes that make new ones all the time stop all the same', async () => {
  const bomb = `for each in 1 2 3 4; do (while :; do (/bin/true; /bin/true) & /bin/true; done) & done; ${spawning}`
  await using container = await started(['sh', '-c', bomb])
  await assertPauses(container)
})

test('a container that is killed or removed while it stands still in the middle of a vfork(2) ends', async () => {
  for (let time = 0; time < 5; time += 1) {
    const container = await started(['sh', '-c', spawning])
    await container.pause()
    if (time % 2 === 0) {
      await container.kill()
      assert.is((await container.wait()).signal, 'SIGKILL')
    }
    await container.remove()
    assert.is(container.state, 'removed')
  }
})

test.run()
