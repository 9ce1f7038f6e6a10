import type { Cgroup } from '../cgroups/index.ts'
import { StrakeError } from '../errors/index.ts'
import { ensureSnapshots, type ImageData } from '../images/index.ts'
import type { SnapshotOptions } from '../layers/index.ts'
import { type CommandSpec, type ContainerSpec, planOf, preparedProgram } from '../process/index.ts'
import type { Digest } from '../store/index.ts'
import type { Program } from '../sys/index.ts'
import type { Child, ChildExit, Zygote } from '../zygote/index.ts'
import { type ContainerDirectory, partsOf } from './directory.ts'
import { type Joins, openJoins } from './joins.ts'
import { checkMapped } from './mapped.ts'
import type { ContainerOptions } from './options.ts'
import { type Launched, type Settled, type Stdio, usageOf } from './process.ts'
import type { Runtime } from './runtime.ts'
import { checkHostname, commandSpec, containerSpec, limit, limitsIn, limitsOf, usersOf } from './settings.ts'
import { type MakeSpec, type ReadyProgram, sparesOf, templateKey } from './templates.ts'
import { userOfImage } from './user.ts'

/** What a container needs of an image. */
export type ImageSource = Pick<ImageData, 'layers' | 'config'>

/** How many containers the zygote keeps half made, so that a start finds one. */
const spareCount = 3

/** The snapshots of an image as the zygote sees them, the top one first; unpacked when they are not there yet. */
export async function layersOf(
  runtime: Runtime,
  image: Pick<ImageSource, 'layers'>,
  signal?: AbortSignal,
  options: SnapshotOptions = {},
): Promise<readonly string[]> {
  if (!runtime.hasUnpacked(image.layers)) {
    const { ids } = await runtime.zygote()
    await ensureSnapshots(runtime.store, image, (path) => runtime.agentFor(path), {
      ...options,
      ownership: ids.kind !== 'single',
      ids,
      signal,
    })
    runtime.noteUnpacked(image.layers)
  }
  return layerPaths(image.layers.map(({ chainId }) => chainId))
}

/** ChainIDs, the bottom one first, as paths of the zygote, the top one first. */
export function layerPaths(chain: readonly Digest[]): readonly string[] {
  return chain.map((chainId) => `/store/snapshots/${chainId.slice(chainId.indexOf(':') + 1)}`).reverse()
}

export interface RunningContainer {
  readonly child: Child
  readonly zygote: Zygote
  readonly directory: ContainerDirectory
  readonly cgroup: Cgroup | undefined
  readonly spec: ContainerSpec
  /** What it was asked to be: a command that comes later has the same user and variables unless told. */
  readonly options: ContainerOptions
}

export interface ContainerRequest {
  readonly image: ImageSource
  readonly argv: readonly string[]
  readonly options: ContainerOptions
  readonly directory: ContainerDirectory
  /** Paths of the zygote, the top one first; the image's when left out. */
  readonly layers?: readonly string[]
  /** See ContainerSpec. */
  readonly work?: string
  readonly mounts?: ContainerSpec['mounts']
  /** A command of a build: /etc/hostname is the image's own, and the files that are mounted over those of /etc are read-only, as in BuildKit. */
  readonly isBuild?: boolean
  readonly fault?: { readonly index: number; readonly errno: number } | undefined
}

interface SpecParts {
  readonly zygote: Zygote
  /** The same for each container of the same request but for its names. */
  readonly makeSpec: MakeSpec
  /** Whether a namespace of its own makes it different from all others. */
  readonly isSingular: boolean
}

/** What a spec is made of: all that is asked of the image and this machine is asked here. */
async function specParts(
  runtime: Runtime,
  request: ContainerRequest,
  limited: { cgroups: number; rlimits: CommandSpec['rlimits']; processes?: number | undefined },
  signal?: AbortSignal,
): Promise<SpecParts> {
  const { image, options } = request
  const zygote = await runtime.zygote()
  const layers = request.layers ?? (await layersOf(runtime, image, signal))
  const looked = userOfImage(zygote, layers, options.user ?? image.config.User)
  const user = looked instanceof Promise ? await looked : looked
  checkMapped(user, zygote.ids)
  const users = usersOf(options.userns, zygote.ids, limited.processes)
  const makeSpec = (directory: ContainerDirectory): ContainerSpec => {
    const hostname = checkHostname(options.hostname ?? partsOf(directory).short)
    const spec = containerSpec(options, {
      zygotePath: directory.zygotePath,
      layers,
      hostname,
      volatile: true,
      ids: zygote.ids.kind,
      users,
      cgroups: limited.cgroups,
      command: commandSpec(request.argv, options, { config: image.config, user, hostname, ...limitsIn(users, limited) }),
      work: request.work,
      mounts: request.mounts,
      config: image.config,
    })
    return request.isBuild ? { ...spec, files: { ...spec.files, hostname: undefined, areReadonly: true } } : spec
  }
  return { zygote, makeSpec, isSingular: users !== undefined }
}

