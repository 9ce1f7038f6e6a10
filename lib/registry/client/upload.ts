import { StrakeError } from '../../errors/index.ts'
import type { ByteStream, Digest } from '../../store/index.ts'
import { networkFailure, protocolError, throwIfAborted } from './failure.ts'
import type { Repository } from './repository.ts'
import { isTransient, longestRetryAfter, pause, pauseBefore } from './retry.ts'
import type { Session } from './session.ts'

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
/** Each request of an upload is sent once: what has become of it is asked before another is. */
const once = { isTriedAgain: false }

/** Sends a blob that the registry does not have. Resolves to how it got there. Rejects as `Repository` does. */
export async function upload(repository: Repository, blob: Upload, options: UploadOptions = {}): Promise<'mounted' | 'uploaded'> {
  for (const from of (options.mountFrom ?? []).slice(0, mostMounts)) {
    if (await mounts(repository, blob, from)) return 'mounted'
  }
  const tries = new Tries(repository.session)
  for (let isFirst = true; ; isFirst = false) {
    try {
      // It may have got there before, and only the answer have been lost.
      if (isFirst || !(await repository.hasBlob(blob.digest, once))) await send(repository, blob, options.chunkSize, tries)
      return 'uploaded'
    } catch (error) {
      await tries.again(networkFailure(error, await repository.session.base()).error)
    }
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

async function send(repository: Repository, blob: Upload, chunkSize: number | undefined, tries: Tries): Promise<void> {
  const { location } = await repository.beginUpload(undefined, once)
  if (location === undefined) throw protocolError(`${repository.host} does not begin an upload`)
  const whole = chunkSize === undefined || chunkSize >= blob.size
  const last = whole ? location : await sendChunks(repository, blob, location, chunkSize, tries)
  const answer = await repository.sendUpload('PUT', withDigest(last, blob.digest), whole ? part(blob, 0, blob.size) : undefined)
  if (answer.status !== 201 && answer.status !== 202 && answer.status !== 204) await repository.refuse(answer, `the blob ${blob.digest}`)
  await answer.discard()
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
async function sendChunks(repository: Repository, blob: Upload, first: URL, chunkSize: number, tries: Tries): Promise<URL> {
  let location = first
  let start = 0
  while (start < blob.size) {
    const end = Math.min(blob.size, start + chunkSize)
    try {
      const headers = { 'content-range': `${start}-${end - 1}` }
      const answer = await repository.sendUpload('PATCH', location, part(blob, start, end), headers)
      if (answer.status !== 202 && answer.status !== 204) await repository.refuse(answer, `a part of the blob ${blob.digest}`)
      await answer.discard()
      location = await repository.locationOf(answer)
      start = end
      tries.renew()
    } catch (error) {
      await tries.afterChunk(networkFailure(error, location).error)
      const status = await repository.uploadStatus(location, once)
      if (status === undefined || status.received > blob.size) throw error
      location = status.location
      start = status.received
    }
  }
  return location
}

/** Of an upload: `retries` after the first one in all, but that a chunk which arrives makes up for those that did not. */
class Tries {
  readonly #session: Session
  #failed = 0
  #restarts = 0

  constructor(session: Session) {
    this.#session = session
  }

  /** Waits until the whole may be tried again. Throws what the last try failed with where there is to be no other. */
  async again(error: StrakeError): Promise<void> {
    this.#restarts += 1
    await this.afterChunk(error)
  }

  async afterChunk(error: StrakeError): Promise<void> {
    const { signal, retries } = this.#session
    throwIfAborted(signal)
    this.#failed += 1
    const { status, retryAfter } = (error.details ?? {}) as { readonly status?: number; readonly retryAfter?: number }
    const isFinal = error.code !== 'registry_unavailable' || (status !== undefined && !isTransient(status))
    if (isFinal || this.#failed > retries || (retryAfter ?? 0) > longestRetryAfter) throw error
    await pause(retryAfter ?? pauseBefore(this.#failed), signal)
  }

  renew(): void {
    this.#failed = this.#restarts
  }
}

/** The registry's own query stays letter for letter: it may be signed. */
function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location)
  url.search = `${url.search}${url.search ? '&' : '?'}digest=${encodeURIComponent(digest)}`
  return url
}
