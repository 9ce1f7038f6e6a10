import { createHash } from 'node:crypto'
import { type ErrorCode, StrakeError } from '../errors/index.ts'

declare const brand: unique symbol

/** A content digest that was checked to be well-formed: `sha256:` and 64 lower-case hex digits, or `sha512:` and 128. */
export type Digest = string & { readonly [brand]: 'Digest' }

export type DigestAlgorithm = 'sha256' | 'sha512'

const hexDigits: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 }

export function isDigest(value: unknown): value is Digest {
  if (typeof value !== 'string') return false
  const match = /^(sha256|sha512):([0-9a-f]+)$/.exec(value)
  return match !== null && match[2]?.length === hexDigits[match[1] as DigestAlgorithm]
}

/**
 * Checks a digest that came from elsewhere (OCI image-spec, descriptor.md, "Digests"). Upper case, unknown algorithms and
 * wrong lengths are refused with `code`, since a digest becomes the name of a file.
 */
export function parseDigest(value: unknown, code: ErrorCode = 'invalid_argument'): Digest {
  if (isDigest(value)) return value
  throw new StrakeError(code, `not a digest: ${describe(value)}`, {
    hint: 'a digest is sha256: and 64 hex digits, or sha512: and 128, in lower case',
  })
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value) : typeof value
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512') ? 'sha512' : 'sha256'
}

/** The hex digits of a digest, which name its file and, for a chainID, its snapshot. */
export function hexOf(digest: Digest): string {
  return digest.slice(7)
}

export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return toDigest(algorithm, createHash(algorithm).update(bytes).digest('hex'))
}

/** Makes a digest of hex digits that a hash of ours has just computed. */
export function toDigest(algorithm: DigestAlgorithm, hex: string): Digest {
  return `${algorithm}:${hex}` as Digest
}
