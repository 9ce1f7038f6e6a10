import { createHash } from 'node:crypto'
import { StrakeError } from '../errors/index.ts'
import { algorithmOf, type Digest, failedWith, type Store, toDigest } from '../store/index.ts'

/**
 * The bytes of a blob, whose digest is computed as they go by: what has rotted on the disk must not travel on under a name that it has no more. Ends with
 * `digest_mismatch` after the last byte of one that has, as unpacking such a layer does; `store_invalid` where there is none, or it goes meanwhile.
 */
export async function* soundBlob(store: Store, digest: Digest): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash(algorithmOf(digest))
  try {
    for await (const piece of await store.blobs.stream(digest)) {
      hash.update(piece as Uint8Array)
      yield piece as Uint8Array
    }
  } catch (error) {
    throw failedWith(error, 'ENOENT') ? goneBlob(digest, error) : error
  }
  const actual = toDigest(algorithmOf(digest), hash.digest('hex'))
  if (actual !== digest) throw rottenBlob(digest, actual)
}

/** For a blob that was there, and is not any more. */
export function goneBlob(digest: Digest, cause?: unknown): StrakeError {
  return new StrakeError('store_invalid', `the blob ${digest} is not in the store any more`, {
    hint: 'was its image removed meanwhile? load, pull or build it again',
    cause,
    details: { digest },
  })
}

function rottenBlob(expected: Digest, actual: Digest): StrakeError {
  return new StrakeError('digest_mismatch', `the blob ${expected} has changed on the disk: its content is ${actual}`, {
    hint: 'store.verify({ mend: true }) removes what is damaged; then load, pull or build the image again',
    details: { expected, actual },
  })
}
