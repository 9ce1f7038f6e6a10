import { type FileHandle, open } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { type Digest, failedWith, type Store } from '../../store/index.ts'
import type { Exchange } from './exchange.ts'
import { parseRange } from './range.ts'
import { Refusal } from './refusal.ts'
import { digestFrom, type Repositories } from './repositories.ts'
import { repositoryOf } from './repository.ts'
import type { Route } from './router.ts'

/** Bytes that are read at a time; two such pieces are in memory for each blob that is sent. */
const pieceSize = 512 * 1024

/** distribution-spec, "Pulling blobs" and "Deleting Blobs". */
export function blobRoutes(store: Store, repositories: Repositories): Route[] {
  const get = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    const repository = repositoryOf(name)
    const digest = digestFrom(reference)
    // Who pushes asks by HEAD, and does not send again what is there.
    const size = await (exchange.method === 'HEAD' ? repositories.reserve(repository, digest) : repositories.blobSize(repository, digest))
    if (size === undefined) throw unknown(digest)
    await sendBlob(exchange, store, digest)
  }
  const remove = async (exchange: Exchange, name: string, reference: string): Promise<void> => {
    await repositories.removeBlob(repositoryOf(name), digestFrom(reference))
    exchange.send(202)
  }
  return [{ pattern: /^\/v2\/(.+)\/blobs\/([^/]+)$/s, methods: { GET: get, HEAD: get, DELETE: remove } }]
}

async function sendBlob(exchange: Exchange, store: Store, digest: Digest): Promise<void> {
  // Once it is open nobody can remove it from under this.
  const handle = await open(store.blobs.path(digest)).catch((error: unknown) => {
    throw failedWith(error, 'ENOENT') ? unknown(digest) : error
  })
  try {
    const { size } = await handle.stat()
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': digest,
      ETag: `"${digest}"`,
      'Accept-Ranges': 'bytes',
      'Cache-Control': 'private, max-age=31536000, immutable',
    }
    const condition = exchange.header('if-range')
    const isSame = condition === undefined || condition === `"${digest}"`
    const range = isSame && exchange.method === 'GET' ? parseRange(exchange.header('range'), size) : undefined
    if (range === 'unsatisfiable')
      throw new Refusal(416, 'SIZE_INVALID', `the blob has ${size} bytes`, { headers: { 'Content-Range': `bytes */${size}` } })
    const { start, end } = range ?? { start: 0, end: size - 1 }
    exchange.response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Length': end - start + 1,
      ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    })
    if (exchange.method === 'HEAD' || size === 0) exchange.response.end()
    else await sendPart(handle, start, end, exchange.response)
  } finally {
    await handle.close()
  }
}

/** One buffer is filled while the other is sent: new memory for each piece costs more than what is done with it. */
async function sendPart(handle: FileHandle, start: number, end: number, to: Writable): Promise<void> {
  const size = Math.min(pieceSize, end - start + 1)
  const read = async (into: Buffer, position: number): Promise<Buffer> => {
    const { bytesRead } = await handle.read(into, 0, Math.min(size, end - position + 1), position)
    if (bytesRead === 0) throw new Error('a blob is shorter than it was')
    return into.subarray(0, bytesRead)
  }
  // A response whose client has gone may never answer for what was written to it.
  const gone = new Promise<never>((_, reject) => {
    to.once('close', () => reject(new Error('the client has gone')))
  })
  gone.catch(() => {})
  if (to.destroyed) throw new Error('the client has gone')
  let [full, spare] = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
  let piece = await read(full, start)
  for (let position = start + piece.length; ; position += piece.length) {
    const sent = Promise.race([write(to, piece), gone])
    if (position > end) {
      await sent
      break
    }
    const [next] = await Promise.all([read(spare, position), sent])
    ;[full, spare] = [spare, full]
    piece = next
  }
  to.end()
}

/** Resolves when the piece is no longer needed. */
function write(to: Writable, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(piece, (error) => (error ? reject(error) : resolve()))
  })
}

function unknown(digest: Digest): Refusal {
  return new Refusal(404, 'BLOB_UNKNOWN', 'the repository has no such blob', { detail: { digest } })
}
