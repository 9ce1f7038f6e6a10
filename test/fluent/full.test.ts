// test: timeout 120
// A disk without room, as root makes one: a small tmpfs in a mount namespace of its own.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const worker = fileURLToPath(new URL('./full-worker.ts', import.meta.url))

testAs(test, ['root'], 'a full disk is told by its own code, leaves nothing half-written, and the store goes on', () => {
  using place = temporaryDirectory('full')
  const script = `mount -t tmpfs -o size=75m tmpfs ${place.path} && exec env STRAKE_ROOT=${place.path}/store "$@"`
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), worker]
  const output = execFileSync('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command], { encoding: 'utf8' })
  const { codes, left, problems, after, isFull, freed } = JSON.parse(output.trim().split('\n').at(-1) ?? '')
  assert.equal(codes, { copy: 'store_full with a hint', run: 'store_full with a hint', writeFile: 'store_full with a hint' })
  assert.equal([left, problems, after], [[], 0, 'fine'])
  assert.ok(isFull)
  assert.ok(freed.bytes > 1_000_000, 'with not a byte left, another process removes an image and prunes')
  assert.equal(freed.left, ['base:1'])
})

test.run()
