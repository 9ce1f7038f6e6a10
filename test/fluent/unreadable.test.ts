// What cannot be read, written or understood is told as every error is: by a code and a hint.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, images, secret as mounted, StrakeError, store } from '../../lib/index.ts'
import { amd64, layoutFiles, tarOf, writeFiles } from '../images/maker.ts'
import { file, tar } from '../layers/tar-maker.ts'
import { testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('unreadable')
let place: ReturnType<typeof temporaryDirectory>
let socket: Server
const at = (...names: string[]): string => join(place.path, ...names)

test.before(async () => {
  place = temporaryDirectory('unreadable')
  process.env.STRAKE_ROOT = at('store')
  mkdirSync(at('dir'))
  writeFileSync(at('file'), 'x')
  execFileSync('mkfifo', [at('fifo')])
  socket = createServer().listen(at('socket'))
  await once(socket, 'listening')
})
test.after(async () => {
  socket.close()
  await store.remove()
  place[Symbol.dispose]()
})

async function failure(work: () => PromiseLike<unknown>): Promise<StrakeError> {
  const error = await Promise.resolve()
    .then(work)
    .then(
      () => new Error('it did not fail'),
      (reason: unknown) => reason,
    )
  if (!(error instanceof StrakeError)) throw error
  assert.ok(error.hint, `${error.message} has a hint`)
  return error
}

/** Every way in which a file is given. */
const ways: Readonly<Record<string, (path: string) => PromiseLike<unknown>>> = {
  import: (path) => images.import(path),
  load: (path) => images.load(path),
  'a path': (path) => image(path).build(),
  'oci-archive:': (path) => image(`oci-archive:${path}`).build(),
  'docker-archive:': (path) => image(`docker-archive:${path}`).build(),
}

for (const [way, take] of Object.entries(ways)) {
  test(`${way}: nothing is waited for, and what is no file is said to be what it is`, async () => {
    const kinds = { fifo: at('fifo'), socket: at('socket'), device: '/dev/zero' }
    for (const [kind, path] of Object.entries(kinds)) {
      const { code, message } = await failure(() => take(path))
      assert.equal([code, message], ['invalid_argument', `${path} is a ${kind}, not a file`])
    }
  })

  test(`${way}: a path with nothing there, one that is too long, and a file whose reading fails`, async () => {
    for (const path of [at('nothing'), at('file', 'x')]) assert.is((await failure(() => take(path))).code, 'image_not_found')
    const long = await failure(() => take(at('x'.repeat(5000))))
    assert.is(long.code, 'invalid_argument')
    assert.ok(long.message.length < 300)
    // A regular file that is opened, and whose first page nobody has.
    const failed = await failure(() => take('/proc/self/mem'))
    assert.equal([failed.code, (failed.cause as { code?: string }).code], ['invalid_argument', 'EIO'])
  })

  testAs(test, ['subid', 'single'], `${way}: a file that is not this user's to read`, async () => {
    rmSync(at('secret.tar'), { force: true })
    writeFileSync(at('secret.tar'), 'x', { mode: 0 })
    mkdirSync(at('locked'), { recursive: true, mode: 0 })
    for (const path of [at('secret.tar'), at('locked', 'x.tar')]) {
      const { code, cause, hint } = await failure(() => take(path))
      assert.equal([code, (cause as { code?: string }).code], ['invalid_argument', 'EACCES'])
      assert.match(hint ?? '', /may not read it/)
    }
  })
}

test('a directory in the place of a file is told with what takes one', async () => {
  for (const way of ['import', 'oci-archive:', 'docker-archive:']) {
    const { code, hint } = await failure(() => ways[way]?.(at('dir')) ?? Promise.resolve())
    assert.is(code, 'invalid_argument')
    assert.match(hint ?? '', "image('dir/')")
  }
  assert.is((await failure(() => images.load(at('dir')))).code, 'image_not_found')
})

test('a tar of a build context that is no file, or is not there, is not waited for', async () => {
  const copied = image('scratch').copy('a', '/')
  for (const path of [at('fifo'), at('socket'), '/dev/zero', at('dir'), at('nothing'), '/proc/self/mem'])
    assert.is((await failure(() => copied.build({ context: { tar: path } }))).code, 'context_invalid', path)
})

test('a Dockerfile, its .dockerignore and a secret that are no files, or have no end, are not waited for', async () => {
  const others = { fifo: at('fifo'), socket: at('socket'), device: '/dev/zero' }
  const secret = (file: string) =>
    image()
      .from('host')
      .run('true', { mounts: [mounted('s')] })
      .build({ secrets: { s: { file } } })
  for (const [kind, path] of Object.entries(others)) {
    const dockerfile = await failure(async () => image().fromDockerfile({ path }))
    assert.equal([dockerfile.code, dockerfile.message], ['context_invalid', `the Dockerfile ${path} is a ${kind}, not a file`])
    const kept = await failure(() => secret(path))
    assert.equal([kept.code, kept.message], ['invalid_argument', `the secret "s" is to be in a file, and ${path} is a ${kind}`])
    mkdirSync(at(`of-${kind}`))
    writeFileSync(at(`of-${kind}`, 'Dockerfile'), 'FROM scratch')
    symlinkSync(path, at(`of-${kind}`, 'Dockerfile.dockerignore'))
    const ignored = await failure(async () => image().fromDockerfile({ context: at(`of-${kind}`) }))
    assert.is(ignored.code, 'context_invalid')
    assert.match(ignored.message, `.dockerignore is a ${kind}, not a file`)
  }
  assert.match((await failure(() => secret(at('nothing')))).message, 'cannot be read')
  writeFileSync(at('long'), 'x'.repeat(500 * 1024 + 1))
  assert.match((await failure(() => secret(at('long')))).message, 'more than 512000 bytes')
})

test('load and import refuse a path with a NUL', async () => {
  for (const take of [images.load, images.import]) {
    const error = await take('/a\0b').catch((reason: unknown) => reason)
    assert.is((error as StrakeError).code, 'invalid_argument')
  }
})

/** A layout in which something else stands in the place of a file. */
function oddLayout(name: string, which: 'index' | 'layer', replace: (path: string) => void): string {
  const files = layoutFiles([amd64])
  const path = writeFiles(at(name), files)
  const layer = [...files.keys()].find((each) => files.get(each)?.readUInt16BE(0) === 0x1f8b) as string
  const victim = join(path, which === 'index' ? 'index.json' : layer)
  rmSync(victim)
  replace(victim)
  return path
}

for (const which of ['index', 'layer'] as const) {
  for (const [kind, replace] of [
    ['directory', mkdirSync],
    ['fifo', (path: string) => execFileSync('mkfifo', [path])],
  ] as const) {
    test(`a layout with a ${kind} in the place of its ${which} is refused at once`, async () => {
      const path = oddLayout(`${kind}-${which}`, which, replace)
      for (const take of [() => images.load(path), () => image(`oci:${path}`).build()]) {
        const error = await take().then(
          () => undefined,
          (reason: StrakeError) => reason,
        )
        assert.is(error?.code, 'image_invalid')
      }
      assert.equal(readdirSync(at('store', 'tmp')), [])
    })
  }
}

test('a layout whose index is no file is not added to, nor waited for', async () => {
  const built = await image('scratch').copy({ a: 'a' }, '/').build()
  const path = oddLayout('kept', 'index', (each) => execFileSync('mkfifo', [each]))
  assert.is((await failure(() => built.save(path, { format: 'oci' }))).code, 'image_invalid')
})

testAs(test, ['subid', 'single'], "a layout with a file that is not this user's to read", async () => {
  for (const which of ['index', 'layer'] as const) {
    const path = oddLayout(`secret-${which}`, which, (each) => writeFileSync(each, 'x', { mode: 0 }))
    for (const take of [() => images.load(path), () => image(`oci:${path}`).build()])
      assert.is((await failure(take)).code, 'invalid_argument')
  }
})

test('a pipe that the process was given is read', async () => {
  writeFileSync(at('rootfs.tar'), tar(file('a', 'a')))
  writeFileSync(at('archive.tar'), await tarOf(layoutFiles([amd64])))
  const library = new URL('../../lib/index.ts', import.meta.url).href
  const code = `
    import { images } from ${JSON.stringify(library)}
    const [loaded] = await images.load('/dev/fd/3')
    console.log((await images.import('/dev/stdin')).layers.length + loaded.layers.length)
  `
  const script = `cat ${at('archive.tar')} | { exec 3<&0; cat ${at('rootfs.tar')} | "$@"; }`
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code]
  assert.is(execFileSync('sh', ['-c', script, 'sh', ...command], { encoding: 'utf8' }).trim(), '3')
})

