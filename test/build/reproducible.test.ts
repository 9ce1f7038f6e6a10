// test: timeout 120
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const app = image('host')
  .arg({ KIND: 'plain' })
  .workdir('/srv')
  .copy('.', '/srv/')
  .copy({ motd: 'hello\n' }, '/etc/')
  .run('mkdir -p /d && echo "$KIND" > /d/x && ln /d/x /d/y && ln -s x /d/z && chmod 4755 /d/x')
  .env({ PORT: '1' })
  .cmd(['true'])

/** Its digest, in a store and a context of their own; the files of the context are that many seconds old. */
async function digestOf(place: string, name: string, age: number): Promise<string> {
  const context = join(place, `context-${name}`)
  mkdirSync(join(context, 'sub'), { recursive: true })
  for (const path of ['b', 'a', 'sub/c']) {
    writeFileSync(join(context, path), path)
    utimesSync(join(context, path), Date.now() / 1000 - age, Date.now() / 1000 - age)
  }
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = join(place, `store-${name}`)
  try {
    const { digest } = await app.build({ context })
    await store.remove()
    return digest
  } finally {
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
}

test('with SOURCE_DATE_EPOCH the same steps and files give the same digest, in another store and directory, at another time', async () => {
  using place = temporaryDirectory('reproducible')
  process.env.SOURCE_DATE_EPOCH = '1700000000'
  try {
    const first = await digestOf(place.path, 'one', 100)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    assert.is(await digestOf(place.path, 'other', 5000), first)
    process.env.SOURCE_DATE_EPOCH = '1600000000'
    assert.is.not(await digestOf(place.path, 'third', 100), first)
  } finally {
    delete process.env.SOURCE_DATE_EPOCH
  }
})

test.run()
