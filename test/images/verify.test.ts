// Beside others: what is not there yet, or was put right between two looks, is no problem.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { currentRuntime, type Runtime } from '../../lib/containers/index.ts'
import { verifyStore } from '../../lib/images/index.ts'
import { type Image, image, images, store } from '../../lib/index.ts'
import { type Digest, digestOf, snapshotKey } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'

let runtime: Runtime
let built: Image

test.before.each(async () => {
  runtime = await currentRuntime()
  built = await image('host').run('echo content > /f').copy({ g: 'g' }, '/').build({ tag: 'app:1' })
})

for (const mend of [false, true]) {
  test(`blobs that come back between two looks are no problem${mend ? ', and nothing is mended' : ''}`, async () => {
    const paths = [built.layers[0]?.digest, built.layers.at(-1)?.digest, built.digest].map((each) =>
      runtime.store.blobs.path(each as Digest),
    )
    const right = paths.map((path) => readFileSync(path))
    const [short = '', gone = '', flipped = ''] = paths
    writeFileSync(short, 'short')
    rmSync(gone)
    writeFileSync(flipped, '{}')
    const putBack = (): void => {
      for (const [index, path] of paths.entries()) writeFileSync(path, right[index] as Buffer)
    }
    const report = await verifyStore(
      runtime.store,
      async (path) => {
        putBack()
        return await runtime.agentFor(path)
      },
      { mend },
    )
    assert.equal([report.ok, report.problems], [true, []])
    assert.is((await images.get('app:1')).digest, built.digest)
  })
}

test('a snapshot that is held is not missing before it is there, also to one who has containers', async () => {
  await using _ = await built.start({ cmd: ['sleep', '100'] })
  const hold = runtime.store.holds.openFor()
  await hold.keep(snapshotKey(digestOf('to be unpacked')), `image:${digestOf('of it')}`)
  assert.equal((await store.verify()).problems, [])
  hold.release()
})

test('a snapshot that a container runs from is missing when it is not there, until the container has gone', async () => {
  const container = await built.start({ cmd: ['sleep', '100'] })
  const chainId = built.layers.at(-1)?.chainId as Digest
  const path = runtime.snapshots.path(chainId)
  renameSync(path, runtime.store.path('snapshots', 'aside'))
  const missing = (await store.verify({ mend: true })).problems
  assert.equal(
    missing.map(({ what, digest, usedBy, mended }) => [what, digest, usedBy, mended]),
    [['missing', chainId, { tags: ['app:1'], images: [built.digest], processes: [process.pid] }, false]],
  )
  await container.remove()
  assert.equal((await store.verify()).problems, [])
  renameSync(runtime.store.path('snapshots', 'aside'), path)
})

test.run()