interface Ready {
  readonly zygote: Zygote
  readonly program: ReadyProgram | Program
  spec(): ContainerSpec
}

/** The program of a container: as one like it had before, else made anew. */
function readyFor(
  runtime: Runtime,
  request: ContainerRequest,
  given: readonly string[],
  limited: { cgroups: number; rlimits: CommandSpec['rlimits']; processes?: number | undefined },
  signal?: AbortSignal,
): Ready | Promise<Ready> {
  const { image, directory } = request
  const key = templateKey(request, given, limited)
  const zygote = runtime.openZygote
  if (key !== undefined && zygote && runtime.hasUnpacked(image.layers)) {
    const program = runtime.templates.find(zygote, image, key, directory)
    if (program) return { zygote, program, spec: () => program.spec() }
  }
  return (async () => {
    const parts = await specParts(runtime, request, limited, signal)
    const spec = parts.makeSpec(directory)
    const { program } = planOf(spec)
    if (key !== undefined && !parts.isSingular) runtime.templates.note(parts.zygote, image, key, given, parts.makeSpec)
    return { zygote: parts.zygote, program, spec: () => spec }
  })()
}

/** Starts a container. What it took is given back by `settleContainer`, or here when it cannot start. */
export async function launchContainer(
  runtime: Runtime,
  request: ContainerRequest,
  stdio: Stdio,
  signal?: AbortSignal,
): Promise<RunningContainer> {
  const limits = limitsOf(request.options)
  const { cgroup, rlimits, processes } = limit(runtime.cgroups, request.directory.id.slice(0, 24), limits)
  let joins: Joins | undefined
  try {
    joins = openJoins(cgroup?.joinPaths ?? [])
    const { fds, close } = joins
    const announced = request.layers === undefined ? runtime.uses.begin(request.directory.name, request.image) : undefined
    if (announced) await announced
    const all = { ...stdio.fds, ...fds }
    const limited = { cgroups: Object.keys(fds).length, rlimits, processes }
    const found = readyFor(runtime, request, Object.keys(all), limited, signal)
    const ready = found instanceof Promise ? await found : found
    const mounted = runtime.uses.mounted(request.directory.name)
    if (mounted) await mounted
    const { zygote } = ready
    if (signal?.aborted) throw new StrakeError('aborted', 'The start was aborted.', { cause: signal.reason })
    const child = zygote.agent.start(ready.program, all, {
      runsInit: true,
      fault: request.fault,
      onSent: () => {
        stdio.onSent()
        close()
      },
    })
    keepSpares(runtime, zygote, ready)
    return {
      child,
      zygote,
      directory: request.directory,
      cgroup,
      options: request.options,
      get spec() {
        return ready.spec()
      },
    }
  } catch (error) {
    joins?.close()
    await cgroup?.remove()
    throw error
  }
}

/** A namespace with an owner of its own is made from the start: no spare fits, and those that others find are left as they are. */
function keepSpares(runtime: Runtime, zygote: Zygote, { program, spec }: Ready): void {
  const kind = 'bytes' in program ? program.spares : sparesOf(spec())
  if (kind !== undefined) runtime.keepSpares(zygote, kind, () => preparedProgram(spec()), spareCount)
}

/** The command of a container, as a Process has it. */
export function launchedOf(running: RunningContainer, destroy: () => void): Launched {
  return {
    child: running.child,
    destroy,
    where: () => ({ cwd: running.spec.command.cwd, place: 'container' }),
    settle: (exit) => settleContainer(running, exit),
  }
}

/** What a container used, once it has ended; its cgroup goes. */
export async function settleContainer(running: RunningContainer, exit: ChildExit): Promise<Settled> {
  const usage = usageOf(exit)
  const { cgroup } = running
  if (!cgroup) return { oomKilled: false, usage }
  const used = cgroup.usage()
  await cgroup.remove()
  return {
    oomKilled: used.oomKills > 0,
    usage: {
      userMs: used.userMicros === undefined ? usage.userMs : used.userMicros / 1000,
      systemMs: used.systemMicros === undefined ? usage.systemMs : used.systemMicros / 1000,
      peakMemory: used.peakMemory ?? usage.peakMemory,
    },
  }
}
