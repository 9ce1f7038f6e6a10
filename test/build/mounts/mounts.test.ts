import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { bind, cache, type RunMount, secret, tmpfs } from '../../../lib/build/index.ts'
import { image } from '../../../lib/fluent/index.ts'
import { test } from '../../support/uvu.ts'
import { failure, withBench } from '../bench.ts'

const host = image('host')

test('a cache is there again in the next build, in no layer, and its mount point neither', () =>
  withBench(async ({ build, paths, read }) => {
    const mounts = [cache('/root/.cache/tool')]
    const first = await build(host.run('echo one >> /root/.cache/tool/log; cat /root/.cache/tool/log > /seen', { mounts }))
    const second = await build(host.run('echo two >> /root/.cache/tool/log; cat /root/.cache/tool/log > /seen', { mounts }))
    assert.is(await read(first, 'seen'), 'one\n')
    assert.is(await read(second, 'seen'), 'one\ntwo\n')
    assert.equal(await paths(second), ['seen'])
  }))

test('caches of one id are the same wherever they are mounted; of another id or another beginning another', () =>
  withBench(async ({ build, read }) => {
    await build(host.run('echo x > /a/f', { mounts: [cache('/a', { id: 'shared' })] }))
    const same = await build(host.run('cat /b/f > /seen', { mounts: [cache('/b', { id: 'shared' })] }))
    assert.is(await read(same, 'seen'), 'x\n')
    const other = await build(host.run('ls /a | wc -l > /seen', { mounts: [cache('/a')] }))
    assert.is((await read(other, 'seen'))?.trim(), '0')
    const base = image('scratch').copy({ 'd/begin': 'here\n' }, '/')
    const filled = await build(host.run('cat /c/begin > /seen', { mounts: [cache('/c', { id: 'shared', from: base, source: 'd' })] }))
    assert.is(await read(filled, 'seen'), 'here\n')
  }))

test('a cache has the mode and owner that it was made with, and one that is read-only takes nothing', () =>
  withBench(async ({ build, read, runtime }) => {
    const [uid, gid] = runtime.canChown ? [7, 8] : [0, 0]
    const mounts = [cache('/c', { mode: 0o750, uid, gid }), cache('/r', { readOnly: true })]
    const built = await build(host.run('stat -c "%a %u %g" /c > /seen; touch /r/x || echo refused >> /seen', { mounts }))
    assert.is(await read(built, 'seen'), `750 ${uid} ${gid}\nrefused\n`)
  }))

test('a bind shows the context, its .. and links inside, and keeps nothing; read-only unless told', () =>
  withBench(async ({ build, read, paths, context }) => {
    mkdirSync(join(context, 'src/deep'), { recursive: true })
    writeFileSync(join(context, 'src/deep/f'), 'text\n')
    writeFileSync(join(context, 'one'), 'file\n')
    symlinkSync('deep/f', join(context, 'src/link'))
    const app = host.run('cat /s/link /s/deep/f /o > /seen; echo no > /s/deep/f || echo refused >> /seen', {
      mounts: [bind('/s', { source: 'src' }), bind('/o', { source: 'one' })],
    })
    const built = await build(app)
    assert.is(await read(built, 'seen'), 'text\ntext\nfile\nrefused\n')
    assert.equal(await paths(built), ['seen'])
    const written = await build(
      host.run('echo new > /s/deep/f && cat /s/deep/f > /seen', { mounts: [bind('/s', { source: 'src', readWrite: true })] }),
    )
    assert.is(await read(written, 'seen'), 'new\n')
    assert.is(readFileSync(join(context, 'src/deep/f'), 'utf8'), 'text\n')
    assert.equal(await paths(written), ['seen'])
  }))

test('what a bind shows decides whether the cache fits, its times do not', () =>
  withBench(async ({ build, read, context }) => {
    writeFileSync(join(context, 'f'), 'one')
    writeFileSync(join(context, 'other'), 'one')
    const cached: boolean[] = []
    const app = host.run('cat /f > /seen', { mounts: [bind('/f', { source: 'f' })] })
    const onProgress = (event: { type: string; cached?: boolean; name?: string }): void => {
      if (event.type === 'step' && event.name?.startsWith('RUN')) cached.push(event.cached === true)
    }
    await build(app, { onProgress })
    writeFileSync(join(context, 'other'), 'two')
    writeFileSync(join(context, 'f'), 'one')
    await build(app, { onProgress })
    writeFileSync(join(context, 'f'), 'two')
    const last = await build(app, { onProgress })
    assert.equal(cached, [false, true, false])
    assert.is(await read(last, 'seen'), 'two')
  }))

