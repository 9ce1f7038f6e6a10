import type { ContainerUser, PrivateUsers } from '../ids/index.ts'
import type { EngineFiles, MountSpec, OverlaySpec } from '../rootfs/index.ts'
import type { CapabilityName, Rlimit, SeccompProfile } from './confinement/index.ts'

/** A terminal's size in character cells. */
export interface WindowSize {
  readonly rows: number
  readonly columns: number
}

/** One command and what it may do: all settled, nothing left to look up. */
export interface CommandSpec {
  readonly argv: readonly string[]
  /** `NAME=value`. */
  readonly env: readonly string[]
  /** Absolute, inside the container; made when it is missing. */
  readonly cwd: string
  readonly user: ContainerUser
  /** A pseudo-terminal in place of pipes. */
  readonly tty?: WindowSize | undefined
  /** The bounding set; what the command has of it depends on its user. */
  readonly capabilities: readonly CapabilityName[]
  readonly rlimits: readonly Rlimit[]
  /** RLIMIT_NPROC that stands for a limit of the container: for what is counted with its other processes. */
  readonly processes?: number | undefined
  readonly noNewPrivileges: boolean
  /** Docker's JSON format; the default profile when left out. */
  readonly seccomp?: SeccompProfile | 'unconfined' | undefined
  readonly umask: number
}

/** What the ids of the zygote allow: see IdRange. */
export type IdKind = 'root' | 'subid' | 'single'

/** A container, all settled: `planOf` makes its program from this and nothing else. */
export interface ContainerSpec {
  readonly hostname: string
  readonly domainname?: string | undefined
  /** The directory of upper and work, as the zygote sees it; made when it is missing. */
  readonly directory: string
  /** The name of the work directory in there: one of its own for each volatile mount of an upper. Default `work`. */
  readonly work?: string | undefined
  readonly layers: OverlaySpec['lowers']
  /** Whether the upper is thrown away with the container. */
  readonly volatile: boolean
  readonly readonlyRoot: boolean
  readonly network: 'none' | 'host'
  readonly files: EngineFiles
  /** Mounts of its own. Default none. */
  readonly mounts?: readonly MountSpec[] | undefined
  /** Directories that are made where they are missing: the image's volumes. */
  readonly directories: readonly string[]
  /** Bytes of /dev/shm. */
  readonly shmSize: number
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  /** How many cgroups it joins: the slots `cgroup0`, … are their cgroup.procs. */
  readonly cgroups: number
  /** A time namespace of its own. */
  readonly time: boolean
  readonly ids: IdKind
  /** A user namespace of its own inside the zygote's. */
  readonly users?: PrivateUsers | undefined
  readonly arch: 'x64' | 'arm64'
  readonly command: CommandSpec
}
