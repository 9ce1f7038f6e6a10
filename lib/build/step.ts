import type { ImageData } from '../images/index.ts'
import type { Digest } from '../store/index.ts'
import type { ContextInput } from './context-files.ts'
import type { Escape } from './dockerfile/directives.ts'
import type { Heredoc } from './dockerfile/heredoc.ts'
import type { RunMount } from './mount.ts'
import type { SecretSource } from './secret.ts'

/** What a stage starts from. Paths are absolute. */
export type Base =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'host' }
  /** `platform` is that to choose from an index; absent: that of the build. */
  | { readonly kind: 'reference'; readonly reference: string; readonly platform?: string }
  | { readonly kind: 'layout'; readonly path: string; readonly tag?: string }
  | { readonly kind: 'archive'; readonly format: 'oci' | 'docker'; readonly path: string; readonly tag?: string }
  | { readonly kind: 'rootfs'; readonly path: string }
  | { readonly kind: 'image'; readonly image: ImageData }
  | { readonly kind: 'steps'; readonly steps: readonly Step[] }

/** `from(base)`: always the first step. */
export interface FromStep {
  readonly kind: 'from'
  readonly base: Base
  /** What the steps after it take files from, its paths absolute. Absent: that of the build. */
  readonly context?: ContextInput
  /** Values for `arg`s after it, and proxies, which need none; those of the build win. */
  readonly args?: Readonly<Record<string, string>>
}

/** The network that a build's command sees: the host's stack, or none but loopback. */
export type BuildNetwork = 'host' | 'none'

/** `run(command, options)`. */
export interface RunStep {
  readonly kind: 'run'
  /** A string goes to the image's shell; an argv is run as it is. */
  readonly command: string | readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly user?: string
  readonly network: BuildNetwork
  readonly userns?: 'private' | 'shared'
  /** Milliseconds; unlimited when absent. */
  readonly timeout?: number
  /** In the order in which they are mounted; absent when there are none. */
  readonly mounts?: readonly RunMount[]
  /** Where the values of its secrets are, by id; those of the build count for the others. Absent when there are none. */
  readonly secrets?: Readonly<Record<string, SecretSource>>
}

/** A file that `copy` takes from memory. */
export interface MemoryFile {
  /** Relative to the destination, normalised, without `..`. */
  readonly path: string
  readonly content: Uint8Array
  readonly mode: number
}

export type CopySource =
  | { readonly kind: 'context'; readonly paths: readonly string[] }
  | { readonly kind: 'memory'; readonly files: readonly MemoryFile[] }
  | { readonly kind: 'image'; readonly base: Base; readonly paths: readonly string[] }

/** Permissions: 12 bits, or symbolic as chmod(1) has them (`u=rwX,go=rX`), checked. */
export type FileMode = number | string

/** What `copy` and `add` have in common. What is false or empty is absent. */
export interface CopySettings {
  /** Relative ones start at the working directory; one that ends in `/` is a directory. */
  readonly destination: string
  readonly chown?: string
  readonly chmod?: FileMode
  /** Patterns, as in a .dockerignore, of what is left out; relative to the source. */
  readonly exclude?: readonly string[]
  /** A layer of its own that depends on nothing below it: links at the destination are not followed. */
  readonly link?: true
}

/** `copy(source, destination, options)`. */
export interface CopyStep extends CopySettings {
  readonly kind: 'copy'
  readonly source: CopySource
  /** The directories of the source paths are kept; `/./` in a path says from where on. */
  readonly parents?: true
}

/** A Git repository: `url` is all of it as it was given, `remote` what git is asked, `ref` a branch, tag or commit, by default that of HEAD. */
export interface GitSource {
  readonly kind: 'git'
  readonly url: string
  readonly remote: string
  readonly ref?: string
  /** Normalised, without `..`. Absent: all of it. */
  readonly directory?: string
}

