// test: timeout 300
// What goes wrong in a step: told clearly, nothing of it left, and the same build right afterwards.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { BuildError, cache, type Image, image, images, store } from '../../lib/index.ts'
import { settled } from '../containers/traces.ts'
import { skip, testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'
import type { Outcome, Work } from './fault-worker.ts'

const test = suite('faults')
const file = fileURLToPath(new URL('fault-worker.ts', import.meta.url))
const place = temporaryDirectory('faults')
process.env.STRAKE_ROOT = join(place.path, 'store')

test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})

/** The worker in a process of its own, started by `prefix`. */
class Worker {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  readonly lines: unknown[] = []
  readonly #isReady: Promise<void>

  constructor(work: Work, prefix: readonly string[] = []) {
    const [command = '', ...args] = [...prefix, process.execPath, '--import', 'tsx', file, JSON.stringify(work)]
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = once(this.child, 'close')
    this.#isReady = new Promise((resolve) => {
      if (!this.child.stdout) return
      createInterface(this.child.stdout).on('line', (line) => {
        const said: unknown = JSON.parse(line)
        if (said === 'ready') resolve()
        else this.lines.push(said)
      })
    })
  }

  async ready(): Promise<void> {
    await Promise.race([
      this.#isReady,
      this.ended.then(() => {
        throw new Error('the worker has ended')
      }),
    ])
  }

  async outcomes(): Promise<readonly Outcome[]> {
    await this.ended
    return this.lines as Outcome[]
  }
}

const contentOf = async (built: Image, path: string): Promise<string> => (await built.exec(['cat', path], { check: true })).stdout

async function assertWhole(): Promise<void> {
  await store.prune()
  assert.equal((await store.verify()).problems, [])
  for (const name of ['containers', 'tmp'])
    assert.equal(readdirSync(store.root).includes(name) ? readdirSync(join(store.root, name)) : [], [], name)
  assert.equal(
    readdirSync(join(store.root, 'locks')).filter((name) => /^(step|mount)-/.test(name)),
    [],
  )
}

testAs(test, ['root'], 'a step that fills the disk: with its own files, and with the layer of them', async () => {
  const disk = join(place.path, 'disk')
  mkdirSync(disk)
  // A file system that only the worker sees.
  const script = `mount -t tmpfs -o size=112m none "$0" && export STRAKE_ROOT="$0/store" && "$@"; code=$?; ls "$0/store/tmp" "$0/store/containers" | sed 's/.*/"&"/'; exit $code`
  const own = 'head -c 120m /dev/zero > /big && echo not reached'
  const layer = 'head -c 44m /dev/urandom > /big; echo ready'
  const small = 'echo small > /small'
  const quiet = 'dd if=/dev/zero of=/big bs=1M count=120 2> /dev/null; true'
  const worker = new Worker({ commands: [own, layer, small, layer, quiet, `${small} ;; cat /small`] }, [
    'unshare',
    '--mount',
    'sh',
    '-c',
    script,
    disk,
  ])
  const [one, two, three, four, silent, five, ...left] = await worker.outcomes()
  assert.equal([one?.code, two?.code, four?.code], ['build_failed', 'store_full', 'store_full'], JSON.stringify([one, two, four]))
  assert.match(one?.log ?? '', /No space left on device/)
  assert.equal([one?.step, two?.step, silent?.code, silent?.step], [`RUN ${own}`, `RUN ${layer}`, 'store_full', `RUN ${quiet}`])
  assert.ok(three?.digest)
  assert.ok(five?.digest)
  assert.equal(left, [`${disk}/store/containers:`, '', `${disk}/store/tmp:`])
})