test('files of another stage are mounted, of one layer and of several; a change elsewhere in that stage changes nothing', () =>
  withBench(async ({ build, read }) => {
    const one = image('scratch').copy({ 'd/f': 'first\n', other: '1' }, '/')
    const changed = image('scratch').copy({ 'd/f': 'first\n', other: '2' }, '/')
    const two = one.copy({ 'd/g': 'second\n' }, '/')
    const app = (from: typeof one) => host.run('cat /m/* > /seen', { mounts: [bind('/m', { from, source: 'd' })] })
    const built = await build(app(one))
    assert.is(await read(built, 'seen'), 'first\n')
    assert.is(await read(await build(app(two)), 'seen'), 'first\nsecond\n')
    assert.is((await build(app(changed))).layers.at(-1)?.digest, built.layers.at(-1)?.digest)
    const rw = host.run('echo x > /m/new; ls /m > /seen', { mounts: [bind('/m', { from: two, source: '/d', readWrite: true })] })
    assert.is(await read(await build(rw), 'seen'), 'f\ng\nnew\n')
    const none = await failure(build(host.run('true', { mounts: [bind('/m', { from: one, source: 'missing' })] })))
    assert.equal([none.code, none.details?.path], ['context_invalid', 'missing'])
  }))

test('a tmpfs is empty, of its size, and gone; mounts are found inside mounts', () =>
  withBench(async ({ build, read, paths }) => {
    const mounts = [tmpfs('/big/small', { size: '64k' }), tmpfs('/big'), cache('/dev/shm/x')]
    const command = 'ls -A /big; head -c 200000 /dev/zero > /big/small/f || echo full; grep -c " /big" /proc/mounts; ls -d /dev/shm/x'
    const built = await build(host.run(`(${command}) > /seen 2>/dev/null`, { mounts }))
    assert.is(await read(built, 'seen'), 'small\nfull\n2\n/dev/shm/x\n')
    assert.equal(await paths(built), ['seen'])
  }))

test('B03: a target that is a link in the image is resolved in it; nothing of the host is mounted on, made or removed', () =>
  withBench(async ({ build, read, directory, paths }) => {
    const outside = join(directory, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'f'), 'untouched')
    for (const [name, target] of [
      ['absolute', outside],
      ['relative', `../../../../..${outside}`],
      ['magic', '/proc/self/root/x'],
      ['working directory', '/proc/self/cwd'],
    ] as const) {
      const base = host.run(`ln -s ${target} /link`)
      const app = base.run('echo x > /link/made; ls /link > /seen', { mounts: [cache('/link', { id: name })] })
      if (target.startsWith('/proc')) {
        const refused = await failure(build(app))
        assert.equal([refused.code, refused.details?.path], ['build_failed', '/link'], name)
      } else {
        const built = await build(app)
        assert.is(await read(built, 'seen'), 'made\n', name)
        assert.not.ok(
          (await paths(built)).some((path) => path.includes('made')),
          name,
        )
      }
      assert.not.ok(existsSync(join(outside, 'made')), name)
      assert.is(readFileSync(join(outside, 'f'), 'utf8'), 'untouched')
    }
  }))

test('B03: what a command puts in the place of a mount point is its own, and what it removes is gone', () =>
  withBench(async ({ build, read, paths }) => {
    const mounts: RunMount[] = [cache('/a/b/c')]
    const built = await build(host.run('mkdir -p /a/b/own; echo x > /a/top; rmdir /a/b/c 2>/dev/null || echo busy > /seen', { mounts }))
    assert.equal(await paths(built), ['a/', 'a/b/', 'a/b/own/', 'a/top', 'seen'])
    assert.is(await read(built, 'seen'), 'busy\n')
    const again = await build(host.run('mkdir -m 700 /d && touch -d @1000 /d').run('true', { mounts: [cache('/d/x')] }))
    assert.equal(await paths(again), [])
    const removed = await build(
      host
        .run('mkdir -p /e/f')
        .run('rm -rf /e/f')
        .run('echo x > /e/f/y; echo z > /e/z', { mounts: [cache('/e/f')] }),
    )
    assert.equal(await paths(removed), ['e/', 'e/z'])
  }))

test('a mount point of the wrong kind is a failed step with the path', () =>
  withBench(async ({ build, context }) => {
    writeFileSync(join(context, 'f'), '')
    const onFile = await failure(build(host.run('true', { mounts: [cache('/etc/passwd')] })))
    assert.equal([onFile.code, onFile.details?.path], ['build_failed', '/etc/passwd'])
    const onDirectory = await failure(build(host.run('true', { mounts: [bind('/usr', { source: 'f' })] })))
    assert.equal([onDirectory.code, onDirectory.details?.path], ['build_failed', '/usr'])
    const below = await failure(build(host.run('true', { mounts: [secret('s', { target: '/etc/passwd/x' })], secrets: { s: 'x' } })))
    assert.is(below.code, 'build_failed')
  }))

test('a relative target starts at the working directory', () =>
  withBench(async ({ build, read }) => {
    const app = host.workdir('/app').run('echo x > node_modules/f; pwd > seen; cat /app/node_modules/f >> seen', {
      mounts: [cache('node_modules')],
    })
    assert.is(await read(await build(app), 'app/seen'), '/app\nx\n')
  }))

test('another user writes into a cache of that user', () =>
  withBench(async ({ build, read, runtime }) => {
    const uid = runtime.canChown ? 1234 : 0
    const built = await build(
      host.run('echo mine > /c/f && cp /c/f /tmp/seen', { user: uid, mounts: [cache('/c', { uid, gid: uid }), tmpfs('/t')] }),
    )
    assert.is(await read(built, 'tmp/seen'), 'mine\n')
  }))

test.run()
