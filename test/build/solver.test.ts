import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { BuildError, type BuildEvent, type BuildOptions, buildImage, defaultPath, type Step } from '../../lib/build/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { image } from '../../lib/fluent/image-builder.ts'
import { type ImageData, Images } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { type FakeCommand, FakeRuntime } from './fake-runtime.ts'

interface Bench {
  readonly runtime: FakeRuntime
  readonly store: Store
  readonly directory: string
  build(steps: { readonly steps: readonly Step[] }, options?: BuildOptions): Promise<ImageData>
  /** A file of the image. */
  read(built: ImageData, path: string): Promise<string>
}

/** A store and a fake runtime; each suite step checks that no half-made layer is left. */
async function withBench(behave: FakeCommand, work: (bench: Bench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('build')
  const store = await Store.open(join(directory.path, 'store'))
  const runtime = new FakeRuntime(store, behave)
  mkdirSync(join(directory.path, 'context'))
  await work({
    runtime,
    store,
    directory: directory.path,
    build: ({ steps }, options) => buildImage(steps, { context: join(directory.path, 'context'), ...options }, runtime),
    async read(built, path) {
      await runtime.unpack(built)
      return readFileSync(join(runtime.snapshot(built.layers.at(-1)!.chainId), path), 'utf8')
    },
  })
  assert.is(runtime.left, 0, 'every layer was committed or discarded')
  assert.equal(readdirSync(store.path('tmp')), [], 'nothing is left in tmp')
}

async function failure(work: Promise<unknown>): Promise<StrakeError> {
  try {
    await work
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
  throw new Error('it did not fail')
}

const append: FakeCommand = ({ argv }, root) => {
  writeFileSync(join(root, 'log'), `${argv.join(' ')}\n`, { flag: 'a' })
  return {}
}

const scratch = image('scratch')

test('each step that writes is a layer, each other one an empty entry of the history', () =>
  withBench(append, async ({ build, read, store }) => {
    const built = await build(scratch.env({ A: '1' }).run(['one']).copy({ f: 'x' }, '/d/').run('two').cmd(['f']), { tag: ['app:1', 'app'] })
    assert.is(built.layers.length, 3)
    assert.is(await read(built, 'log'), 'one\n/bin/sh -c two\n')
    assert.is(await read(built, 'd/f'), 'x')
    assert.equal(
      built.history.map(({ created_by, empty_layer }) => [created_by, empty_layer ?? false]),
      [
        ['ENV A=1', true],
        ['RUN ["one"]', false],
        ['COPY f /d/', false],
        ['RUN two', false],
        ['CMD ["f"]', true],
      ],
    )
    assert.equal(built.tags, ['app:1', 'app:latest'])
    assert.is((await new Images(store).get('app')).digest, built.digest)
  }))

test('the config follows the Dockerfile reference', () =>
  withBench(
    () => ({}),
    async ({ build }) => {
      const built = await build(
        scratch
          .cmd(['inherited'])
          .env({ A: '1', B: '2' })
          .env({ A: '3' })
          .workdir('/app')
          .workdir('sub')
          .user('node')
          .label({ x: 'y' })
          .expose(8080, '53/udp')
          .volume('/data')
          .entrypoint('serve')
          .stopSignal('SIGINT')
          .shell(['/bin/bash', '-c'])
          .cmd('now')
          .healthcheck({ test: ['true'], interval: 1000, retries: 2 }),
      )
      assert.equal(built.config, {
        User: 'node',
        ExposedPorts: { '8080/tcp': {}, '53/udp': {} },
        Env: [`PATH=${defaultPath}`, 'A=3', 'B=2'],
        Entrypoint: ['/bin/sh', '-c', 'serve'],
        Cmd: ['/bin/bash', '-c', 'now'],
        Volumes: { '/data': {} },
        WorkingDir: '/app/sub',
        Labels: { x: 'y' },
        StopSignal: 'SIGINT',
        Shell: ['/bin/bash', '-c'],
        Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000, Retries: 2 },
      })
    },
  ))

test("an entrypoint takes the base image's command away, and leaves this build's own", () =>
  withBench(
    () => ({}),
    async ({ build }) => {
      const base = scratch.cmd(['base'])
      assert.is((await build(image(base).entrypoint(['e']))).config.Cmd, undefined)
      assert.equal((await build(image(base).cmd(['own']).entrypoint(['e']))).config.Cmd, ['own'])
    },
  ))

test('a command gets the environment, directory and user of the steps before it, and its own options', () =>
  withBench(
    () => ({}),
    async ({ build, runtime }) => {
      await build(
        scratch
          .env({ A: '1', PATH: '/bin' })
          .workdir('/w')
          .user('u')
          .run('x', { env: { B: '2' }, cwd: '/c', user: 'v', network: 'none', timeout: 50 })
          .run(['y']),
      )
      const [x, y] = runtime.commands
      assert.equal(
        [x?.argv, x?.env, x?.cwd, x?.user, x?.network, x?.timeout],
        [['/bin/sh', '-c', 'x'], { PATH: '/bin', A: '1', B: '2' }, '/c', 'v', 'none', 50],
      )
      assert.equal(
        [y?.argv, y?.env, y?.cwd, y?.user, y?.network, y?.timeout],
        [['y'], { PATH: '/bin', A: '1' }, '/w', 'u', 'host', undefined],
      )
    },
  ))

test('unchanged steps come from the cache, and give the same digest; noCache does them again', () =>
  withBench(append, async ({ build, runtime }) => {
    const app = scratch.workdir('/w').run('one').copy({ f: 'x' }, '.').run('two')
    const cached: boolean[] = []
    const first = await build(app)
    const opened = runtime.opened
    const second = await build(app, { onProgress: (event) => event.type === 'step' && cached.push(event.cached) })
    assert.is(runtime.opened, opened, 'nothing was opened')
    assert.equal(cached, [true, true, true, true, true])
    assert.is(second.digest, first.digest)
    await build(app, { noCache: true })
    assert.is(runtime.opened, opened + 4)
  }))

test('a change makes what depends on it anew, and nothing before it', () =>
  withBench(append, async ({ build, runtime }) => {
    const app = (second: string) => scratch.run('one').run(second).run('three')
    await build(app('two'))
    const commands = runtime.commands.length
    await build(app('2'))
    assert.equal(
      runtime.commands.slice(commands).map(({ argv }) => argv[2]),
      ['2', 'three'],
    )
    await build(scratch.run('one', { env: { A: '1' } }))
    await build(scratch.env({ A: '1' }).run('one'))
    assert.is(runtime.commands.length, commands + 3, 'the same environment, however it was set')
  }))

test('a file of the context that changes is copied anew, a touched one is not', () =>
  withBench(
    () => ({}),
    async ({ build, runtime, directory, read }) => {
      const file = join(directory, 'context', 'f')
      writeFileSync(file, 'one')
      await build(scratch.copy('f', '/'))
      writeFileSync(file, 'one')
      await build(scratch.copy('f', '/'))
      assert.is(runtime.opened, 1)
      writeFileSync(file, 'two')
      assert.is(await read(await build(scratch.copy('f', '/')), 'f'), 'two')
      assert.is(runtime.opened, 2)
    },
  ))

test('files of another build are copied, which is built once, and not looked at again', () =>
  withBench(append, async ({ build, runtime, read }) => {
    const builder = scratch.run('compile').copy({ 'out/app': 'binary' }, '/')
    const app = scratch.copy('/out/app', '/usr/bin/app', { from: builder }).copy('log', '/log', { from: builder })
    const built = await build(app)
    assert.is(await read(built, 'usr/bin/app'), 'binary')
    assert.is(await read(built, 'log'), '/bin/sh -c compile\n')
    assert.is(runtime.commands.length, 1)
    const opened = runtime.opened
    await build(app)
    assert.is(runtime.opened, opened)
    // Another builder that makes the same file: its content is what counts.
    const committed = runtime.opened
    const changed = await build(scratch.copy('/out/app', '/usr/bin/app', { from: scratch.copy({ 'out/app': 'binary', other: 'x' }, '/') }))
    assert.is(changed.layers[0]?.digest, built.layers[0]?.digest)
    assert.is(runtime.opened, committed + 2, 'one layer for the builder, one to look into it, none for the copy')
  }))

test('a layer that is gone from the store is made again', () =>
  withBench(append, async ({ build, store, runtime }) => {
    const built = await build(scratch.run('one'))
    await store.blobs.remove(built.layers[0]!.digest)
    await build(scratch.run('one'))
    assert.is(runtime.commands.length, 2)
  }))

test('a damaged record of the cache is none', () =>
  withBench(append, async ({ build, store, runtime }) => {
    await build(scratch.run('one'))
    for (const [index, damage] of ['', '{', 'null', '{"created":3}', '{"created":"x","layer":{"digest":"../../x"}}'].entries()) {
      for (const name of readdirSync(store.path('cache', 'build'))) writeFileSync(store.path('cache', 'build', name), damage)
      await build(scratch.run('one'))
      assert.is(runtime.commands.length, index + 2, damage)
    }
  }))

test('a command that fails gives the step, its exit code, the end of its output, and the image before it', () =>
  withBench(
    ({ argv, onOutput }) => {
      if (argv[0] !== 'fail') return {}
      onOutput?.('stdout', Buffer.alloc(200_000, 'x'))
      onOutput?.('stderr', Buffer.from('\nno such thing\n'))
      return { exitCode: 3 }
    },
    async ({ build, store }) => {
      const error = await failure(build(scratch.copy({ f: 'x' }, '/').env({ A: '1' }).run(['fail']).run(['never']), { tag: 'app' }))
      assert.is(error.code, 'build_failed')
      assert.instance(error, BuildError)
      const { step, exitCode, log } = error.details as { step: string; exitCode: number; log: string }
      assert.equal([step, exitCode, log.length, log.endsWith('no such thing\n')], ['RUN ["fail"]', 3, 65_536, true])
      const state = (error as BuildError<ImageData>).state
      assert.equal([state.layers.length, state.config.Env], [1, [`PATH=${defaultPath}`, 'A=1']])
      assert.is(await new Images(store).find('app'), undefined)
    },
  ))

test('what ended a command is told apart', () =>
  withBench(
    ({ argv }) =>
      ({
        killed: { exitCode: null, signal: 'SIGKILL' },
        slow: { exitCode: null, signal: 'SIGKILL', timedOut: true },
        fat: { exitCode: null, signal: 'SIGKILL', oomKilled: true },
      })[argv[0] ?? ''] ?? {},
    async ({ build }) => {
      assert.match((await failure(build(scratch.run(['killed'])))).message, 'ended by SIGKILL')
      assert.match((await failure(build(scratch.run(['slow'], { timeout: 10 })))).message, 'did not end within 10 ms')
      assert.match((await failure(build(scratch.run(['fat'])))).message, 'ran out of memory')
    },
  ))

test('a copy that the image has no room for is a failed step too, and leaves nothing', () =>
  withBench(
    () => ({}),
    async ({ build }) => {
      const error = await failure(build(scratch.copy({ a: 'file' }, '/').copy({ b: 'x' }, '/a/')))
      assert.instance(error, BuildError)
      assert.is((error as BuildError<ImageData>).state.layers.length, 1)
    },
  ))

test('wrong contexts are refused by their own codes', () =>
  withBench(
    () => ({}),
    async ({ build, directory }) => {
      assert.is((await failure(build(scratch.copy('missing', '/')))).code, 'context_invalid')
      assert.is((await failure(build(scratch.copy('x', '/'), { context: join(directory, 'nowhere') }))).code, 'context_invalid')
      assert.is((await failure(build(image('no-such-image'), { pull: 'never' }))).code, 'image_not_found')
      assert.is((await failure(build(image().run('x')))).code, 'invalid_argument')
      assert.is((await failure(build(scratch.from('host')))).code, 'invalid_argument')
    },
  ))

test('whatever a step fails with, its details say which step it was', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  return withBench(
    ({ argv }) => {
      if (argv[0] === 'full') throw full
      if (argv[0] === 'refused')
        throw new StrakeError('kernel_refused', 'mount(2) is refused', { hint: 'doctor()', details: { errno: 'EPERM' } })
      return {}
    },
    async ({ build, directory }) => {
      const dockerfile = image().fromDockerfile({ text: 'FROM scratch\nENV A=missing\nCOPY $A /there\n' })
      const inner = scratch.copy('/', '/', { from: image('no-such-image') })
      for (const [app, code, step] of [
        [scratch.run(['full']), 'store_full', 'RUN ["full"]'],
        [scratch.run(['refused']), 'kernel_refused', 'RUN ["refused"]'],
        [scratch.copy('missing', '/'), 'context_invalid', 'COPY missing /'],
        [dockerfile, 'context_invalid', 'COPY missing /there'],
        [inner, 'image_not_found', 'FROM no-such-image'],
        [image('no-such-image'), 'image_not_found', 'FROM no-such-image'],
        [scratch.add('http://127.0.0.1:1/x', '/'), 'download_failed', 'ADD http://127.0.0.1:1/x /'],
      ] as const) {
        const error = await failure(build(app, { pull: 'never', context: join(directory, 'context') }))
        assert.equal([error.code, error.details?.step], [code, step])
      }
      const refused = await failure(build(scratch.run(['refused'])))
      assert.equal([refused.hint, refused.details], ['doctor()', { errno: 'EPERM', step: 'RUN ["refused"]' }])
    },
  )
})

