import { StrakeError } from '../../errors/index.ts'
import type { ByteStream, Digest } from '../../store/index.ts'
import type { Answer } from './exchange.ts'
import { networkFailure, protocolError, throwIfAborted } from './failure.ts'
import type { Repository } from './repository.ts'
import { isTransient, pause, pauseBefore, retryAfter } from './retry.ts'

/** Bytes on this machine that are to be a blob there. */
export interface Upload {
  readonly digest: Digest
  readonly size: number
  /** A part of them: bytes from `start` up to but without `end`. */
  readonly open: (start: number, end: number) => ByteStream
  readonly onBytes?: ((bytes: number) => void) | undefined
}

export interface UploadOptions {
  /** Repositories of the same registry that may have it. */
  readonly mountFrom?: readonly string[]
  /** Bytes of a request; undefined for all of them in one. */
  readonly chunkSize?: number | undefined
}

const mostMounts = 2

/** Sends a blob that the registry does not have. Resolves to how it got there. Rejects as `Repository` does. */
export async function upload(repository: Repository, blob: Upload, options: UploadOptions = {}): Promise<'mounted' | 'uploaded'> {
  for (const from of (options.mountFrom ?? []).slice(0, mostMounts)) {
    if (await mounts(repository, blob, from)) return 'mounted'
  }
  for (let tries = 1; ; tries += 1) {
    throwIfAborted(repository.session.signal)
    try {
      const refused = await send(repository, blob, options.chunkSize)
      if (refused === undefined) return 'uploaded'
      if (!isTransient(refused.status) || tries > repository.session.retries)
        return await repository.refuse(refused, `the blob ${blob.digest}`)
      const asked = retryAfter(refused.header('retry-after'))
      await refused.discard()
      await pause(Math.min(asked ?? pauseBefore(tries), 60_000), repository.session.signal)
    } catch (error) {
      throwIfAborted(repository.session.signal)
      if (error instanceof StrakeError && error.code !== 'registry_unavailable') throw error
      const failure = networkFailure(error, await repository.session.base())
      if (tries > repository.session.retries || (failure.isFinal && !(error instanceof StrakeError))) throw failure.error
      await pause(pauseBefore(tries), repository.session.signal)
    }
    // It may have got there, and only the answer have been lost.
    if (await repository.hasBlob(blob.digest)) return 'uploaded'
  }
}

/** Asks for the blob of another repository. A registry that will not, or that does not know that repository, is no failure. */
async function mounts(repository: Repository, blob: Upload, from: string): Promise<boolean> {
  try {
    const begun = await repository.beginUpload({ digest: blob.digest, from })
    if (!begun.mounted && begun.location) await repository.cancelUpload(begun.location)
    return begun.mounted
  } catch (error) {
    if (
      error instanceof StrakeError &&
      ['registry_unauthorized', 'registry_denied', 'registry_not_found', 'registry_protocol'].includes(error.code)
    )
      return false
    throw error
  }
}

/** One try. Resolves to the answer that refuses it, if one does. */
async function send(repository: Repository, blob: Upload, chunkSize: number | undefined): Promise<Answer | undefined> {
  const { location } = await repository.beginUpload()
  if (location === undefined) throw protocolError(`${repository.host} does not begin an upload`)
  const whole = chunkSize === undefined || chunkSize >= blob.size
  const last = whole ? location : await sendChunks(repository, blob, location, chunkSize)
  if (!(last instanceof URL)) return last
  const answer = await repository.sendUpload('PUT', withDigest(last, blob.digest), whole ? part(blob, 0, blob.size) : undefined)
  if (answer.status !== 201 && answer.status !== 202 && answer.status !== 204) return answer
  await answer.discard()
  return undefined
}

function part(blob: Upload, start: number, end: number): { size: number; open: () => Promise<ByteStream> } | Uint8Array {
  if (start === end) return new Uint8Array()
  return {
    size: end - start,
    open: () => Promise.resolve(counted(blob, start, end)),
  }
}

async function* counted(blob: Upload, start: number, end: number): AsyncGenerator<Uint8Array> {
  let sent = start
  for await (const piece of blob.open(start, end)) {
    yield piece
    sent += piece.length
    blob.onBytes?.(sent)
  }
}

/** Sends a blob in several requests. What came of one that broke off is asked for, and the rest sent from there (distribution-spec, "Pushing a blob in chunks"). */
async function sendChunks(repository: Repository, blob: Upload, first: URL, chunkSize: number): Promise<URL | Answer> {
  let location = first
  let start = 0
  for (let breaks = 0; start < blob.size; ) {
    const end = Math.min(blob.size, start + chunkSize)
    try {
      const headers = { 'content-range': `${start}-${end - 1}` }
      const answer = await repository.sendUpload('PATCH', location, part(blob, start, end), headers)
      if (answer.status !== 202 && answer.status !== 204) return answer
      await answer.discard()
      location = await repository.locationOf(answer)
      start = end
      breaks = 0
    } catch (error) {
      throwIfAborted(repository.session.signal)
      breaks += 1
      if (breaks > repository.session.retries || (error instanceof StrakeError && error.code !== 'registry_unavailable')) throw error
      await pause(pauseBefore(breaks), repository.session.signal)
      const status = await repository.uploadStatus(location)
      if (status === undefined || status.received > blob.size) throw error
      location = status.location
      start = status.received
    }
  }
  return location
}

/** The registry's own query stays letter for letter: it may be signed. */
function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location)
  url.search = `${url.search}${url.search ? '&' : '?'}digest=${encodeURIComponent(digest)}`
  return url
}
