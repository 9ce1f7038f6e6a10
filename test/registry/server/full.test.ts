// A store on a disk without room, as root makes one: a small tmpfs in a mount namespace of its own.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

const worker = fileURLToPath(new URL('./full-worker.ts', import.meta.url))

testAs(test, ['root'], 'on a full disk nothing more is taken, and tags, manifests and blobs can be deleted', () => {
  using place = temporaryDirectory('registry-full')
  const script = `mount -t tmpfs -o size=4m tmpfs ${place.path} && exec "$@" ${place.path}`
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), worker]
  const output = execFileSync('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command], { encoding: 'utf8' })
  const { names, ...statuses } = JSON.parse(output.trim().split('\n').at(-1) ?? '')
  assert.equal(statuses, { push: 507, tag: 202, digest: 202, unknown: 404, blob: 202 })
  assert.equal(names, ['kept:1'])
})

test.run()
