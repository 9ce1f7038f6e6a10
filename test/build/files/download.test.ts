import { getEventListeners, once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { download } from '../../../lib/build/files/download.ts'
import { StrakeError } from '../../../lib/errors/index.ts'
import { Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

test('a URL that leads on and on is given up after ten times, without a warning and with nothing left at the signal', async () => {
  using place = temporaryDirectory('download')
  const store = await Store.open(join(place.path, 'store'))
  const server = createServer(({ url = '' }, response) => {
    const number = Number(url.slice(1))
    // A body that is not read, and one that never ends.
    response.writeHead(302, { location: `/${number + 1}` }).write('x'.repeat(100_000))
    if (number % 2 === 0) response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/1`
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  const { signal } = new AbortController()
  try {
    const error = await download(url, store, { signal }).catch((each: unknown) => each)
    assert.ok(error instanceof StrakeError)
    assert.equal([error.code, error.details?.url], ['download_failed', url])
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(warnings, [])
    assert.equal(getEventListeners(signal, 'abort'), [])
  } finally {
    process.off('warning', onWarning)
    server.closeAllConnections()
    server.close()
  }
})

test.run()
