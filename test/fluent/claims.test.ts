// An image whose config names a layer that is here already, and whose own blob is something else: what is passed on must be what runs.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, images, registry, type StrakeError, store } from '../../lib/index.ts'
import { layoutFiles, makeImage, writeFiles } from '../images/maker.ts'
import { dir, file, tar } from '../layers/tar-maker.ts'
import { pretend } from '../registry/client/pretender.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('claims')
const directory = temporaryDirectory('claims')

const good = tar(dir('etc'), file('etc/says', 'good'))
const evil = tar(dir('etc'), file('etc/says', 'evil'))
const { blobs, descriptor } = makeImage([good], { gzip: true })
const config = JSON.parse(String(blobs.get(JSON.parse(String(blobs.get(descriptor.digest))).config.digest)))
const claiming = makeImage([evil], { gzip: true, config: { rootfs: config.rootfs }, tag: 'claiming:1' })

test.before(() => {
  process.env.STRAKE_ROOT = join(directory.path, 'own')
})
test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

async function codeOf(work: PromiseLike<unknown>): Promise<string> {
  try {
    await work
    return 'none'
  } catch (error) {
    return (error as StrakeError).code
  }
}

async function exportOf(name: string): Promise<string> {
  const path = join(directory.path, 'exported.tar')
  await (await images.get(name)).export(path)
  return path
}

test('a pull refuses a layer that is not what the config says, though that is unpacked here already', async () => {
  await using there = await pretend({ 'good:1': makeImage([good], { gzip: true }), 'evil:1': claiming })
  assert.is(await codeOf(images.pull(`${there.host}/evil:1`)), 'digest_mismatch')
  await images.pull(`${there.host}/good:1`)
  for (let time = 0; time < 2; time += 1) assert.is(await codeOf(images.pull(`${there.host}/evil:1`)), 'digest_mismatch')
  assert.is(await codeOf(images.get(`${there.host}/evil:1`)), 'image_not_found')
  await exportOf(`${there.host}/good:1`)
})

test('of a load it is told by whatever first has the layer unpacked', async () => {
  const path = writeFiles(join(directory.path, 'layout'), layoutFiles([claiming]))
  await images.load(path)
  assert.is(await codeOf(exportOf('claiming:1')), 'digest_mismatch')
  assert.is(await codeOf((await images.get('claiming:1')).exec(['/etc/says'])), 'digest_mismatch')
  assert.is(await codeOf(image('claiming:1').run('true').build()), 'digest_mismatch')
})

test('what a push has compressed is known when it is pulled back, and what is known goes with its blob', async () => {
  const noted = (): number => readdirSync(join(store.root, 'cache', 'contents')).length
  await store.prune({ images: 'all', cache: true })
  assert.is(noted(), 0)
  await using there = await registry({ root: join(directory.path, 'served') })
  const built = await image('scratch').copy({ a: 'a' }, '/').build({ tag: 'built:1' })
  await exportOf('built:1')
  await built.push(`${there.host}/built:1`)
  assert.is(noted(), 1)
  const phases: string[] = []
  await images.pull(`${there.host}/built:1`, { onProgress: ({ phase, kind }) => kind === 'layer' && phases.push(phase) })
  assert.equal(phases.includes('unpack'), false, 'its layer was read')
  await store.prune()
  assert.is(noted(), 1)
  await store.prune({ images: 'all', cache: true })
  assert.is(noted(), 0)
})

test.run()
