import type { ImageData } from '../images/index.ts'
import type { StoredLayer } from '../layers/index.ts'
import type { UnpackOptions } from '../registry/index.ts'
import type { MountSpec } from '../rootfs/index.ts'
import type { Digest, Store } from '../store/index.ts'
import type { Agent } from '../zygote/index.ts'
import type { BuildNetwork } from './step.ts'

/** A command of a build step, all settled: shell, environment, directory and user are what the process gets. */
export interface BuildCommand {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Looked up in the image that is built: `name`, `uid`, `name:group`, `uid:gid`; empty for root. */
  readonly user: string
  readonly network: BuildNetwork
  readonly userns?: 'private' | 'shared' | undefined
  /** Milliseconds. */
  readonly timeout?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Mounts of its own. Default none. */
  readonly mounts?: readonly MountSpec[] | undefined
  /** A directory of the zygote that lies over the layers, with the mount points that they lack. */
  readonly points?: string | undefined
  readonly onOutput?: ((stream: 'stdout' | 'stderr', data: Uint8Array) => void) | undefined
}

export interface BuildCommandResult {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly oomKilled?: boolean
}

/** A fresh upper over some snapshots, in the making. Exactly one of `commit` and `discard` ends it. */
export interface BuildLayer {
  readonly id: string
  /** A directory that goes with this layer, on the host and as the zygote sees it; made by whoever needs it. */
  readonly directory: { readonly path: string; readonly zygotePath: string }
  /** An agent whose root is the merged view of lowers and upper, with nothing else mounted in it. Closed by `commit` and `discard`. */
  agent(): Promise<Agent>
  /** Runs a command in a container on this layer, to its end and that of everything it started. Resolves whatever the exit code. */
  run(command: BuildCommand): Promise<BuildCommandResult>
  /** Turns the upper into a layer: a blob of the store, then, the directory itself, the snapshot of the new chainID. Mount points that the runtime made for itself are not in it. */
  commit(): Promise<Pick<StoredLayer, 'descriptor' | 'diffId'>>
  /** Removes all of it. Does nothing after `commit` or another `discard`. */
  discard(): Promise<void>
}

/** What a build needs of the rooms below it: containers, and the unpacking of layers. */
export interface BuildRuntime {
  readonly store: Store
  /** False where only one id is mapped, so that files cannot be given to another. */
  readonly canChown: boolean
  /** Makes sure that every layer of `image` is unpacked in `snapshots/`; with `ready`, beside its download. */
  unpack(image: Pick<ImageData, 'layers'>, options?: UnpackOptions): Promise<void>
  /** An agent whose root is a directory of the store, as the zygote sees it (`/store/…`). */
  agentFor(path: string): Promise<Agent>
  /** Where the snapshots `chain`, the bottom one first, lie for the zygote, the top one first. */
  layerPaths(chain: readonly Digest[]): readonly string[]
  /** Resolves when what finished layers needed has been removed. */
  settle(): Promise<void>
  /** A fresh upper over the snapshots `lowers`, the bottom one first; none for an empty root. */
  openLayer(
    lowers: readonly Digest[],
    options?: { readonly signal?: AbortSignal | undefined; readonly scaffold?: boolean | undefined },
  ): Promise<BuildLayer>
}
