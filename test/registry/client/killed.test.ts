// test: timeout 400
// A process that is killed at any instant of a pull leaves a store in which the same pull then succeeds.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { pullImage } from '../../../lib/registry/index.ts'
import { digestOf, Store } from '../../../lib/store/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, pretend } from './pretender.ts'

const tries = Number(process.env.STRAKE_TEST_KILLS ?? 20)
const puller = fileURLToPath(new URL('puller.ts', import.meta.url))

/** Starts the puller and kills it `after` ms from when it has the store open. Resolves to whether it was done by then. */
async function killedPull(root: string, reference: string, after: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--import', 'tsx', puller, root, reference], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (piece: Buffer) => {
    if (said === '') setTimeout(() => child.kill('SIGKILL'), after)
    said += piece.toString()
  })
  await new Promise((resolve) => child.on('close', resolve))
  assert.match(said, 'open')
  return said.includes('sha256:')
}

test(`killed at ${tries} instants: no blob is wrong, nothing is left over, and the same pull succeeds`, async () => {
  const layers = Array.from({ length: 4 }, (_, index) => tar(file(`f${index}`, randomBytes(400_000).toString('latin1'))))
  const image = makeImage(layers, { gzip: true })
  await using registry = await pretend({ 'app:1': image })
  // Slow enough that there is something to be killed in.
  registry.tricks.push(async (request) => {
    if (request.path.includes('/blobs/')) await new Promise((resolve) => setTimeout(resolve, 60))
    return undefined
  })
  const reference = `${registry.host}/app:1`
  let done = 0
  for (let each = 0; each < tries; each += 1) {
    await using here = await desk()
    if (await killedPull(here.store.root, reference, (each * 400) / tries)) done += 1
    const store = await Store.open(here.store.root)
    for await (const { digest } of store.blobs.list()) assert.is(digestOf(await store.blobs.read(digest)), digest)
    assert.equal(
      readdirSync(store.path('tmp')).filter((name) => !name.includes(String(process.pid))),
      [],
    )
    const [named] = await store.refs.list()
    if (named) for (const digest of image.blobs.keys()) assert.ok(await store.blobs.has(digest as never), 'what has a name is whole')
    assert.is((await pullImage(store, reference)).digest, image.descriptor.digest)
  }
  assert.ok(done < tries, 'some were killed before they were done')
})

test.run()
