import type { Readable } from 'node:stream'
import type { CapabilityOptions, Rlimits, SeccompProfile, StdinSource, WindowSize } from '../process/index.ts'

/** How one command runs. */
export interface CommandOptions {
  /** Added to the image's environment, and to the container's; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** An absolute path. Default: the image's, else `/`; of a command in a running container: the container's. Made when it is missing. */
  readonly cwd?: string | undefined
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the container. Default: the container's, the image's, else root. */
  readonly user?: string | number | undefined
  /**
   * Default: nothing (end of file at once). A string or bytes are what it reads, a stream is piped (`process.stdin`, say); `'pipe'`, or a use of
   * `stdin` right away, leaves it to you.
   */
  readonly stdin?: StdinSource | Readable | undefined
  /** A pseudo-terminal, of 24 rows and 80 columns unless told; its output is `stdout`. */
  readonly tty?: boolean | Partial<WindowSize> | undefined
  /** Milliseconds, or `'1m30s'`; then the command is killed, and the result says `timedOut`. Default: none, as 0 and Infinity. */
  readonly timeout?: number | string | undefined
  /** Kills the command and rejects with `aborted`. */
  readonly signal?: AbortSignal | undefined
  /** Rejects with `process_failed` (or `timed_out`) unless the exit code is 0. */
  readonly check?: boolean | undefined
  /** `'buffer'`: `stdout` and `stderr` of the result as bytes. Default `'utf8'`. */
  readonly encoding?: 'utf8' | 'buffer' | undefined
  /** Bytes of output that are collected before the command is killed and `limit_exceeded` rejected. Default 100 MB; Infinity is no bound; streams have none. */
  readonly maxOutput?: number | string | undefined
  /** Resource limits, as getrlimit(2). */
  readonly rlimits?: Rlimits | undefined
  /** Permission bits that new files do not get. Default 0o022. */
  readonly umask?: number | undefined
}

/** What a container is allowed and how much it may use. */
export interface ContainerOptions extends CommandOptions {
  /** At most 64 letters, digits and hyphens, in parts with dots between them. Default: the container's short id. */
  readonly hostname?: string | undefined
  /** Default `'none'`: loopback only. `'host'`: the host's network stack. */
  readonly network?: 'none' | 'host' | undefined
  /**
   * Bytes, or `'256m'`, page cache included; at least 6 MB. Without a cgroup (see `doctor()`): RLIMIT_DATA, for each process by itself, which is then
   * refused memory rather than killed.
   */
  readonly memory?: number | string | undefined
  /** CPUs' worth of time: 0.5 is half of one. Nothing stands in for it without a cgroup. */
  readonly cpus?: number | undefined
  /**
   * Processes and threads of the container, PID 1 included: at least 2. Without a cgroup the bound is that of a user namespace of its own
   * (RLIMIT_NPROC, getrlimit(2)): see `userns`.
   */
  readonly pids?: number | undefined
  /**
   * `'private'`: a user namespace of its own (user_namespaces(7)), with the same ids as all others, inside the one that containers of a store
   * share by default. A container with `pids` that no cgroup counts gets one too, unless `'shared'` is asked for: then RLIMIT_NPROC counts
   * what its user has in all containers of the store together.
   */
  readonly userns?: 'private' | 'shared' | undefined
  /** Added to and taken from Docker's default set. */
  readonly capabilities?: CapabilityOptions | undefined
  /** Docker's JSON format, or `'unconfined'`. Default: Docker's profile. */
  readonly seccomp?: SeccompProfile | 'unconfined' | undefined
  /** Default true. */
  readonly noNewPrivileges?: boolean | undefined
  /** Nothing but mounts can be written. */
  readonly readonly?: boolean | undefined
  /** Bytes of /dev/shm; default 64 MB. */
  readonly shmSize?: number | string | undefined
  /** A time namespace of its own. */
  readonly time?: boolean | undefined
}

/** What only a command that is waited for has: a container's output is in its `logs()`, its exit code in `wait()`. */
export type CollectOption = 'check' | 'encoding' | 'maxOutput'

/** What `start` adds. */
export interface StartOptions extends Omit<ContainerOptions, CollectOption> {
  /** For people: letters, digits, `_`, `.`, `-`. Unique among the containers of this thread. */
  readonly name?: string | undefined
  /** In place of the image's command; a string goes to its shell. */
  readonly cmd?: string | readonly string[] | undefined
  /** In place of the image's entrypoint; `[]` for none. */
  readonly entrypoint?: string | readonly string[] | undefined
}
