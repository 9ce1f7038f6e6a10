// Run on a small disk of its own by full.test.ts: what a client may do when there is no room, as JSON on stdout.
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Fixture } from './fixture.ts'

const place = String(process.argv[2])

/** To the last byte. */
function fill(): void {
  const filler = openSync(join(place, 'filler'), 'w')
  try {
    for (;;) writeSync(filler, Buffer.alloc(4096, 1))
  } catch {
    closeSync(filler)
  }
}

await using here = await Fixture.start({ root: join(place, 'store') })
const status = async (method: string, path: string, body?: string): Promise<number> =>
  (await here.ask(method, path, body === undefined ? {} : { body })).status
await here.pushImage('kept', '1')
await here.pushImage('app', '1')
await here.pushImage('app', '2')
const { digest } = await here.pushImage('other', '1')
const blob = await here.pushBlob('app', 'nobody needs it')
fill()
const push = await status('POST', `/v2/app/blobs/uploads/?digest=${blob}`, 'x'.repeat(100_000))
const tag = await status('DELETE', '/v2/app/manifests/1')
fill()
const digestStatus = await status('DELETE', `/v2/other/manifests/${digest}`)
const unknown = await status('DELETE', '/v2/app/manifests/none')
const removed = await status('DELETE', `/v2/app/blobs/${blob}`)
for (const { name, descriptor } of await here.store.refs.list())
  if (name?.startsWith('app')) await status('DELETE', `/v2/app/manifests/${descriptor.digest}`)
const names = (await here.store.refs.list()).map((ref) => ref.name ?? '')
process.stdout.write(`${JSON.stringify({ push, tag, digest: digestStatus, unknown, blob: removed, names })}\n`)
