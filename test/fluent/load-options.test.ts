import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, images, type StrakeError, store } from '../../lib/index.ts'
import { file, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('options of load and import')
let place: ReturnType<typeof temporaryDirectory>
let archive: string
let rootfs: string

test.before(async () => {
  place = temporaryDirectory('load-options')
  process.env.STRAKE_ROOT = join(place.path, 'store')
  archive = join(place.path, 'a.tar')
  rootfs = join(place.path, 'r.tar')
  const built = await image('scratch').copy({ f: 'f' }, '/').build({ tag: 'app:1' })
  await built.save(archive)
  await images.remove('app:1')
  writeFileSync(rootfs, tar(file('f', 'f')))
})
test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})

async function toldBy(promise: Promise<unknown>): Promise<StrakeError> {
  return await promise.then(
    () => {
      throw new Error('it was taken')
    },
    (error: StrakeError) => error,
  )
}

test('limits and the signal are those of the caller, and nothing is kept', async () => {
  for (const read of [
    (options: object) => images.load(archive, options),
    (options: object) => images.import(rootfs, { tag: 'imp:1', ...options }),
  ]) {
    assert.is((await toldBy(read({ limits: { layerBytes: 10 } }))).code, 'limit_exceeded')
    assert.is((await toldBy(read({ signal: AbortSignal.abort() }))).code, 'aborted')
    assert.equal(await images.list(), [])
  }
})

test('what is imported gets its names, and the platform that it is for', async () => {
  const one = await images.import(rootfs, { tag: 'imp:1' })
  assert.equal([one.tags, (await images.get('imp:1')).digest], [['imp:1'], one.digest])
  const two = await images.import(rootfs, { tag: ['imp:2', 'imp:3'], platform: 'linux/s390x' })
  assert.equal([two.tags, two.platform.architecture], [['imp:2', 'imp:3'], 's390x'])
  const [loaded] = await images.load(archive, { limits: { layerBytes: 1e9 }, signal: new AbortController().signal })
  assert.equal(loaded?.tags, ['app:1'])
})

test('options that are none are refused by their names', async () => {
  const wrong: readonly [object, RegExp][] = [
    [{ limit: {} }, /no option "limit"/],
    [{ limits: { layerByte: 1 } }, /limits has no option "layerByte"/],
    [{ limits: { layerBytes: '1g' } }, /limits\.layerBytes must be a number/],
    [{ limits: { entries: Number.NaN } }, /limits\.entries must be a number/],
    [{ limits: 5 }, /must be an object/],
    [{ signal: 'stop' }, /signal must be/],
    [{ platform: 'linux' }, /not a platform/],
  ]
  for (const [options, words] of wrong) {
    for (const error of [await toldBy(images.load(archive, options)), await toldBy(images.import(rootfs, options))]) {
      assert.is(error.code, 'invalid_argument')
      assert.match(error.message, words)
    }
  }
  assert.match((await toldBy(images.load(archive, { tag: 'x:1' } as object))).message, /load has no option "tag"/)
  assert.is((await toldBy(images.import(rootfs, { tag: 'A B' }))).code, 'invalid_reference')
})

test.run()
