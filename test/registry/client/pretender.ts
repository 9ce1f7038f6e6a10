import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Store } from '../../../lib/store/index.ts'
import type { MadeImage } from '../../images/maker.ts'
import { temporaryDirectory } from '../../support/temporary.ts'

export interface Request {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
}

/** Answers a request, or leaves it to the registry that the pretender otherwise is. */
export type Trick = (request: Request, response: ServerResponse) => boolean | undefined | Promise<boolean | undefined>

export interface Pretender extends AsyncDisposable {
  /** `127.0.0.1:40123`. */
  readonly host: string
  readonly port: number
  readonly requests: Request[]
  /** The latest one is asked first. */
  readonly tricks: Trick[]
}

export interface PretenderOptions {
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string; readonly requestCert?: boolean }
  readonly trick?: Trick
}

/** A registry of fixed content in this process, which may be told to misbehave. */
export async function pretend(images: Readonly<Record<string, MadeImage>>, options: PretenderOptions = {}): Promise<Pretender> {
  const requests: Request[] = []
  const tricks: Trick[] = options.trick ? [options.trick] : []
  const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(incoming.url ?? '/', 'http://registry')
    const request = { method: incoming.method ?? '', path: url.pathname, query: url.searchParams, headers: incoming.headers }
    requests.push(request)
    response.on('error', () => {})
    void answer(images, [...tricks].reverse(), request, response)
  }
  const server = options.tls ? createTlsServer({ ...options.tls, rejectUnauthorized: false }, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    host: `127.0.0.1:${port}`,
    port,
    requests,
    tricks,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(
  images: Readonly<Record<string, MadeImage>>,
  tricks: readonly Trick[],
  request: Request,
  response: ServerResponse,
): Promise<void> {
  for (const trick of tricks) if ((await trick(request, response)) === true) return
  if (request.path === '/v2/') {
    response.end('{}')
    return
  }
  const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(request.path)
  if (manifest) {
    sendManifest(images, manifest[1] as string, manifest[2] as string, request, response)
    return
  }
  const blob = /^\/v2\/.+\/blobs\/([^/]+)$/.exec(request.path)?.[1]
  const bytes = Object.values(images)
    .map(({ blobs }) => blobs.get(blob ?? ''))
    .find(Boolean)
  if (bytes === undefined) refuse(response, 404, 'BLOB_UNKNOWN')
  else sendBytes(request, response, bytes)
}

function sendManifest(
  images: Readonly<Record<string, MadeImage>>,
  name: string,
  reference: string,
  request: Request,
  response: ServerResponse,
): void {
  const image = images[`${name}:${reference}`]
  const digest = image?.descriptor.digest ?? reference
  const bytes = Object.values(images)
    .map(({ blobs }) => blobs.get(digest))
    .find(Boolean)
  if (bytes === undefined) {
    refuse(response, 404, 'MANIFEST_UNKNOWN')
    return
  }
  const parsed = JSON.parse(bytes.toString()) as { mediaType: string }
  response.writeHead(200, { 'content-type': parsed.mediaType, 'docker-content-digest': digest, 'content-length': bytes.length })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

export function refuse(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }))
}

/** Bytes, or the part of them that a Range asks for. */
export function sendBytes(request: Request, response: ServerResponse, bytes: Buffer): void {
  const start = Number(/^bytes=([0-9]+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const status = start > 0 ? 206 : 200
  const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}
  response.writeHead(status, { 'content-type': 'application/octet-stream', 'content-length': bytes.length - start, ...range })
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(start))
}

export interface Desk extends AsyncDisposable {
  readonly store: Store
  readonly path: string
  /** What the store holds: names and blobs. */
  content(): Promise<{ names: string[]; blobs: string[] }>
}

/** A store of its own, and no credentials but those that the test writes. */
export async function desk(): Promise<Desk> {
  const directory = temporaryDirectory('registry')
  const store = await Store.open(join(directory.path, 'store'))
  const before = { ...process.env }
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'REGISTRY_AUTH_FILE'])
    delete process.env[name]
  for (const name of ['HOME', 'DOCKER_CONFIG', 'XDG_CONFIG_HOME', 'XDG_RUNTIME_DIR'])
    process.env[name] = join(directory.path, name.toLowerCase())
  return {
    store,
    path: directory.path,
    async content() {
      const blobs: string[] = []
      for await (const { digest } of store.blobs.list()) blobs.push(digest)
      return { names: (await store.refs.list()).map(({ name }) => name ?? ''), blobs: blobs.sort() }
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
      Object.assign(process.env, before)
      directory[Symbol.dispose]()
    },
  }
}

/** What a promise rejects with; an error of its own when it does not. */
export async function failure(
  work: Promise<unknown>,
): Promise<{ code: string; message: string; hint?: string; details?: Record<string, unknown>; cause?: unknown }> {
  try {
    await work
  } catch (error) {
    return error as never
  }
  throw new Error('it did not reject')
}