test('an aborted build rejects with aborted, whenever that is; what was finished is used again', () => {
  const controller = new AbortController()
  return withBench(
    ({ argv, signal }) => {
      if (argv[0] !== 'hang') return {}
      setTimeout(() => controller.abort(), 5)
      return new Promise((resolve) => signal?.addEventListener('abort', () => resolve({ exitCode: null, signal: 'SIGKILL' })))
    },
    async ({ build, runtime }) => {
      const app = scratch.run(['one']).run(['hang'])
      const early = AbortSignal.abort(new Error('not now'))
      assert.is((await failure(build(app, { signal: early }))).code, 'aborted')
      assert.is(runtime.opened, 0)
      assert.is((await failure(build(app, { signal: controller.signal }))).code, 'aborted')
      const commands = runtime.commands.length
      await build(scratch.run(['one']))
      assert.is(runtime.commands.length, commands)
    },
  )
})

test('progress tells each step once, with its output', () =>
  withBench(
    ({ onOutput }) => {
      onOutput?.('stdout', Buffer.from('hello\n'))
      return {}
    },
    async ({ build }) => {
      const events: BuildEvent[] = []
      await build(scratch.run(['x']).cmd(['y']), { onProgress: (event) => events.push(event) })
      assert.equal(
        events.map(({ type, index, name }) => `${type} ${index} ${name}`),
        [
          'start 1 FROM scratch',
          'step 1 FROM scratch',
          'start 2 RUN ["x"]',
          'log 2 RUN ["x"]',
          'step 2 RUN ["x"]',
          'start 3 CMD ["y"]',
          'step 3 CMD ["y"]',
        ],
      )
    },
  ))

