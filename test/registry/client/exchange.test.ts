// What is left of an exchange once its answer is there.
import * as assert from 'uvu/assert'
import { dispatcherFor } from '../../../lib/registry/client/dispatcher.ts'
import { exchange } from '../../../lib/registry/client/exchange.ts'
import { test } from '../../support/uvu.ts'
import { pretend } from './pretender.ts'

const day = 24 * 3600 * 1000
const timeouts = { connect: 2000, headers: day, idle: day }

function timers(): number {
  return process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
}

test('a body that ends after the answer has come starts no new wait for it', async () => {
  await using registry = await pretend(
    {},
    {
      trick: (_, response) => {
        response.writeHead(201, { 'content-length': '0' }).end()
        return true
      },
    },
  )
  let release = (): void => {}
  const answered = new Promise<void>((resolve) => {
    release = resolve
  })
  let ended = (): void => {}
  const end = new Promise<void>((resolve) => {
    ended = resolve
  })
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('all of it')
    await answered
    setImmediate(ended)
  }
  const url = new URL(`http://${registry.host}/`)
  const dispatcher = await dispatcherFor(url, { certificates: { ca: [] }, insecure: false, timeout: 2000 })
  const request = { method: 'PUT', url, headers: {}, body: { size: 9, open: async () => body() } } as const
  const before = timers()
  const answer = await exchange(request, dispatcher, timeouts)
  assert.is(answer.status, 201)
  await answer.discard()
  release()
  await end
  assert.is(timers(), before)
})

test.run()
