// test: timeout 300
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import * as assert from 'uvu/assert'
import { image, images, type StrakeError, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('save')
let place: ReturnType<typeof temporaryDirectory>

test.before(() => {
  place = temporaryDirectory('save')
  process.env.STRAKE_ROOT = join(place.path, 'store')
})
test.after(async () => {
  delete process.env.SOURCE_DATE_EPOCH
  await store.remove()
  place[Symbol.dispose]()
})

const layered = () =>
  image('scratch')
    .copy({ 'a/one': '1', 'a/two': '2', 'b/x': 'x', gone: 'gone' }, '/')
    .copy({ 'a/two': 'two', 'c/y': { content: 'y', mode: 0o4755 } }, '/')

test('a saved image is loaded and runs', async () => {
  const built = await image('host').run('echo x > /x').build({ tag: 'app:1' })
  const path = join(place.path, 'app.tar')
  await built.save(path, { tags: ['other:1'] })
  await images.remove('app:1')
  const [loaded, ...more] = await images.load(path)
  assert.equal([loaded?.digest, loaded?.tags, more], [built.digest, ['other:1'], []])
  assert.is((await loaded?.exec('cat /x'))?.stdout, 'x\n')
})

test('the exported file system is that of all layers together, and an image again when it is imported', async () => {
  const built = await image('host').run('mkdir /d; echo 1 > /d/1; echo keep > /keep').run('rm -rf /d; mkdir /d; echo 2 > /d/2').build()
  const path = join(place.path, 'rootfs.tar')
  await built.export(path)
  const names = execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).split('\n')
  assert.ok(names.includes('d/2') && names.includes('keep'))
  assert.not.ok(names.includes('d/1') || names.some((name) => name.includes('.wh.')))
  assert.is(names.filter((name) => name === 'd/').length, 1)
  const imported = await images.import(path)
  assert.is(imported.layers.length, 1)
  assert.is((await imported.exec(['/bin/sh', '-c', 'cat /d/2 /keep'])).stdout, '2\nkeep\n')
  const again = join(place.path, 'again.tar')
  await imported.export(again)
  assert.ok(readFileSync(path).equals(readFileSync(again)), 'the same bytes, whatever layers it was made of')
  await built.export(again, { compress: 'gzip' })
  assert.is((await images.import(again)).digest, imported.digest)
})

test('an image of one layer is exported as it is, without what containers are given', async () => {
  const built = await layered().build()
  const path = join(place.path, 'small.tar')
  await built.export(path)
  assert.equal(execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n'), [
    'a/',
    'a/one',
    'a/two',
    'b/',
    'b/x',
    'c/',
    'c/y',
    'gone',
  ])
  assert.is(execFileSync('tar', ['-xOf', path, 'a/two'], { encoding: 'utf8' }), 'two')
  const one = await image('scratch').copy({ f: 'f' }, '/').build()
  await one.export(path)
  assert.equal(execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n'), ['f'])
})

test('the signal ends an export, or a save, into a stream that takes no more', async () => {
  const built = await image('host').run('head -c 300000 /dev/urandom > /noise').build()
  for (const write of [built.save.bind(built), built.export.bind(built)]) {
    const abort = new AbortController()
    const target = new Writable({ write: () => abort.abort('enough') })
    const error = await write(target, { signal: abort.signal }).then(
      () => undefined,
      (cause: StrakeError) => cause,
    )
    assert.equal([error?.code, error?.cause, target.destroyed], ['aborted', 'enough', true])
  }
})

test('with SOURCE_DATE_EPOCH a build of commands gives the same image each time', async () => {
  process.env.SOURCE_DATE_EPOCH = '1700000000'
  const digests: string[] = []
  for (let each = 0; each < 2; each += 1) {
    const built = await image('host').run('mkdir /m; echo x > /m/x; ln /m/x /m/y').build({ noCache: true })
    digests.push(built.digest)
    assert.is((await built.exec('cat /m/y')).stdout, 'x\n')
    await store.prune({ images: 'all', cache: true })
  }
  assert.is(digests[0], digests[1])
  delete process.env.SOURCE_DATE_EPOCH
})

test('a platform that an image has not, or that is none, is refused', async () => {
  const built = await layered().build()
  const codes: string[] = []
  for (const platform of ['linux', 'linux/s390x'])
    await built.save(join(place.path, 'x.tar'), { platform }).catch((error: StrakeError) => codes.push(error.code))
  assert.equal(codes, ['invalid_argument', 'image_not_found'])
})

test.run()
