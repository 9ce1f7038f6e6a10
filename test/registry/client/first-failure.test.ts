// Download and unpacking go on at once, and the failure of one ends the other: the pull rejects with what failed first.
import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../../lib/errors/index.ts'
import { pullImage, type UnpackImage } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, pretend, type Trick } from './pretender.ts'

const image = makeImage([tar(file('big', randomBytes(400_000).toString('latin1')))])
const [digest, layer] = [...image.blobs].reduce((one, other) => (one[1].length > other[1].length ? one : other))
const quick = { retries: 0, timeouts: { connect: 2000, headers: 500, idle: 500 } }

/** Unpacks nothing, and is at it until it is told to end. */
const untilAborted: UnpackImage = async (_, { signal, ready }) => {
  const file = await ready?.({ digest: digest as never })
  await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
  assert.ok(file, 'it is unpacked as it comes')
  throw new StrakeError('aborted', 'unpacking was aborted', { cause: signal?.reason })
}

const flipped = Buffer.from(layer)
flipped[1000] = (flipped[1000] ?? 0) ^ 1

const rows: readonly [string, string, (response: Parameters<Trick>[1]) => void][] = [
  ['of other bytes', 'digest_mismatch', (to) => to.end(flipped)],
  ['that is short', 'size_mismatch', (to) => to.end(layer.subarray(0, 200_000))],
  ['that is cut', 'registry_unavailable', (to) => to.write(layer.subarray(0, 200_000), () => to.destroy())],
  ['that stalls', 'registry_unavailable', (to) => to.write(layer.subarray(0, 200_000))],
]
for (const [what, code, send] of rows) {
  test(`a layer ${what} while it is unpacked: ${code}, not the end of unpacking`, async () => {
    await using registry = await pretend({ 'app:1': image })
    await using here = await desk()
    registry.tricks.push((request, response) => {
      if (!request.path.endsWith(digest)) return undefined
      if (request.headers.range) response.destroy()
      else send(response)
      return true
    })
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick, untilAborted))
    assert.is(error.code, code)
    assert.equal((await here.content()).names, [])
  })
}

test('a layer that cannot be unpacked ends its download, and is what is told', async () => {
  await using registry = await pretend({ 'app:1': image })
  await using here = await desk()
  registry.tricks.push((request, response) => {
    if (!request.path.endsWith(digest)) return undefined
    response.write(layer.subarray(0, 200_000))
    return true
  })
  const unpack: UnpackImage = async (_, { ready }) => {
    await ready?.({ digest: digest as never })
    throw new StrakeError('layer_invalid', 'it is no tar')
  }
  const slow = { retries: 0, timeouts: { idle: 60_000 } }
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, slow, unpack))).code, 'layer_invalid')
})

test('the caller’s own abort stays `aborted`, whatever reason it has', async () => {
  await using registry = await pretend({ 'app:1': image })
  await using here = await desk()
  const control = new AbortController()
  registry.tricks.push((request, response) => {
    if (!request.path.endsWith(digest)) return undefined
    response.write(layer.subarray(0, 200_000))
    setTimeout(() => control.abort(new StrakeError('digest_mismatch', 'no reason')), 50)
    return true
  })
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { retries: 0, signal: control.signal }, untilAborted))
  assert.is(error.code, 'aborted')
})

test.run()
