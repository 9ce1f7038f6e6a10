import { isRecord, StrakeError } from '../errors/index.ts'
import type { ImageData } from '../images/index.ts'
import { chainId, defaultLimits, diffLayer, type SnapshotOptions, sourceDateEpoch } from '../layers/index.ts'
import { freshUpper, overlayOps } from '../rootfs/index.ts'
import type { Descriptor, Digest } from '../store/index.ts'
import { layout, type Op } from '../sys/index.ts'
import { type Agent, confined } from '../zygote/index.ts'
import type { ContainerDirectory } from './directory.ts'
import { type ContainerRequest, launchContainer, launchedOf, layerPaths, layersOf } from './launch.ts'
import type { ContainerOptions } from './options.ts'
import { type Launched, Process, type ProcessResult, type Stdio } from './process.ts'
import { type Runtime, type UnpackedLayer, unpackedKey } from './runtime.ts'

/** A command of a build step, all settled. */
export interface LayerCommand {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly user: string
  readonly network: 'none' | 'host'
  readonly userns?: 'private' | 'shared' | undefined
  readonly timeout?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Mounts of its own. Default none. */
  readonly mounts?: ContainerRequest['mounts']
  /** A directory of the zygote that lies over the layers, with the mount points that they lack. */
  readonly points?: string | undefined
  readonly onOutput?: ((stream: 'stdout' | 'stderr', data: Uint8Array) => void) | undefined
}

export interface MadeLayer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
  readonly chainId: Digest
}

interface CommitOptions {
  /** Times later than this one become this one; in seconds since 1970. */
  readonly clampTime: number | undefined
  /** Whether the upper stays where it is. Default false. */
  readonly keeps?: boolean
}

/** A directory so deep that the kernel takes its path in no call, as a process can make one step by step: no layer can hold it. */
function tooDeep(error: unknown): unknown {
  const { errno, arguments: asked } = (error instanceof StrakeError && error.details) || {}
  if (errno !== 'ENAMETOOLONG' || !isRecord(asked)) return error
  const path = String(asked.path)
  const maximum = defaultLimits.pathBytes
  return new StrakeError('limit_exceeded', `${path.slice(0, 100)}… is too deep for a layer: its path has more than ${maximum} bytes`, {
    hint: 'remove it, or make it less deep: Linux takes no longer path in one call (PATH_MAX)',
    cause: error,
    details: { limit: 'pathBytes', maximum, path: path.slice(0, 200) },
  })
}

/** Packs an upper into a blob and makes the directory itself the snapshot: nothing is unpacked again. */
export async function commitUpper(
  runtime: Runtime,
  directory: ContainerDirectory,
  below: Digest | undefined,
  { clampTime, keeps = false }: CommitOptions,
): Promise<MadeLayer> {
  const { ids } = await runtime.zygote()
  const agent = await runtime.agentFor(`${directory.zygotePath}/upper`)
  let layer: Awaited<ReturnType<typeof diffLayer>>
  try {
    layer = await diffLayer(runtime.store, agent, { ownership: ids.kind !== 'single', clampTime })
  } catch (error) {
    throw tooDeep(error)
  } finally {
    await agent.close()
  }
  const chain = chainId(below, layer.diffId)
  // Where the layer has other times than the upper, the snapshot is to be unpacked from it.
  if (!keeps && clampTime === undefined) await runtime.adopt({ chainId: chain, digest: layer.descriptor.digest }, directory)
  return { descriptor: layer.descriptor, diffId: layer.diffId, chainId: chain }
}

interface LayerOptions {
  /** false: to read what is in the layers, and no mount points of ours. Default true. */
  readonly scaffold?: boolean | undefined
  /** Told of the removal of what a committed layer needed: nobody else waits for it. */
  readonly onRemoving?: ((removal: Promise<void>) => void) | undefined
  /** Told of the snapshot that the layer has become. */
  readonly onSnapshot?: ((layer: UnpackedLayer) => void) | undefined
}

/** A fresh upper over some snapshots, in the making. Exactly one of `commit` and `discard` ends it. */
export class LayerInProgress {
  readonly id: string
  readonly #runtime: Runtime
  readonly #directory: ContainerDirectory
  readonly #lowers: readonly Digest[]
  readonly #hasScaffold: boolean
  readonly #options: LayerOptions
  #agent: Promise<Agent> | undefined
  #mounts = 0
  #isOver = false

  constructor(runtime: Runtime, lowers: readonly Digest[], options: LayerOptions = {}) {
    this.#options = options
    this.#hasScaffold = options.scaffold !== false
    this.#runtime = runtime
    this.#lowers = lowers
    this.#directory = runtime.newDirectory()
    this.id = this.#directory.id
  }

  /** The directory that goes with this layer, on the host and as the zygote sees it: for what its commands need. */
  get directory(): Pick<ContainerDirectory, 'path' | 'zygotePath'> {
    return this.#directory
  }

  /** `volatile` marks a work directory as used: each mount of the upper gets one of its own. */
  #nextDirectory(): ContainerDirectory {
    this.#mounts += 1
    return { ...this.#directory }
  }