test('SOURCE_DATE_EPOCH: the same digest in another store, another directory, at another time', async () => {
  const digests = new Set<string>()
  process.env.SOURCE_DATE_EPOCH = '1700000000'
  try {
    for (let round = 0; round < 2; round += 1) {
      await withBench(append, async ({ build, directory }) => {
        writeFileSync(join(directory, 'context', 'f'), 'x')
        const built = await build(scratch.workdir('/w').copy('f', '.').copy({ g: 'y' }, '/deep/er/').run('one'))
        assert.is(built.created, '2023-11-14T22:13:20.000Z')
        digests.add(built.digest)
      })
      await new Promise((resolve) => setTimeout(resolve, 1100))
    }
    assert.is(digests.size, 1)
    process.env.SOURCE_DATE_EPOCH = 'yesterday'
    await withBench(append, async ({ build }) => assert.is((await failure(build(scratch))).code, 'invalid_argument'))
  } finally {
    delete process.env.SOURCE_DATE_EPOCH
  }
})

test('an image that is only named stays the image it was', () =>
  withBench(append, async ({ build }) => {
    const built = await build(scratch.run('one'), { tag: 'a' })
    const named = await build(image('a'), { tag: 'b' })
    assert.is(named.digest, built.digest)
    assert.equal(named.tags, ['a:latest', 'b:latest'])
  }))

test.run()
