import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { STATUS_CODES } from 'node:http'
import { posix } from 'node:path'
import { pipeline, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Dispatcher } from 'undici'
import { StrakeError } from '../../errors/index.ts'
import { proxyFor } from '../../registry/index.ts'
import type { Digest, Store } from '../../store/index.ts'
import { type BytePath, bytePath, type SourceEntry, type SourceMatch } from './entry.ts'

/** A file that was downloaded, until it is disposed of. */
export interface Download extends AsyncDisposable {
  readonly match: SourceMatch
  /** SHA-256 of its bytes, in hex. */
  readonly digest: string
  read(): AsyncIterable<Buffer>
}

const mostRedirects = 10

function failed(url: string, why: string, cause?: unknown): StrakeError {
  return new StrakeError('download_failed', `${url} cannot be downloaded: ${why}`, { cause, details: { url } })
}

/** What the file is called: the last name of the URL's path, or else, where that has none, what the server says; undefined when neither is a name. */
function nameOf(url: string, disposition: string | undefined): BytePath | undefined {
  const { pathname } = new URL(url)
  const [, quoted, plain] = /;\s*filename=(?:"([^"\\]*)"|([^\s;]+))/i.exec(disposition ?? '') ?? []
  const name = pathname.endsWith('/') ? posix.basename(quoted ?? plain ?? '') : posix.basename(decoded(pathname))
  return name === '' || name === '.' || name === '..' || /[\0/]/.test(name) ? undefined : bytePath(name)
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Seconds since 1970, as Last-Modified has them. */
function timeOf(header: string | undefined): number | undefined {
  const milliseconds = Date.parse(header ?? '')
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000)
}

interface Asked {
  readonly response: Dispatcher.ResponseData
  /** To be called once the body was read, or is not wanted. */
  end(): Promise<void>
}

const headers = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'strake' }

function headerOf({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

/** The file itself, where a server compresses it for the way although nobody asked for that. */
function contentOf(response: Dispatcher.ResponseData): AsyncIterable<Uint8Array> {
  const coding = headerOf(response, 'content-encoding')?.trim().toLowerCase()
  if (coding === 'gzip' || coding === 'x-gzip') return compose(response.body, createGunzip())
  if (coding === 'deflate') return compose(response.body, createInflate())
  return coding === 'br' ? compose(response.body, createBrotliDecompress()) : response.body
}

function compose(body: Readable, decoder: Transform): AsyncIterable<Uint8Array> {
  return pipeline(body, decoder, () => {})
}

/** Asks for a URL, and for where it leads: each by the proxy that the environment has for it. */
async function ask(url: string, signal: AbortSignal | undefined): Promise<Asked> {
  // Not its fetch(), which reaches no port that a browser would not (Fetch standard, "Port blocking").
  const { Agent, ProxyAgent, request } = await import('undici')
  let here = new URL(url)
  for (let redirects = 0; ; redirects += 1) {
    const proxy = proxyFor(here)
    const dispatcher = proxy === undefined ? new Agent() : new ProxyAgent(proxy)
    const end = (): Promise<void> => dispatcher.destroy().catch(() => undefined)
    try {
      const response = await request(here, { dispatcher, headers, signal: signal ?? null })
      // Whoever reads the body gets its error; that of one that is dropped is nobody's.
      response.body.on('error', () => {})
      const { statusCode } = response
      const location = statusCode >= 300 && statusCode < 400 ? headerOf(response, 'location') : undefined
      if (location === undefined) return { response, end }
      // Or its listener stays at the signal, with those of all that follow.
      response.body.destroy()
      if (redirects === mostRedirects) throw failed(url, `more than ${mostRedirects} redirects`)
      here = new URL(location, here)
      if (!/^https?:$/.test(here.protocol)) throw failed(url, `it leads to ${here.protocol}`)
    } catch (error) {
      await end()
      throw error
    }
    await end()
  }
}

/**
 * Downloads a URL into the store's `tmp/`, by the proxies of the environment. Rejects with `download_failed`, with `digest_mismatch` when its bytes are
 * not what `checksum` says, with `aborted`.
 */
export async function download(
  url: string,
  store: Store,
  options: { readonly checksum?: Digest | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Download> {
  const { signal, checksum } = options
  const path = store.temporary('tmp', 'download')
  const clean = (): Promise<void> => rm(path, { force: true })
  let asked: Asked | undefined
  try {
    asked = await ask(url, signal)
    const { response } = asked
    const { statusCode } = response
    if (statusCode < 200 || statusCode > 299) throw failed(url, `the server answers ${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim())
    const [algorithm = 'sha256', expected] = checksum?.split(':') ?? []
    const [hash, check] = [createHash('sha256'), createHash(algorithm)]
    const file = await open(path, 'wx', 0o600)
    let size = 0
    try {
      for await (const piece of contentOf(response)) {
        hash.update(piece)
        check.update(piece)
        size += piece.length
        await file.write(piece)
      }
    } finally {
      await file.close()
    }
    const actual = check.digest('hex')
    if (expected !== undefined && actual !== expected) {
      throw new StrakeError('digest_mismatch', `${url} has the digest ${algorithm}:${actual}, not ${checksum}`, {
        details: { expected: checksum, actual: `${algorithm}:${actual}`, url },
      })
    }
    const name = nameOf(url, headerOf(response, 'content-disposition'))
    const entry: SourceEntry = {
      kind: 'file',
      path: '',
      origin: bytePath(url),
      mode: 0o600,
      uid: 0,
      gid: 0,
      mtime: timeOf(headerOf(response, 'last-modified')),
      size,
      target: '',
      xattrs: new Map(),
    }
    return {
      match: { path: name ?? '', name: name ?? '', entries: [entry] },
      digest: hash.digest('hex'),
      read: () => createReadStream(path),
      [Symbol.asyncDispose]: clean,
    }
  } catch (error) {
    await clean()
    if (error instanceof StrakeError) throw error
    if (signal?.aborted) throw new StrakeError('aborted', 'the download was aborted', { cause: signal.reason })
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    throw failed(url, cause instanceof Error ? cause.message : String(cause), error)
  } finally {
    await asked?.end()
  }
}
