// test: timeout 400
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { buildImage, dockerfileSteps } from '../../../lib/build/index.ts'
import { type ImageData, parseConfig } from '../../../lib/images/index.ts'
import { Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { FakeRuntime } from '../fake-runtime.ts'
import { type Case, cases } from './cases.ts'

/** What docker made of each case: fields of the config that say something, and the author. */
const configs: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(new URL('configs.json', import.meta.url), 'utf8'))

async function configOf({ text, base, args, target }: Case, runtime: FakeRuntime, context: string): Promise<unknown> {
  if (base !== undefined) await buildImage(dockerfileSteps({ text: base }), { tag: 'case-base', context }, runtime)
  const options = { text, ...(args ? { args } : {}), ...(target === undefined ? {} : { target }) }
  const built: ImageData = await buildImage(dockerfileSteps(options), { context }, runtime)
  const blob = await runtime.store.blobs.read(built.id)
  const { config, author } = parseConfig(blob)
  const said = Object.entries(config).filter(
    ([, value]) => value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0),
  )
  return { ...Object.fromEntries(said), ...(author ? { author } : {}) }
}

for (const [name, each] of Object.entries(cases)) {
  test(`docker's config: ${name}`, async () => {
    using directory = temporaryDirectory('dockerfile')
    const context = join(directory.path, 'context')
    mkdirSync(join(context, 'd'), { recursive: true })
    writeFileSync(join(context, 'f'), 'f')
    writeFileSync(join(context, 'd', 'g'), 'g')
    const runtime = new FakeRuntime(await Store.open(join(directory.path, 'store')))
    assert.equal(await configOf(each, runtime, context), configs[name])
  })
}

test.run()
