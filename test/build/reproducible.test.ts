// test: timeout 120
import { createReadStream, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, image, store } from '../../lib/index.ts'
import { walkTar } from '../../lib/layers/index.ts'
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

/** The latest time of an entry of the image's layers, in seconds. */
async function latestIn({ layers }: Pick<Image, 'layers'>): Promise<number> {
  let latest = 0
  for (const { digest } of layers)
    for await (const { mtime } of walkTar(createReadStream(join(store.root, 'content', 'blobs', digest.replace(':', '/')))))
      latest = Math.max(latest, mtime.sec + mtime.nsec / 1e9)
  return latest
}

test('with SOURCE_DATE_EPOCH no time is later in what comes from the host, from a root directory, or in a snapshot', async () => {
  using place = temporaryDirectory('epoch')
  const root = join(place.path, 'root')
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = join(place.path, 'store')
  mkdirSync(join(root, 'sub'), { recursive: true })
  writeFileSync(join(root, 'sub', 'file'), 'x')
  try {
    assert.ok((await latestIn(await image('host').build())) > 1e9)
    assert.ok((await latestIn(await image(`${root}/`).build())) > 1e9)
    process.env.SOURCE_DATE_EPOCH = '1000000000'
    const host = await image('host').build()
    const [fromRoot, fromHost] = [await latestIn(await image(`${root}/`).build()), await latestIn(host)]
    assert.equal([fromRoot, fromHost], [1e9, 1e9])
    await using container = await host.start({ cmd: ['sh', '-c', 'echo 1 > /one'] })
    await container.wait()
    const first = await container.snapshot()
    const second = await container.snapshot()
    for (const made of [first, second]) {
      assert.is(await latestIn(made), 1e9)
      assert.is(made.data.created, '2001-09-09T01:46:40.000Z')
      assert.is((await made.exec(['find', '/one', '-newermt', '@1000000000'])).stdout, '')
    }
    assert.is((await first.exec(['cat', '/one'])).stdout, '1\n')
    assert.equal((await store.verify()).problems, [])
    await store.remove()
  } finally {
    delete process.env.SOURCE_DATE_EPOCH
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
})

test.run()
