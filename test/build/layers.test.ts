import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { SourceEntry } from '../../lib/build/files/entry.ts'
import { ImageFiles } from '../../lib/build/files/image-files.ts'
import { BuildError, type BuildOptions, buildImage } from '../../lib/build/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { type ImageBuilder, image } from '../../lib/fluent/image-builder.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { hexOf, Store } from '../../lib/store/index.ts'
import { closeZygote, zygoteOf } from '../../lib/zygote/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { AgentRuntime } from './agent-runtime.ts'

interface Bench {
  readonly directory: string
  readonly runtime: AgentRuntime
  build(builder: ImageBuilder, options?: BuildOptions): Promise<ImageData>
  /** A path in the image: what it is, and its text. */
  look(built: ImageData, path: string): Promise<(SourceEntry & { readonly text: string }) | undefined>
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('layers')
  const store = await Store.open(join(directory.path, 'store'))
  const runtime = new AgentRuntime(store, await zygoteOf(store.root))
  mkdirSync(join(directory.path, 'context'))
  try {
    await work({
      directory: directory.path,
      runtime,
      build: ({ steps }, options) => buildImage(steps, { context: join(directory.path, 'context'), ...options }, runtime),
      look: async (built, path) => {
        await runtime.unpack(built)
        const layer = await runtime.openLayer(built.layers.map(({ chainId }) => chainId))
        await using files = new ImageFiles(await layer.agent(), () => layer.discard())
        const entry = (await files.find(path))[0]?.entries[0]
        if (!entry) return undefined
        const pieces: Buffer[] = []
        if (entry.kind === 'file') for await (const piece of files.read(entry)) pieces.push(piece)
        return { ...entry, text: Buffer.concat(pieces).toString() }
      },
    })
    assert.equal(readdirSync(store.path('containers')), [], 'no container directory is left')
    assert.equal(readdirSync(store.path('tmp')), [], 'nothing is left in tmp')
  } finally {
    await closeZygote(store.root)
  }
}

test('a shell of the host base runs, and what it makes and removes is a layer', () =>
  withBench(async ({ build, look, runtime }) => {
    const built = await build(
      image('host')
        .run('echo hello > /greeting && rm /etc/hosts && ls /usr > /listing')
        .copy({ 'usr/local/bin/x': { content: '#!/bin/sh\n', mode: 0o755 } }, '/'),
    )
    assert.is(built.layers.length, 3)
    assert.is((await look(built, 'greeting'))?.text, 'hello\n')
    assert.match((await look(built, 'listing'))?.text ?? '', 'bin')
    assert.is(await look(built, 'etc/hosts'), undefined)
    const x = await look(built, 'usr/local/bin/x')
    assert.equal([x?.mode, x?.uid, x?.gid], [0o755, 0, 0])
    assert.ok(built.layers.every(({ diffId }) => existsSync(runtime.store.blobs.path(diffId))))
  }))

test('what is copied is unpacked for the step that needs it, and no sooner', () =>
  withBench(async ({ build, directory, runtime }) => {
    writeFileSync(join(directory, 'context', 'f'), 'x')
    const app = image('host').copy('f', '/srv/').workdir('/srv/below')
    const snapshots = (built: ImageData) => built.layers.map(({ chainId }) => existsSync(runtime.store.path('snapshots', hexOf(chainId))))
    assert.equal(snapshots(await build(app)), [true, true, false])
    const run = await build(app.run('test -f ../f && test -d /srv/below'))
    assert.equal(snapshots(run), [true, true, true, true])
  }))

test('a copy makes a layer of just its own files, the same in another store', async () => {
  const digests = new Set<string>()
  for (let round = 0; round < 2; round += 1) {
    await withBench(async ({ build, directory, runtime }) => {
      mkdirSync(join(directory, 'context', 'd'))
      writeFileSync(join(directory, 'context', 'd', 'big'), Buffer.alloc(300_000, 'x'))
      const built = await build(image('host').copy({ 'etc/motd': 'hello\n', 'opt/deep/er/f': 'x' }, '/'))
      const layer = built.layers.at(-1)!
      digests.add(layer.digest)
      assert.ok((await runtime.store.blobs.size(layer.digest))! < 10_000, 'no more than the files')
      await build(image('host').copy('d', '/srv/d'))
    })
  }
  assert.is(digests.size, 1)
})