  /** An agent whose root is the merged view, with nothing else mounted in it. Closed by `commit` and `discard`. */
  agent(): Promise<Agent> {
    this.#agent ??= this.#openAgent()
    return this.#agent
  }

  async #openAgent(): Promise<Agent> {
    const { zygotePath } = this.#nextDirectory()
    const { upper, ops } = freshUpper(zygotePath)
    const work = `${zygotePath}/work${this.#mounts}`
    const layers = layerPaths(this.#lowers)
    // An overlay has one lower at least.
    const lowers = layers.length === 0 && !this.#hasScaffold ? [layout.empty] : layers
    const mounts: Op[] = [
      ...ops,
      { op: 'mkdir', path: work, mode: 0o700 },
      ...overlayOps({ lowers, upper, work, volatile: true, scaffold: this.#hasScaffold && layout.buildScaffold }),
    ]
    return confined(await this.#runtime.zygote(), mounts)
  }

  /** Runs a command to its end and that of everything it started. Resolves whatever the exit code. */
  async run(command: LayerCommand): Promise<ProcessResult> {
    await this.#closeAgent()
    const runtime = this.#runtime
    const directory = this.#nextDirectory()
    const options: ContainerOptions = {
      env: command.env,
      cwd: command.cwd,
      user: command.user === '' ? undefined : command.user,
      network: command.network,
      userns: command.userns,
      timeout: command.timeout,
      signal: command.signal,
      hostname: 'buildkitsandbox',
    }
    const launch = async (stdio: Stdio, signal: AbortSignal | undefined): Promise<Launched> => {
      const made = await launchContainer(
        runtime,
        {
          image: { layers: [], config: {} },
          argv: command.argv,
          options,
          directory,
          layers: command.points === undefined ? layerPaths(this.#lowers) : [command.points, ...layerPaths(this.#lowers)],
          mounts: command.mounts,
          work: `work${this.#mounts}`,
          isBuild: true,
        },
        stdio,
        signal,
      )
      return launchedOf(made, () => made.child.kill(9))
    }
    const process = new Process(command.argv, { ...options, check: false, encoding: 'utf8' }, launch)
    if (command.onOutput) process.tap(command.onOutput)
    return process
  }

  /** Turns the upper into a layer: a blob, and a snapshot. */
  async commit(): Promise<MadeLayer> {
    this.#assertOpen()
    try {
      if (this.#mounts === 0) await this.agent()
      await this.#closeAgent()
      const made = await commitUpper(this.#runtime, this.#directory, this.#lowers.at(-1), { clampTime: sourceDateEpoch() })
      const layer = { chainId: made.chainId, digest: made.descriptor.digest }
      if (this.#runtime.hasUnpacked([layer])) this.#options.onSnapshot?.(layer)
      return made
    } finally {
      this.#isOver = true
      const removal = this.#runtime.remove(this.#directory)
      this.#options.onRemoving?.(removal)
    }
  }

  /** Removes all of it. Does nothing after `commit` or another `discard`. */
  async discard(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    await this.#closeAgent()
    await this.#runtime.remove(this.#directory)
  }

  async #closeAgent(): Promise<void> {
    const agent = this.#agent
    this.#agent = undefined
    await (await agent?.catch(() => undefined))?.close()
  }

  #assertOpen(): void {
    if (this.#isOver) throw new StrakeError('invalid_argument', 'The layer was committed or discarded already.')
  }
}

/** What a build needs of containers and layers (lib/build/runtime.ts). */
export async function buildRuntime(runtime: Runtime): Promise<{
  readonly store: Runtime['store']
  readonly canChown: boolean
  unpack(image: Pick<ImageData, 'layers'>, options?: SnapshotOptions): Promise<void>
  openLayer(lowers: readonly Digest[], options?: { readonly scaffold?: boolean | undefined }): Promise<LayerInProgress>
  agentFor(path: string): Promise<Agent>
  layerPaths(chain: readonly Digest[]): readonly string[]
  settle(): Promise<void>
}> {
  const { ids } = await runtime.zygote()
  const removals = new Set<Promise<void>>()
  const onRemoving = (removal: Promise<void>): void => {
    removals.add(removal)
    void removal.then(() => removals.delete(removal))
  }
  // A build holds what it looks for: what it has seen stays. What was seen by others may be gone.
  const seen = new Set<string>()
  const onSnapshot = (layer: UnpackedLayer): void => {
    seen.add(unpackedKey(layer))
  }
  return {
    store: runtime.store,
    canChown: ids.kind !== 'single',
    unpack: async (image, options) => {
      if (image.layers.every((layer) => seen.has(unpackedKey(layer)))) return
      runtime.forgetUnpacked()
      await layersOf(runtime, image, options?.signal, options)
      for (const layer of image.layers) onSnapshot(layer)
    },
    openLayer: async (lowers, options) => new LayerInProgress(runtime, lowers, { ...options, onRemoving, onSnapshot }),
    agentFor: (path) => runtime.agentFor(path),
    layerPaths,
    settle: async () => {
      await Promise.all(removals)
    },
  }
}
