import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type BuildOptions, buildImage, type Step } from '../../lib/build/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { type FakeCommand, FakeRuntime } from './fake-runtime.ts'

export interface FakeBench {
  readonly runtime: FakeRuntime
  readonly store: Store
  build(app: { readonly steps: readonly Step[] }, options?: BuildOptions): Promise<ImageData>
  /** The first words of the commands that were run, sorted. */
  ran(): string[]
}

/** A store and a runtime without a kernel's help, for one test; nothing may be left of a build in it. */
export async function withFakeBench(behave: FakeCommand, work: (bench: FakeBench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('graph')
  const store = await Store.open(join(directory.path, 'store'))
  const runtime = new FakeRuntime(store, behave)
  await work({
    runtime,
    store,
    build: async ({ steps }, options) => {
      using _ = store.hold()
      return await buildImage(steps, options ?? {}, runtime)
    },
    ran: () => runtime.commands.map(({ argv }) => argv[0] ?? '').sort(),
  })
  assert.is(runtime.left, 0, 'every layer was committed or discarded')
  assert.equal(readdirSync(store.path('tmp')), [], 'nothing is left in tmp')
  assert.equal(
    readdirSync(store.path('locks')).filter((name) => name.startsWith('step-')),
    [],
    'no lock of a step is left',
  )
}