test('B02: links of the image to /proc, /dev and outside lead to places in the image', () =>
  withBench(async ({ build, look, directory }) => {
    const outside = join(directory, 'outside')
    mkdirSync(outside)
    const base = image('scratch').copy({ 'etc/passwd': 'root:x:0:0::/root:/bin/sh\n' }, '/')
    for (const [name, target] of [
      ['self', '/proc/self/cwd'],
      ['fd', '/proc/self/fd'],
      ['dev', '/dev/shm'],
      ['out', outside],
      ['up', '../../../../tmp'],
    ] as const) {
      const links = join(directory, 'context', name)
      mkdirSync(links)
      symlinkSync(target, join(links, 'link'))
      const built = await build(base.copy(name, '/').copy({ f: 'inside' }, '/link/'))
      assert.is((await look(built, '/link/f'))?.text, 'inside', target)
    }
    assert.equal(readdirSync(outside), [])
    assert.not(existsSync('/dev/shm/f'))
  }))

test('owners: root unless told, a name of the image, or what they are in another image', () =>
  withBench(async ({ build, look, runtime }) => {
    const built = await build(
      image('host')
        .copy({ f: 'x' }, '/srv/', { chown: 'www-data' })
        .copy({ g: 'x' }, '/srv/', { chown: 'nobody:tty', chmod: 0o600 })
        .copy('/srv', '/copied', { from: image('host').copy({ h: '' }, '/srv/', { chown: '7:8' }) }),
    )
    const ids = async (path: string) => {
      const entry = await look(built, path)
      return [entry?.uid, entry?.gid]
    }
    const expected = (uid: number, gid: number) => (runtime.canChown ? [uid, gid] : [0, 0])
    assert.equal(await ids('/srv/f'), expected(33, 33))
    assert.equal(await ids('/srv/g'), expected(65534, 5))
    assert.equal(await ids('/copied/h'), expected(7, 8))
    assert.is((await look(built, '/srv/g'))?.mode, 0o600)
  }))

test('working directories are made where they are missing, and no layer where they are not', () =>
  withBench(async ({ build, look }) => {
    const built = await build(image('host').workdir('/tmp').workdir('/srv/app').workdir('sub').run('pwd > where'))
    assert.is(built.config.WorkingDir, '/srv/app/sub')
    assert.equal(
      built.history.map(({ empty_layer }) => empty_layer ?? false),
      [false, true, false, false, false],
    )
    assert.is((await look(built, '/srv/app/sub/where'))?.text, '/srv/app/sub\n')
  }))

test('what is no directory stays what it is, whatever is to be put below it: an earlier step made it, or a lower layer has it', () =>
  withBench(async ({ build, look, directory }) => {
    const base = image('host').run('echo precious > /f; mkfifo /p; ln -s /f /l; ln -s p /q')
    for (const builder of [
      base.copy({ x: '' }, '/f/y/'),
      base.copy({ x: '' }, '/etc/passwd/y/'),
      base.copy({ x: '' }, '/l/y/z/'),
      base.copy({ x: '' }, '/q/y/'),
      base.copy('/f', '/f/y/', { from: base }),
      base.workdir('/f/app'),
      base.workdir('/p/app/sub'),
      image().fromDockerfile({ text: 'FROM scratch\nCOPY <<x /f\nprecious\nx\nCOPY <<x /f/y/\n1\nx\n' }),
    ]) {
      const error = await build(builder).then(
        () => assert.unreachable('it was built'),
        (thrown: unknown) => thrown,
      )
      assert.instance(error, BuildError)
      const failed = error as BuildError<ImageData>
      assert.equal([failed.code, /is no directory in the image/.test(failed.message)], ['build_failed', true], failed.message)
      assert.is((await look(failed.state, '/f'))?.text, 'precious\n')
    }
    writeFileSync(join(directory, 'context', 'a'), '')
    for (const builder of [base.copy({ x: '' }, '/f/y/', { link: true }), base.add('a', '/f/y/', { link: true })]) {
      const error = await build(builder).catch((thrown: StrakeError) => thrown)
      assert.is(error instanceof StrakeError && error.code, 'layer_invalid')
    }
  }))

test('a command that fails leaves nothing but the image before it', () =>
  withBench(async ({ build, look }) => {
    try {
      await build(image('host').run('echo one > /one').run('echo two > /two; exit 7'))
      assert.unreachable()
    } catch (error) {
      assert.instance(error, BuildError)
      const failed = error as BuildError<ImageData>
      assert.is(failed.details?.exitCode, 7)
      assert.is((await look(failed.state, '/one'))?.text, 'one\n')
      assert.is(await look(failed.state, '/two'), undefined)
    }
  }))

test.run()
