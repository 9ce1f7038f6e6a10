// test: timeout 300
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { Images } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { dir, file, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const importer = fileURLToPath(new URL('importer.ts', import.meta.url))

/** Runs the importer; `killAfter` milliseconds from the moment that it has the store open. */
async function run(root: string, path: string, killAfter?: number): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', importer, root, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    if (output === '' && killAfter !== undefined) void sleep(killAfter).then(() => child.kill('SIGKILL'))
    output += data.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

test('a store whose process was killed during an import opens clean, and the same import then succeeds', async () => {
  using directory = temporaryDirectory('killed')
  const path = join(directory.path, 'r.tar')
  writeFileSync(
    path,
    tar(dir('d', 0o700), ...Array.from({ length: 4000 }, (_, each) => file(`d/f${each}`, 'x'.repeat(each), { uid: each % 3 }))),
  )
  const root = join(directory.path, 'store')
  const started = Date.now()
  const { output } = await run(join(directory.path, 'whole'), path)
  const digest = output.trim().split('\n').at(-1) as string
  const whole = Date.now() - started
  let killed = 0
  for (let each = 0; each < 8; each += 1) {
    // The last tries find what the first ones had finished.
    const outcome = await run(root, path, (whole / 3 / 8) * (each + 0.5))
    killed += outcome.code === null ? 1 : 0
    const store = await Store.open(root)
    assert.equal(readdirSync(store.path('tmp')), [], 'nothing half written')
    for await (const { digest: blob } of store.blobs.list()) await store.blobs.read(blob, 1e9)
    for (const image of await new Images(store).list()) assert.is(image.digest, digest)
  }
  assert.ok(killed > 0, 'one of them was killed on the way')
  assert.is((await run(root, path)).output.trim().split('\n').at(-1), digest)
  const left = readdirSync(join(root, 'snapshots'))
  assert.is(left.length, 1, `one snapshot and nothing else: ${left.join(' ')}`)
})

test.run()
