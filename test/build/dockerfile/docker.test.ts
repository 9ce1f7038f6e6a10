// test: timeout 400
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { startBuildKit } from '../../support/buildkit.ts'
import { testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { type Case, cases } from './cases.ts'

const configs: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(new URL('configs.json', import.meta.url), 'utf8'))

/** Docker's own fields, which no other engine has or which are about its containers. */
const others = [
  'Hostname',
  'Domainname',
  'Image',
  'ArgsEscaped',
  'AttachStdin',
  'AttachStdout',
  'AttachStderr',
  'Tty',
  'OpenStdin',
  'StdinOnce',
]

testAs(test, ['root'], 'what is said of docker is what docker does', async () => {
  using directory = temporaryDirectory('docker')
  await using buildkit = await startBuildKit(directory.path)
  let count = 0
  const contextOf = (text: string): string => {
    count += 1
    const context = join(directory.path, `context-${count}`)
    mkdirSync(join(context, 'd'), { recursive: true })
    writeFileSync(join(context, 'f'), 'f')
    writeFileSync(join(context, 'd', 'g'), 'g')
    writeFileSync(join(context, 'Dockerfile'), text)
    return context
  }
  const check = async ([name, { text, base, args, target }]: [string, Case]): Promise<void> => {
    // BuildKit looks a base up by its name: each has its own.
    const own = `base-${count}`
    if (base !== undefined) await buildkit.build(contextOf(base), own)
    const { Config, Author } = await buildkit.build(contextOf(text.replaceAll('case-base', own)), `case-${count}`, { args, target })
    const said = Object.entries(Config).filter(([field, value]) => !others.includes(field) && value !== null && value !== '')
    assert.equal({ ...Object.fromEntries(said), ...(Author ? { author: Author } : {}) }, configs[name], name)
  }
  const left = Object.entries(cases)
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await check(next)
  }
  await Promise.all(Array.from({ length: 6 }, work))
})

test.run()
