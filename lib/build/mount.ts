import type { Base } from './step.ts'

/** Who owns what is mounted, and its permissions. Ids are numbers of the container. */
interface Ownership {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** How builds that run at once have one cache: all of it together, each another one, or one after the other. */
export type CacheSharing = 'shared' | 'private' | 'locked'

/** A directory that outlives the build and is in no image. */
export interface CacheMount extends Ownership {
  readonly kind: 'cache'
  /** Relative ones start at the working directory. */
  readonly target: string
  /** Caches of one id are the same, in every build of the store. */
  readonly id: string
  readonly sharing: CacheSharing
  readonly readOnly: boolean
  /** What a new cache begins with: files of another image; empty when absent. */
  readonly from?: Base
  /** A directory of `from`. */
  readonly source: string
}

/** Files of the context, or of another image. */
export interface BindMount {
  readonly kind: 'bind'
  readonly target: string
  /** Absent: the build context. */
  readonly from?: Base
  /** A path of the context or of the image, without `..`; `.` for all of it. */
  readonly source: string
  /** Writing is possible, and what is written goes with the mount. */
  readonly readWrite: boolean
}

/** An empty directory in memory. */
export interface TmpfsMount {
  readonly kind: 'tmpfs'
  readonly target: string
  /** Bytes; half of the memory when absent. */
  readonly size?: number
}

/** A secret as a file, as a variable, or as both. */
export interface SecretMount extends Ownership {
  readonly kind: 'secret'
  readonly id: string
  /** Absent: no file. */
  readonly target?: string
  /** Absent: no variable. */
  readonly env?: string
  /** Whether the step fails when nobody gives the secret. */
  readonly required: boolean
}

/** The socket of an SSH agent, to which SSH_AUTH_SOCK points. */
export interface SshMount extends Ownership {
  readonly kind: 'ssh'
  readonly id: string
  readonly target?: string
  readonly required: boolean
}

/** What is mounted while a `run` runs, and is in no layer. */
export type RunMount = CacheMount | BindMount | TmpfsMount | SecretMount | SshMount
