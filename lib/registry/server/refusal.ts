import { StrakeError } from '../../errors/index.ts'
import { failedWith } from '../../store/index.ts'

/** OCI distribution-spec 1.1, "Error Codes"; the last three are Docker's (registry/api/errcode). */
export type RefusalCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'PAGINATION_NUMBER_INVALID'
  | 'TAG_INVALID'
  | 'UNKNOWN'

/** An answer other than the one that was asked for: an HTTP status, and the spec's JSON as body. */
export class Refusal extends Error {
  readonly status: number
  readonly code: RefusalCode
  readonly detail: Readonly<Record<string, unknown>> | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: RefusalCode,
    message: string,
    options: { readonly detail?: Readonly<Record<string, unknown>>; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.detail = options.detail
    this.headers = options.headers ?? {}
  }

  get body(): string {
    return JSON.stringify({ errors: [{ code: this.code, message: this.message, detail: this.detail }] })
  }
}

/** What a client is told of an error. Of one that is the server's own affair it learns nothing but that: paths stay here. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StrakeError) {
    if (error.code === 'image_invalid') return new Refusal(400, 'MANIFEST_INVALID', error.message, { detail: { ...error.details } })
    if (error.code === 'limit_exceeded') return new Refusal(413, 'SIZE_INVALID', error.message, { detail: { ...error.details } })
    if (error.code === 'store_full') return new Refusal(507, 'UNKNOWN', 'no space is left for it')
    if (error.code === 'store_busy') return new Refusal(503, 'UNKNOWN', 'the store is busy', { headers: { 'Retry-After': '5' } })
  }
  if (failedWith(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) return new Refusal(507, 'UNKNOWN', 'no space is left for it')
  return new Refusal(500, 'UNKNOWN', 'the registry failed; its own log says why')
}
