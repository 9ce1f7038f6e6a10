// test: timeout 1200
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { image, images, type RegistryServer, registry, store } from '../../lib/index.ts'
import { Store } from '../../lib/store/index.ts'
import { dir, file, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('killed')
const worker = fileURLToPath(new URL('store-worker.ts', import.meta.url))
/** Of each kind of work; half as many of those that are made of the others. */
/** Fewer for an ordinary user, to whom the instants are the same. */
const most = process.env.STRAKE_LONG_TESTS ? 60 : Number(process.env.STRAKE_TEST_KILLS ?? (process.getuid?.() === 0 ? 20 : 6))
let place: ReturnType<typeof temporaryDirectory>
let host: string
let served: RegistryServer

test.before(async () => {
  place = temporaryDirectory('killed')
  process.env.STRAKE_ROOT = join(place.path, 'store')
  const built = await image('host').run('echo x > /x').cmd(['true']).build({ tag: 'base:1' })
  served = await registry({ root: join(place.path, 'served') })
  host = join(place.path, 'host.tar')
  await built.save(host)
  writeFileSync(
    join(place.path, 'r.tar'),
    tar(dir('d', 0o700), ...Array.from({ length: 2000 }, (_, each) => file(`d/f${each}`, 'x'.repeat(each * 5), { uid: each % 3 }))),
  )
})
test.after(async () => {
  const idle = waiting.splice(0)
  for (const child of idle) child.kill('SIGKILL')
  await Promise.all(idle.map((child) => once(child, 'close')))
  await served.close()
  await store.remove()
  place[Symbol.dispose]()
})

/** Workers that have the library loaded: one gets ready while another is at work. */
const waiting: ChildProcess[] = []

function makeReady(): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', worker], { stdio: ['pipe', 'pipe', 'inherit'] })
}

/** Runs a worker; killed so many milliseconds after it has begun. Resolves to its exit code, null when it was killed, and how long it worked. */
async function run(args: readonly string[], killAfter?: number): Promise<{ code: number | null; ms: number; output: string }> {
  const child = waiting.shift() ?? makeReady()
  waiting.push(makeReady())
  let output = ''
  let start = 0
  child.stdin?.end(`${args.join(' ')}\n`)
  child.stdout?.on('data', (data: Buffer) => {
    if (output === '') {
      start = performance.now()
      if (killAfter !== undefined) void sleep(killAfter).then(() => child.kill('SIGKILL'))
    }
    output += data.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ms: performance.now() - start, output }
}

async function assertClean(when: string): Promise<void> {
  const opened = await Store.open(store.root)
  assert.equal(readdirSync(opened.path('tmp')), [], `${when}: nothing half written`)
  const { problems } = await store.verify()
  assert.equal(problems, [], when)
  for (const each of await images.list()) assert.is((await images.get(each.digest)).id, each.id)
}

async function emptied(): Promise<void> {
  for (const each of await images.list()) await images.remove(each.digest)
  await store.prune({ images: 'all', cache: true })
}

const kinds: readonly [what: string, path: () => string, before: () => Promise<unknown>][] = [
  ['load', () => host, emptied],
  ['import', () => join(place.path, 'r.tar'), emptied],
  ['build', () => 'base:1', () => images.load(host)],
  [
    'push',
    () => `${served.host}/repository-${Date.now()}:1`,
    async () => {
      await images.load(host)
      await store.prune({ cache: true })
    },
  ],
  [
    'collect',
    () => '',
    async () => {
      await images.load(host)
      await image('base:1').run('echo y > /y').build({ tag: 'other:1' })
    },
  ],
]
for (const [what, path, before] of kinds) {
  test(`a store whose process was killed at any instant of "${what}" is whole, and the same then succeeds`, async () => {
    await before()
    const whole = await run([what, path()])
    assert.is(whole.code, 0)
    const tries = ['load', 'build'].includes(what) ? most / 2 : most
    let killed = 0
    let longest = whole.ms
    for (let each = 0; each < tries; each += 1) {
      if (what === 'build') await images.remove('made:1').catch(() => undefined)
      await (what === 'build' ? store.prune({ cache: true }) : before())
      const after = Math.random() * longest
      const { code, ms } = await run([what, path()], after)
      killed += code === null ? 1 : 0
      // The first one may have had more to do, or less of the machine.
      if (code !== null) longest = Math.min(longest, ms)
      await assertClean(`"${what}" killed after ${after.toFixed(1)} of ${longest.toFixed(0)} ms`)
    }
    assert.ok(killed > 0, 'one of them was killed on the way')
    await before()
    assert.is((await run([what, path()])).code, 0)
    await assertClean(`"${what}" done`)
  })
}

test('two processes that load the same at once both succeed', async () => {
  await emptied()
  const both = await Promise.all([run(['load', host]), run(['load', host])])
  assert.equal(
    both.map(({ code }) => code),
    [0, 0],
  )
  assert.is(both[0]?.output, both[1]?.output)
  await assertClean('both loaded')
})

test('garbage that is collected all the while takes nothing from a load and a build in other processes', async () => {
  await emptied()
  await images.load(host)
  let working = true
  const collecting = (async () => {
    for (let each = 0; working; each += 1) await store.prune(each % 2 === 0 ? {} : { cache: true })
  })()
  const both = await Promise.all([run(['load', host]), run(['build', 'base:1']), run(['import', join(place.path, 'r.tar')])])
  working = false
  await collecting
  assert.equal(
    both.map(({ code }) => code),
    [0, 0, 0],
  )
  await assertClean('collected beside others')
  assert.is((await (await images.get('made:1')).exec('cat /made/more /made/7')).stdout, 'more7\n')
})

test.run()
