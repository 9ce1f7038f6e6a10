// What a build starts from, and copies from, is the build's until it ends, whatever is pruned and removed meanwhile.
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, type ImageBuilder, image, images, type StrakeError, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('pruned-build')
let place: ReturnType<typeof temporaryDirectory>

test.before(() => {
  place = temporaryDirectory('pruned')
  process.env.STRAKE_ROOT = join(place.path, 'store')
})
test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})

let count = 0
/** A base with layers that are nowhere else, in a file, in the store under a name, and as a handle. */
async function base(): Promise<{ readonly tar: string; readonly name: string; readonly handle: Image }> {
  count += 1
  const tar = join(place.path, `base-${count}.tar`)
  const name = `base:${count}`
  await (await image('host').run(`echo ${count} > /base`).build()).export(tar)
  await image(tar).build({ tag: name })
  const handle = await image(tar)
    .copy({ more: `${count}` }, '/')
    .build()
  await store.prune({ cache: true })
  return { tar, name, handle }
}

/** Builds, and calls `meanwhile` while a command of the build runs. */
async function during(from: ImageBuilder, meanwhile: () => Promise<unknown>): Promise<Image> {
  const { promise, resolve } = deferred()
  const build = from.run('echo begun; sleep 0.7; echo x > /x').build({
    noCache: true,
    tag: 'out:1',
    onProgress: (event) => void (event.type === 'log' && resolve()),
  })
  await Promise.race([promise, build])
  await meanwhile()
  return await build
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

type Base = Awaited<ReturnType<typeof base>>

const starts: Readonly<Record<string, (from: Base) => ImageBuilder>> = {
  'a file that was imported before': ({ tar }) => image(tar),
  'a name': ({ name }) => image(name),
  'an image': ({ handle }) => image(handle),
  'a description that starts from an image': ({ handle }) => image(image(handle).copy({ again: 'x' }, '/')),
}

const ends: Readonly<Record<string, (from: Base) => Promise<unknown>>> = {
  'all images are pruned, and the cache': () => store.prune({ images: 'all', cache: true }),
  'images without a name are pruned': () => store.prune({ images: 'untagged' }),
  'it is removed': async ({ name, handle }) => {
    await images.remove(name)
    await images.remove(handle.digest)
  },
}

const [everything] = Object.keys(ends)
for (const [what, start] of Object.entries(starts))
  for (const [how, end] of Object.entries(ends)) {
    // Each start once with what takes most, each end once with what nothing names.
    if (how !== everything && what !== 'an image') continue
    test(`a build from ${what} is whole when ${how} meanwhile`, async () => {
      const from = await base()
      const built = await during(start(from), () => end(from))
      await built.save(join(place.path, 'out.tar'))
      assert.equal((await store.verify()).problems, [])
      assert.is((await built.exec(['cat', '/base'])).stdout, `${count}\n`)
    })
  }

test('what has gone from the store is told before a build starts, and a file is imported anew', async () => {
  const { tar, name, handle } = await base()
  for (const each of await images.list()) await images.remove(each.digest)
  await store.prune({ cache: true })
  const gone = async (from: ImageBuilder): Promise<string> =>
    await from
      .run('true')
      .build({ pull: 'never' })
      .then(
        () => 'built',
        ({ code }: StrakeError) => code,
      )
  assert.is(await gone(image(handle)), 'store_invalid')
  assert.is(await gone(image(name)), 'image_not_found')
  assert.is(await gone(image(tar)), 'built')
})

test.run()