test('what is no name or reference is told as such by every call that takes one', async () => {
  const built = await image('scratch').copy({ a: 'a' }, '/').build()
  const { get, remove, untag, pull, tags, catalog, referrers, deleteRemote } = images
  const calls: Readonly<Record<string, (name: string) => PromiseLike<unknown>>> = {
    ...{ get, remove, untag, pull, tags, catalog, referrers, deleteRemote },
    tag: (name) => built.tag(name),
    push: (name) => built.push(name),
    save: (name) => built.save(at('never.tar'), { tags: [name] }),
    build: (name) => image('scratch').build({ tag: [name] }),
  }
  const wrong: readonly unknown[] = [Symbol('x'), null, undefined, 12345678, 5n, {}, Object.create(null), ['a'], true, () => 'a']
  for (const [call, take] of Object.entries(calls))
    for (const name of wrong) assert.is((await failure(() => take(name as string))).code, 'invalid_reference', `${call}, ${typeof name}`)
})

test('of a full disk that is not the store’s is said which it is, and what helps there', async () => {
  const built = await image('scratch')
    .copy({ a: Buffer.alloc(1_000_000) }, '/')
    .build()
  const writes = {
    save: () => built.save('/dev/full'),
    export: () => built.export('/dev/full'),
    stream: () => built.save(createWriteStream('/dev/full')),
  }
  for (const [name, write] of Object.entries(writes)) {
    const { code, message, hint } = await failure(write)
    assert.is(code, 'store_full')
    assert.match(message, name === 'stream' ? 'the disk of what it is written to is full' : 'the disk of /dev/full is full')
    assert.match(hint ?? '', /^make room on that disk .*write to another one$/)
  }
})

test.run()
