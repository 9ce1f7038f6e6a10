import type { ImageData } from '../images/index.ts'

/** What a stage starts from. Paths are absolute. */
export type Base =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'host' }
  | { readonly kind: 'reference'; readonly reference: string }
  | { readonly kind: 'layout'; readonly path: string; readonly tag?: string }
  | { readonly kind: 'archive'; readonly format: 'oci' | 'docker'; readonly path: string; readonly tag?: string }
  | { readonly kind: 'rootfs'; readonly path: string }
  | { readonly kind: 'image'; readonly image: ImageData }
  | { readonly kind: 'steps'; readonly steps: readonly Step[] }

/** `from(base)`: always the first step. */
export interface FromStep {
  readonly kind: 'from'
  readonly base: Base
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

/** `copy(source, destination, options)`. */
export interface CopyStep {
  readonly kind: 'copy'
  readonly source: CopySource
  /** Relative ones start at the working directory; one that ends in `/` is a directory. */
  readonly destination: string
  readonly chown?: string
  readonly chmod?: number
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
  readonly retries?: number
}

/** One verb of a build, normalised: immutable plain data, the same for the same meaning. */
export type Step =
  | FromStep
  | RunStep
  | CopyStep
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
export type ConfigStep = Exclude<Step, FromStep | RunStep | CopyStep | WorkdirStep>
