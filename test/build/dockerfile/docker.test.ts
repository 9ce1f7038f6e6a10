// test: timeout 400
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { buildImage, dockerfileSteps } from '../../../lib/build/index.ts'
import { Store } from '../../../lib/store/index.ts'
import { startBuildKit } from '../../support/buildkit.ts'
import { testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { FakeRuntime } from '../fake-runtime.ts'
import { type Case, cases } from './cases.ts'
import { caseContext, saidOf } from './contexts.ts'

const configs: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(new URL('configs.json', import.meta.url), 'utf8'))

async function ownEnv(directory: string, context: string): Promise<readonly string[]> {
  const runtime = new FakeRuntime(await Store.open(join(directory, 'store')))
  const { config } = await buildImage(dockerfileSteps({ context, args: { A: 'given' } }), {}, runtime)
  return config.Env ?? []
}

testAs(test, ['root'], 'what is said of docker is what docker does', async () => {
  using directory = temporaryDirectory('docker')
  await using buildkit = await startBuildKit(directory.path)
  let count = 0
  const contextOf = (text: string): string => {
    count += 1
    return caseContext(directory.path, String(count), text)
  }
  const check = async ([name, { text, base, args, target }]: [string, Case]): Promise<void> => {
    // BuildKit looks a base up by its name: each has its own.
    const own = `base-${count}`
    if (base !== undefined) await buildkit.build(contextOf(base), own)
    const { Config, Author } = await buildkit.build(contextOf(text.replaceAll('case-base', own)), `case-${count}`, { args, target })
    assert.equal(saidOf(Config, Author), configs[name], name)
  }
  const left = Object.entries(cases)
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await check(next)
  }
  await Promise.all(Array.from({ length: 6 }, work))
})

testAs(
  test,
  ['root'],
  'an ARG after an ENV of its name: BuildKit has the argument, docker without it the variable, as the reference and we',
  async () => {
    using directory = temporaryDirectory('docker')
    const text = 'FROM scratch\nCOPY f /\nENV A=env\nARG A=default\nENV R=$A\n'
    const context = caseContext(directory.path, 'one', text)
    const [, ...own] = await ownEnv(directory.path, context)
    await using buildkit = await startBuildKit(directory.path)
    const { Config } = await buildkit.build(context, 'kit', { args: { A: 'given' } })
    const classic = ['build', '--quiet', '--network', 'none', '--build-arg', 'A=given', '--tag', 'classic', context]
    await buildkit.docker(...classic)
    const [{ Config: plain }] = JSON.parse(await buildkit.docker('image', 'inspect', 'classic'))
    assert.equal(
      [Config.Env, plain.Env].map((env) => (env as string[]).slice(1)),
      [['A=env', 'R=given'], own],
    )
    assert.equal(own, ['A=env', 'R=env'])
  },
)

test.run()
