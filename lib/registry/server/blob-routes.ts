import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { type Digest, failedWith, type Store } from '../../store/index.ts'
import type { Exchange } from './exchange.ts'
import { parseRange } from './range.ts'
import { Refusal } from './refusal.ts'
import { digestFrom, type Repositories } from './repositories.ts'
import { repositoryOf } from './repository.ts'
import type { Route } from './router.ts'

const pieceSize = 256 * 1024

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
    else await pipeline(handle.createReadStream({ start, end, highWaterMark: pieceSize, autoClose: false }), exchange.response)
  } finally {
    await handle.close()
  }
}

function unknown(digest: Digest): Refusal {
  return new Refusal(404, 'BLOB_UNKNOWN', 'the repository has no such blob', { detail: { digest } })
}
