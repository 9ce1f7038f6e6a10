import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { posix } from 'node:path'
import type { Response } from 'undici'
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

/** What the file is called: as the server says, or else the last name of the URL's path; undefined when neither is a name. */
function nameOf(url: string, disposition: string | null): BytePath | undefined {
  const [, quoted, plain] = /;\s*filename=(?:"([^"\\]*)"|([^\s;]+))/i.exec(disposition ?? '') ?? []
  const path = new URL(url).pathname
  const name = posix.basename(quoted ?? plain ?? '') || posix.basename(decoded(path))
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
function timeOf(header: string | null): number | undefined {
  const milliseconds = Date.parse(header ?? '')
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000)
}

interface Asked {
  readonly response: Response
  /** To be called once the body was read, or is not wanted. */
  end(): Promise<void>
}

/** Asks for a URL, and for where it leads: each by the proxy that the environment has for it. */
async function ask(url: string, signal: AbortSignal | undefined): Promise<Asked> {
  const { Agent, fetch, ProxyAgent } = await import('undici')
  let here = new URL(url)
  for (let redirects = 0; ; redirects += 1) {
    const proxy = proxyFor(here)
    const dispatcher = proxy === undefined ? new Agent() : new ProxyAgent(proxy)
    const end = (): Promise<void> => dispatcher.destroy().catch(() => undefined)
    try {
      const response = await fetch(here, { dispatcher, redirect: 'manual', signal: signal ?? null })
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location === null) return { response, end }
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
    if (!response.ok || !response.body) throw failed(url, `the server answers ${response.status} ${response.statusText}`.trim())
    const [algorithm = 'sha256', expected] = checksum?.split(':') ?? []
    const [hash, check] = [createHash('sha256'), createHash(algorithm)]
    const file = await open(path, 'wx', 0o600)
    let size = 0
    try {
      for await (const piece of response.body as AsyncIterable<Uint8Array>) {
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
    const name = nameOf(url, response.headers.get('content-disposition'))
    const entry: SourceEntry = {
      kind: 'file',
      path: '',
      origin: bytePath(url),
      mode: 0o600,
      uid: 0,
      gid: 0,
      mtime: timeOf(response.headers.get('last-modified')),
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
