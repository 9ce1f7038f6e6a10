import type { Exchange } from './exchange.ts'
import { parseChunkRange } from './range.ts'
import { Refusal } from './refusal.ts'
import { digestFrom, type Repositories } from './repositories.ts'
import { type Repository, repositoryOf } from './repository.ts'
import type { Route } from './router.ts'
import type { Upload } from './upload.ts'
import type { Uploads } from './uploads.ts'

/** distribution-spec, "Pushing Blobs": at once, in chunks, or by a mount from another repository. `maxSize` is a blob's, in bytes. */
export function uploadRoutes(repositories: Repositories, uploads: Uploads, maxSize: number): Route[] {
  const post = async (exchange: Exchange, name: string): Promise<void> => {
    const repository = repositoryOf(name)
    if (exchange.query.has('mount') && (await mount(repositories, exchange, name, repository))) return
    if (!exchange.query.has('digest')) return answer(exchange, 202, name, await uploads.start(repository))
    const digest = digestFrom(exchange.query.get('digest'))
    const upload = await uploads.start(repository)
    try {
      // Nobody was told its id, so nobody could go on with it.
      await uploads.use(upload.id, repository, () => receive(exchange, upload, maxSize))
      exchange.haveTime()
      await upload.finish(digest)
    } finally {
      await uploads.discard(upload)
    }
    await repositories.link(repository, digest)
    created(exchange, name, digest)
  }
  const patch = async (exchange: Exchange, name: string, id: string): Promise<void> => {
    await uploads.use(id, repositoryOf(name), async (upload) => {
      await receive(exchange, upload, maxSize)
      answer(exchange, 202, name, upload)
    })
  }
  const put = async (exchange: Exchange, name: string, id: string): Promise<void> => {
    const repository = repositoryOf(name)
    const digest = digestFrom(exchange.query.get('digest'))
    await uploads.use(id, repository, async (upload) => {
      await receive(exchange, upload, maxSize)
      exchange.haveTime()
      try {
        await upload.finish(digest)
      } finally {
        await uploads.discard(upload)
      }
    })
    await repositories.link(repository, digest)
    created(exchange, name, digest)
  }
  const get = async (exchange: Exchange, name: string, id: string): Promise<void> => {
    answer(exchange, 204, name, uploads.find(id, repositoryOf(name)))
  }
  const remove = async (exchange: Exchange, name: string, id: string): Promise<void> => {
    await uploads.use(id, repositoryOf(name), (upload) => uploads.discard(upload))
    exchange.send(204)
  }
  return [
    { pattern: /^\/v2\/(.+)\/blobs\/uploads\/?$/s, methods: { POST: post } },
    { pattern: /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/s, methods: { GET: get, PATCH: patch, PUT: put, DELETE: remove } },
  ]
}

/** Takes a request's body into an upload, if it continues where that ends. */
async function receive(exchange: Exchange, upload: Upload, maxSize: number): Promise<void> {
  const header = exchange.header('content-range')
  const range = header === undefined ? undefined : parseChunkRange(header)
  if (header !== undefined && range === undefined)
    throw new Refusal(400, 'BLOB_UPLOAD_INVALID', 'Content-Range is not <first byte>-<last byte>')
  if (range !== undefined && range.start !== upload.size) {
    throw new Refusal(416, 'BLOB_UPLOAD_INVALID', `the upload goes on at byte ${upload.size}`, {
      headers: { Range: rangeOf(upload) },
      detail: { offset: upload.size },
    })
  }
  const length = range === undefined ? exchange.length : range.end - range.start + 1
  if (range !== undefined && exchange.length !== undefined && exchange.length !== length)
    throw new Refusal(400, 'SIZE_INVALID', 'Content-Length and Content-Range contradict each other')
  if (upload.size + (length ?? 0) > maxSize)
    throw new Refusal(413, 'SIZE_INVALID', `a blob has more than ${maxSize} bytes`, { detail: { maximum: maxSize } })
  await upload.append(exchange.body(), { length, maxSize })
}

async function mount(repositories: Repositories, exchange: Exchange, name: string, repository: Repository): Promise<boolean> {
  const digest = digestFrom(exchange.query.get('mount'))
  const from = exchange.query.get('from')
  // Without `from` it could be looked for everywhere, which would tell a client what other repositories hold.
  const source = from === null || from === '' ? repository : repositoryOf(from)
  if ((await repositories.reserve(source, digest)) === undefined) return false
  await repositories.link(repository, digest)
  created(exchange, name, digest)
  return true
}

function created(exchange: Exchange, name: string, digest: string): void {
  exchange.send(201, { Location: `/v2/${name}/blobs/${digest}`, 'Docker-Content-Digest': digest })
}

function answer(exchange: Exchange, status: number, name: string, upload: Upload): void {
  exchange.send(status, {
    Location: `/v2/${name}/blobs/uploads/${upload.id}`,
    Range: rangeOf(upload),
    'Docker-Upload-UUID': upload.id,
  })
}

/** Nothing and one byte look the same here: so the spec has it. */
function rangeOf(upload: Upload): string {
  return `0-${Math.max(0, upload.size - 1)}`
}
