import { StrakeError } from '../errors/index.ts'

/** What an untrusted layer may ask for at most. Sizes in bytes. Each is refused with `limit_exceeded` and `details.limit` its name. */
export interface LayerLimits {
  /** Of the uncompressed tar. Default 64 GiB. */
  readonly layerBytes: number
  /** Of one file, holes included. Default 64 GiB. */
  readonly fileBytes: number
  /** Entries. Default 10,000,000. */
  readonly entries: number
  /** Directories, symlinks and whiteouts, whose state is kept until the layer ends. Default 2,000,000. */
  readonly directories: number
  /** Of the PAX and GNU long-name headers of one entry. Default 1 MiB. */
  readonly headerBytes: number
  /** Of a path or a link's target: what Linux takes in one call (PATH_MAX). Default 4095. */
  readonly pathBytes: number
  /** Of one component of a path (NAME_MAX). Default 255. */
  readonly nameBytes: number
  /** Data regions of a sparse file. Default 65,536. */
  readonly sparseRegions: number
  /** Uncompressed bytes per compressed byte, looked at once 256 MiB are out. Default 500. */
  readonly compressionRatio: number
  /** zstd's window. Default 128 MiB, as the zstd program. */
  readonly windowBytes: number
}

const mebi = 1024 * 1024

export const defaultLimits: LayerLimits = {
  layerBytes: 64 * 1024 * mebi,
  fileBytes: 64 * 1024 * mebi,
  entries: 10_000_000,
  directories: 2_000_000,
  headerBytes: mebi,
  pathBytes: 4095,
  nameBytes: 255,
  sparseRegions: 65_536,
  compressionRatio: 500,
  windowBytes: 128 * mebi,
}

/** The default limits with some of them replaced. */
export function withDefaults(limits: Partial<LayerLimits> = {}): LayerLimits {
  return { ...defaultLimits, ...limits }
}

export function limitExceeded(limit: keyof LayerLimits, maximum: number, what: string): StrakeError {
  return new StrakeError('limit_exceeded', `${what}: more than ${maximum} (limit ${limit})`, { details: { limit, maximum } })
}

export function layerInvalid(message: string, cause?: unknown): StrakeError {
  return new StrakeError('layer_invalid', message, { cause })
}
