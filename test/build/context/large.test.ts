import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image } from '../../../lib/fluent/index.ts'
import { test } from '../../support/uvu.ts'
import { type Bench, withBench } from '../bench.ts'

/** A context of so many files that what is known of its layer is remembered. */
function layOut(context: string): void {
  for (let at = 0; at < 520; at += 1) {
    mkdirSync(join(context, `d${at % 30}`), { recursive: true })
    writeFileSync(join(context, `d${at % 30}`, `f${at}`), `${at} `.repeat(at % 200))
  }
}

/** The digest of the layer, which is what a store gives that knows of nothing. */
async function layerOf(bench: Bench, copy: Parameters<Bench['build']>[0]): Promise<string> {
  const built = await bench.build(copy)
  const known = bench.runtime.store.path('cache', 'packed')
  const before = existsSync(known) ? readdirSync(known) : []
  assert.is(before.length, 1, 'it is remembered')
  rmSync(known, { recursive: true })
  const fresh = await bench.build(copy, { noCache: true })
  assert.equal(
    fresh.layers.map(({ digest }) => digest),
    built.layers.map(({ digest }) => digest),
  )
  return fresh.layers.at(-1)?.digest ?? ''
}

for (const link of [false, true]) {
  test(`files of a large context come, change, lose a right and go: each layer is that of a first build (link: ${link})`, () =>
    withBench(async (bench) => {
      layOut(bench.context)
      const copy = image('scratch').copy('.', '/app/', { link })
      const digests = [await layerOf(bench, copy)]
      const again = async (change: () => void): Promise<void> => {
        change()
        digests.push(await layerOf(bench, copy))
      }
      await again(() => writeFileSync(join(bench.context, 'd7/f7'), 'changed'))
      await again(() => writeFileSync(join(bench.context, 'd7/new'), 'new'))
      await again(() => chmodSync(join(bench.context, 'd8/f8'), 0o700))
      await again(() => rmSync(join(bench.context, 'd9/f9')))
      await again(() => rmSync(join(bench.context, 'd0'), { recursive: true }))
      assert.is(new Set(digests).size, digests.length)
    }))
}

test('in the image what was taken over reads as it was, and what changed as it is', () =>
  withBench(async (bench) => {
    layOut(bench.context)
    const copy = image('scratch').copy('.', '/app/')
    await bench.build(copy)
    writeFileSync(join(bench.context, 'd7/f7'), 'changed')
    const built = await bench.build(copy)
    assert.is(await bench.read(built, '/app/d7/f7'), 'changed')
    assert.is(await bench.read(built, '/app/d8/f8'), '8 '.repeat(8))
  }))

test.run()
