import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { ImageFiles } from '../../lib/build/files/image-files.ts'
import {
  BuildError,
  type BuildOptions,
  type BuildRuntime,
  buildImage,
  cmdStep,
  copyStep,
  envStep,
  fromStep,
  runStep,
  type Step,
  userStep,
  workdirStep,
} from '../../lib/build/index.ts'
import { buildRuntime, Runtime } from '../../lib/containers/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { closeZygote } from '../../lib/zygote/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

interface Bench {
  readonly directory: string
  readonly runtime: BuildRuntime
  build(steps: readonly Step[], options?: BuildOptions): Promise<ImageData>
  /** The text of a file of the image; undefined when there is none. */
  read(built: ImageData, path: string): Promise<string | undefined>
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('containers')
  const shared = await Runtime.open(join(directory.path, 'store'))
  const runtime: BuildRuntime = await buildRuntime(shared)
  mkdirSync(join(directory.path, 'context'))
  try {
    await work({
      directory: directory.path,
      runtime,
      build: (steps, options) => buildImage(steps, { context: join(directory.path, 'context'), ...options }, runtime),
      read: async (built, path) => {
        const layer = await runtime.openLayer(built.layers.map(({ chainId }) => chainId))
        await using files = new ImageFiles(await layer.agent(), () => layer.discard())
        const entry = (await files.find(path))[0]?.entries[0]
        if (!entry) return undefined
        const pieces: Buffer[] = []
        for await (const piece of files.read(entry)) pieces.push(piece)
        return Buffer.concat(pieces).toString()
      },
    })
    assert.equal(readdirSync(runtime.store.path('containers')), [], 'no container directory is left')
    assert.equal(readdirSync(runtime.store.path('tmp')), [], 'nothing is left in tmp')
  } finally {
    await closeZygote(runtime.store.root)
  }
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

const host = fromStep('host')

test('commands run in containers: each sees what the ones before it left, and its own user, directory and environment', () =>
  withBench(async ({ build, read, runtime }) => {
    const user = runtime.canChown ? 'nobody' : 'root'
    const built = await build([
      host,
      workdirStep('/app'),
      envStep({ GREETING: 'hello' }),
      runStep('mkdir out && chmod 777 out && echo "$GREETING" > out/first'),
      userStep(user),
      runStep('id -un > out/who; cat out/first > out/second; pwd >> out/second', { env: { GREETING: 'unused' } }),
      runStep(['sh', '-c', 'cat /proc/self/status | grep -c Cap > /tmp/caps; test -c /dev/null && echo yes > /tmp/dev'], {
        user: '0',
        cwd: '/',
      }),
      cmdStep(['cat', '/app/out/second']),
    ])
    assert.is(await read(built, 'app/out/second'), 'hello\n/app\n')
    assert.is(await read(built, 'app/out/who'), `${user}\n`)
    assert.is(await read(built, 'tmp/dev'), 'yes\n')
  }))

test('B05: mount points of the engine are in no layer; what a command makes of such paths itself is', () =>
  withBench(async ({ build, runtime }) => {
    const built = await build([fromStep('host'), runStep('true'), runStep('echo mine > /etc/marker')])
    const tars = await Promise.all(built.layers.slice(1).map(({ digest }) => runtime.store.blobs.read(digest)))
    for (const tar of tars) {
      for (const name of ['resolv.conf', 'etc/hosts', 'hostname', 'dev/', 'proc/', 'sys/'])
        assert.not(tar.includes(name), `${name} in a layer`)
    }
    assert.ok(tars[1]?.includes('etc/marker'))
  }))

test('a command that leaves a name which means a removal in a layer fails by that path, and its step is not cached', () =>
  withBench(async ({ build }) => {
    for (const [command, path] of [
      ['mkdir /d && echo x > /d/keep && echo x > /d/.wh.keep; echo made', '/d/.wh.keep'],
      ['mkdir -p /d/.wh.q/x; echo made', '/d/.wh.q'],
    ] as const) {
      for (let time = 0; time < 2; time += 1) {
        const error = await failure(build([host, runStep(command)]))
        assert.equal([error.code, error.details?.path, error.details?.log], ['build_failed', path, 'made\n'])
      }
    }
    await build([host, runStep('touch /.wh.x && rm /.wh.x && touch /x.wh.')])
  }))

test('a command that fails, does not exist, or has no such user: build_failed with its step, exit code, log and state', () =>
  withBench(async ({ build, read }) => {
    const before = [host, runStep('echo kept > /kept')]
    const failed = await failure(build([...before, runStep('echo out; echo err >&2; exit 9')]))
    assert.instance(failed, BuildError)
    assert.equal([failed.code, failed.details?.exitCode, failed.details?.step], ['build_failed', 9, 'RUN echo out; echo err >&2; exit 9'])
    assert.equal(String(failed.details?.log).split('\n').filter(Boolean).sort(), ['err', 'out'])
    assert.is(await read((failed as BuildError<ImageData>).state, 'kept'), 'kept\n')
    const missing = await failure(build([...before, runStep(['no-such-command'])]))
    assert.equal([missing.code, missing.details?.exitCode, (missing.cause as StrakeError).code], ['build_failed', 127, 'command_not_found'])
    const nobody = await failure(build([...before, runStep('true', { user: 'no-such-user' })]))
    assert.equal([nobody.code, (nobody.cause as StrakeError).code], ['build_failed', 'user_not_found'])
  }))

test('a command that takes too long is ended with all that it started', () =>
  withBench(async ({ build }) => {
    const start = performance.now()
    const error = await failure(build([host, runStep('sleep 61 & sleep 62', { timeout: 300 })]))
    assert.equal([error.code, error.details?.timedOut], ['build_failed', true])
    assert.ok(performance.now() - start < 30_000)
  }))

test('a command that leaves a process behind is over when its own process is', () =>
  withBench(async ({ build, read }) => {
    const built = await build([host, runStep('(sleep 63; echo late > /late) >/dev/null 2>&1 & echo done > /done')])
    assert.is(await read(built, 'done'), 'done\n')
    assert.is(await read(built, 'late'), undefined)
  }))

test('an abort ends the command, and the next build goes on from the steps that were finished', () =>
  withBench(async ({ build, read }) => {
    const steps = [host, runStep('date +%s%N > /stamp')]
    const first = await build(steps)
    const controller = new AbortController()
    const log = (event: { type: string }): void => {
      if (event.type === 'log') controller.abort(new Error('enough'))
    }
    const error = await failure(build([...steps, runStep('echo started; sleep 64')], { signal: controller.signal, onProgress: log }))
    assert.is(error.code, 'aborted')
    const second = await build([...steps, runStep('true')])
    assert.is(await read(second, 'stamp'), await read(first, 'stamp'))
  }))

test('a read-only tree that a command leaves is committed, and discarded, like any other', () =>
  withBench(async ({ build, read }) => {
    const built = await build([host, runStep('mkdir -p /ro/a && echo x > /ro/a/f && chmod 500 /ro/a /ro')])
    assert.is(await read(built, 'ro/a/f'), 'x\n')
    assert.is(
      (await failure(build([host, runStep('mkdir -p /ro/a && echo x > /ro/a/f && chmod 000 /ro/a /ro; false')]))).code,
      'build_failed',
    )
  }))

test('removing files of the base leaves whiteouts, and a directory made anew hides the old one', () =>
  withBench(async ({ build, read, directory }) => {
    mkdirSync(join(directory, 'context', 'd'))
    writeFileSync(join(directory, 'context', 'd', 'old'), 'old')
    const built = await build([
      host,
      copyStep('d', '/d'),
      runStep('rm -r /d && mkdir /d && echo new > /d/new && rm /etc/services || true'),
      runStep('ls /d > /list'),
    ])
    assert.is(await read(built, 'list'), 'new\n')
    assert.is(await read(built, 'd/old'), undefined)
  }))

test('without a network a command sees loopback only; with the host it sees what the host has', () =>
  withBench(async ({ build, read }) => {
    const built = await build([host, runStep('cat /proc/net/dev > /none', { network: 'none' }), runStep('cat /proc/net/dev > /all')])
    const interfaces = async (path: string): Promise<string[]> =>
      ((await read(built, path)) ?? '').split('\n').flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? [])
    assert.equal(await interfaces('none'), ['lo'])
    const own = readFileSync('/proc/net/dev', 'utf8')
      .split('\n')
      .flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? [])
    assert.equal((await interfaces('all')).sort(), own.sort())
  }))

test('a directory of one command starts at the working directory of the image', async () => {
  await withBench(async ({ build, read }) => {
    const built = await build([fromStep('host'), workdirStep('/x/y'), runStep('pwd > /out', { cwd: 'z' })])
    assert.is(await read(built, 'out'), '/x/y/z\n')
  })
})

test.run()