testAs(test, ['root'], 'a step that memory runs out for is told so, and the process that builds goes on', async () => {
  const group = `/sys/fs/cgroup/memory/strake-test-${process.pid}`
  if (!existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes')) return skip('no groups of version 1 for memory')
  mkdirSync(group)
  try {
    writeFileSync(join(group, 'memory.limit_in_bytes'), String(600 * 1024 * 1024))
    const greedy = 'echo 1000 > /proc/self/oom_score_adj; echo begun > /begun; exec tail /dev/zero'
    const prefix = ['sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh']
    const [one, two] = await new Worker({ commands: [greedy, 'echo small > /small'] }, prefix).outcomes()
    assert.is(one?.code, 'build_failed')
    assert.match(one?.message ?? '', /ran out of memory/)
    assert.ok(two?.digest)
  } finally {
    // What the worker had started ends a moment after it.
    const isRemoved = (): boolean => {
      try {
        rmdirSync(group)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
      }
      return !existsSync(group)
    }
    assert.ok(await settled(isRemoved, (removed) => removed, 10_000))
  }
  await assertWhole()
})

test('a step that leaves daemons behind, deaf to signals: none goes on, and the layer is what it was', async () => {
  const mark = `strake-fault-${process.pid}`
  const daemon = `trap "" TERM HUP INT; while :; do echo ${mark} >> /beat; sleep 0.01; done`
  const builder = image('host').run(
    `for each in 1 2 3; do (setsid sh -c '${daemon}' >/dev/null 2>&1 &); done; until test -s /beat; do sleep 0.01; done`,
  )
  const built = await builder.build()
  assert.not(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes(daemon), 'they are gone')
  const beats = await contentOf(built, '/beat')
  assert.is(await contentOf(await builder.build(), '/beat'), beats)
  assert.is(await contentOf(await builder.run('true').build(), '/beat'), beats)
  await assertWhole()
})

test('a tree that a step leaves without leave to write or to look in is kept, changed, removed and thrown away', async () => {
  const tree = image('host').run('mkdir -p /t/a/b && echo one > /t/a/b/f && echo two > /t/a/g && chmod -R a-w /t && chmod 000 /t/a/b')
  const built = await tree.build()
  assert.is((await built.exec('stat -c %a /t /t/a /t/a/b /t/a/b/f | paste -sd" "; cat /t/a/b/f')).stdout, '555 555 0 444\none\n')
  const changed = await tree.run('echo three > /t/a/b/f && rm /t/a/g').build()
  assert.is((await changed.exec('cat /t/a/b/f; ls /t/a; stat -c %a /t/a/b /t/a/b/f | paste -sd" "')).stdout, 'three\nb\n0 444\n')
  assert.is((await (await tree.run('rm -r /t').build()).exec('ls -d /t 2> /dev/null | wc -l')).stdout, '0\n')
  const error = await tree
    .run('chmod -R 000 /t /srv 2> /dev/null; exit 3')
    .build()
    .catch((each: unknown) => each)
  assert.instance(error, BuildError)
  assert.is(await contentOf((error as BuildError<Image>).state, '/t/a/b/f'), 'one\n')
  await assertWhole()
})

for (const sharing of ['locked', 'private', 'shared'] as const) {
  test(`the process is killed in a step with a ${sharing} cache: the same build goes on from the steps before, has the cache, waits for nobody`, async () => {
    const begin = `echo ${sharing} > /first; date +%s%N > /stamp; echo 1 > /c/kept`
    // The first time it has two lines and waits to be killed.
    const step =
      'test ! -e /half && echo half > /half; echo 2 >> /c/kept; echo ready; test $(wc -l < /c/kept) = 3 || sleep 300; cp /c/kept /kept'
    const work: Work = { commands: [`${begin} ;; ${step}`], sharing }
    const worker = new Worker(work)
    await worker.ready()
    worker.child.kill('SIGKILL')
    await worker.ended
    const stamp = await contentOf(
      await image('host')
        .run(begin, { mounts: [cache('/c', { sharing })] })
        .build(),
      '/stamp',
    )
    const start = performance.now()
    const [outcome] = await new Worker(work).outcomes()
    assert.ok(performance.now() - start < 60_000)
    const built = await images.get(outcome?.digest ?? '')
    assert.is(await contentOf(built, '/stamp'), stamp)
    assert.is(await contentOf(built, '/kept'), '1\n2\n2\n')
    assert.is(await contentOf(built, '/half'), 'half\n')
    await assertWhole()
  })
}

test.run()