/** A path of the context, a URL or a repository: `add` treats them differently. */
export type AddSource = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'url'; readonly url: string } | GitSource

/** `add(sources, destination, options)`. */
export interface AddStep extends CopySettings {
  readonly kind: 'add'
  readonly sources: readonly AddSource[]
  /** Of the one URL. */
  readonly checksum?: Digest
  /** true: archives stay files; false: downloaded ones are unpacked, too. Absent: those of the context are unpacked. */
  readonly keepArchives?: boolean
  /** The `.git` of repositories is kept. */
  readonly keepGitDir?: true
}

/** `arg(variables)`: variables of later `run`s of this build, which are no part of the image. */
export interface ArgStep {
  readonly kind: 'arg'
  /** Default values; null for a variable that is only set when the build is given it. */
  readonly defaults: Readonly<Record<string, string | null>>
}

/** `onbuild(instruction)`: carried out by builds that start from this image. */
export interface OnBuildStep {
  readonly kind: 'onbuild'
  /** As in a Dockerfile: `RUN make`. */
  readonly instruction: string
}

/** `MAINTAINER` of a Dockerfile: the image's author. */
export interface MaintainerStep {
  readonly kind: 'maintainer'
  readonly author: string
}

/** An instruction of a Dockerfile with variables that only the build knows: it is understood when their stage is there. */
export interface LateStep {
  readonly kind: 'late'
  /** The instruction on one line. */
  readonly text: string
  readonly heredocs?: readonly Heredoc[]
  readonly escaper: Escape
  /** Where it stands in its Dockerfile, counted from 1. */
  readonly line: number
  readonly column: number
  /** What its `--from` and `from=` name. */
  readonly bases?: Readonly<Record<string, Base>>
}

export interface WorkdirStep {
  readonly kind: 'workdir'
  readonly path: string
}

export interface EnvStep {
  readonly kind: 'env'
  readonly variables: Readonly<Record<string, string>>
}

export interface UserStep {
  readonly kind: 'user'
  readonly user: string
}

export interface LabelStep {
  readonly kind: 'label'
  readonly labels: Readonly<Record<string, string>>
}

export interface ExposeStep {
  readonly kind: 'expose'
  /** `8080/tcp`. */
  readonly ports: readonly string[]
}

export interface VolumeStep {
  readonly kind: 'volume'
  readonly paths: readonly string[]
}

export interface EntrypointStep {
  readonly kind: 'entrypoint'
  /** A string goes to the image's shell; an empty argv takes the entrypoint away. */
  readonly command: string | readonly string[]
}

export interface CmdStep {
  readonly kind: 'cmd'
  readonly command: string | readonly string[]
}

export interface StopSignalStep {
  readonly kind: 'stopSignal'
  readonly signal: string
}

export interface ShellStep {
  readonly kind: 'shell'
  readonly argv: readonly string[]
}

export interface HealthcheckStep {
  readonly kind: 'healthcheck'
  /** `['NONE']`, `['CMD', …]` or `['CMD-SHELL', text]`, as the image config has it. */
  readonly test: readonly string[]
  /** Milliseconds. */
  readonly interval?: number
  readonly timeout?: number
  readonly startPeriod?: number
  readonly startInterval?: number
  readonly retries?: number
}

/** One verb of a build, normalised: immutable plain data, the same for the same meaning. */
export type Step =
  | FromStep
  | RunStep
  | CopyStep
  | AddStep
  | ArgStep
  | OnBuildStep
  | MaintainerStep
  | LateStep
  | WorkdirStep
  | EnvStep
  | UserStep
  | LabelStep
  | ExposeStep
  | VolumeStep
  | EntrypointStep
  | CmdStep
  | StopSignalStep
  | ShellStep
  | HealthcheckStep

/** A step that changes nothing but the config: it makes no layer. */
export type ConfigStep = Exclude<Step, FromStep | RunStep | CopyStep | AddStep | WorkdirStep | ArgStep | MaintainerStep | LateStep>
