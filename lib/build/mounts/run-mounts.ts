import { mkdir } from 'node:fs/promises'
import { posix } from 'node:path'
import { StrakeError } from '../../errors/index.ts'
import type { MountSpec } from '../../rootfs/index.ts'
import { openBase } from '../bases.ts'
import type { BuildContext } from '../context.ts'
import { planCopy } from '../copy.ts'
import { escapePattern } from '../files/pattern.ts'
import { openImage, openLayersOf } from '../image-source.ts'
import type { BindMount, CacheMount, RunMount, SecretMount, SshMount } from '../mount.ts'
import type { BuildLayer } from '../runtime.ts'
import { workdirOf } from '../settings.ts'
import { type Stage, snapshotsOf } from '../stage.ts'
import type { RunStep } from '../step.ts'
import { openAgentSocket } from './agent-socket.ts'
import { cacheName, type OpenCache, openCache, sharingOf } from './cache.ts'
import { type ContextLayer, contextLayer } from './context-layer.ts'
import { Mask } from './mask.ts'
import { kindAt, makePoints, missingPoints } from './points.ts'
import { mountsRefused } from './refused.ts'
import { valueOfSecret } from './secrets.ts'

/** Mounts that are ready for a command. */
export interface OpenMounts {
  readonly mounts: readonly MountSpec[]
  /** A directory of the zygote with the mount points that the image lacks; undefined when it lacks none. */
  readonly points: string | undefined
  /** Variables that come with them: secrets, SSH_AUTH_SOCK. */
  readonly env: Readonly<Record<string, string>>
  /** For what the command prints. */
  readonly mask: Mask
  /** To be called once the command has ended. */
  release(): Promise<void>
}

/** One mount, its target settled and its images known. */
interface Input {
  readonly mount: RunMount
  readonly target: string | undefined
  readonly from: Stage | undefined
  readonly context: ContextLayer | undefined
}

/** What comes together while mounts are made ready. */
interface Opening {
  readonly layer: BuildLayer
  readonly releases: (() => Promise<void>)[]
  readonly env: Record<string, string>
  /** Of the secrets. */
  readonly values: Buffer[]
  /** By their names: one that is mounted twice is taken once, or the step would wait for itself. */
  readonly caches: Map<string, OpenCache>
}

const agentVariable = 'SSH_AUTH_SOCK'

function missing(what: string, hint: string): StrakeError {
  return new StrakeError('build_failed', `run: ${what} is required, and nobody gives it`, { hint })
}

/** What a `run` mounts: what of it the outcome depends on, and then the mounts themselves. */
export class RunMounts implements AsyncDisposable {
  readonly #step: RunStep
  readonly #inputs: readonly Input[]
  readonly #context: BuildContext

  private constructor(step: RunStep, inputs: readonly Input[], context: BuildContext) {
    this.#step = step
    this.#inputs = inputs
    this.#context = context
  }

  /** Rejects as the bases that are mounted from. */
  static async prepare(step: RunStep, stage: Stage, context: BuildContext): Promise<RunMounts> {
    let agents = 0
    const inputs: Input[] = []
    for (const mount of step.mounts ?? []) {
      const named = mount.kind === 'ssh' ? (mount.target ?? `/run/buildkit/ssh_agent.${agents++}`) : mount.target
      const target = named && posix.resolve('/', workdirOf(stage.settings), named)
      const base = mount.kind === 'bind' || mount.kind === 'cache' ? mount.from : undefined
      const from = base && (await openBase(base, context))
      const isContext = mount.kind === 'bind' && from === undefined
      inputs.push({ mount, target, from, context: isContext ? await contextLayer(mount.source, stage.platform, context) : undefined })
    }
    return new RunMounts(step, inputs, context)
  }

  /** What the outcome of the command depends on, the quickest to know first. Values of secrets, and what caches hold, are no part of it. */
  async *keys(): AsyncGenerator<readonly unknown[] | undefined> {
    if (this.#inputs.length === 0) {
      yield undefined
      return
    }
    yield await Promise.all(this.#inputs.map((input) => this.#key(input, false)))
    if (this.#inputs.some(({ mount, from }) => mount.kind === 'bind' && from)) {
      const keys: unknown[] = []
      for (const input of this.#inputs) keys.push(await this.#key(input, true))
      yield keys
    }
  }

  async #key({ mount, target, from, context }: Input, byContent: boolean): Promise<unknown> {
    const { target: _, ...rest } = mount
    if (mount.kind === 'cache' || mount.kind === 'bind') {
      const { from: __, ...plain } = { from: undefined, ...rest }
      if (context) return { ...plain, target, context: await context.content() }
      if (from && mount.kind === 'bind' && byContent) return { ...plain, target, content: await this.#contentOf(mount, from) }
      return { ...plain, target, on: from ? (snapshotsOf(from).at(-1) ?? null) : null }
    }
    return { ...rest, target: target ?? null }
  }

  async #contentOf(mount: BindMount, from: Stage): Promise<string> {
    await using source = await openImage(from, this.#context)
    const request = { paths: [escapePattern(mount.source)], where: 'the image mounted from' }
    return (await planCopy(request, source, this.#context.options.signal)).content
  }

  /** Makes everything ready for a command on `layer`. Rejects with `build_failed`, `invalid_argument`, `context_invalid`, `aborted`. */
  async open(layer: BuildLayer): Promise<OpenMounts> {
    const releases: (() => Promise<void>)[] = []
    const release = async (): Promise<void> => {
      for (const each of releases.splice(0).reverse()) await each()
    }
    try {
      const opening: Opening = { layer, releases, env: {}, values: [], caches: new Map() }
      const mounts: MountSpec[] = []
      if (this.#inputs.length > 0) await mkdir(layer.directory.path, { recursive: true, mode: 0o700 })
      // In one order for everybody, so that no two wait for each other.
      const sorted = [...this.#inputs].sort((one, other) => (orderOf(one) < orderOf(other) ? -1 : 1))
      for (const [number, input] of sorted.entries()) {
        const made = await this.#make(input, number, opening)
        if (made) mounts.push(made)
      }
      const { env, values } = opening
      return { mounts, points: await this.#points(mounts, layer), env, mask: new Mask(values), release }
    } catch (error) {
      await release()
      throw mountsRefused(error)
    }
  }

  async #make({ mount, target, from, context }: Input, number: number, opening: Opening): Promise<MountSpec | undefined> {
    if (mount.kind === 'secret') return await this.#secret(mount, target, opening)
    if (target === undefined) return undefined
    switch (mount.kind) {
      case 'tmpfs':
        return { kind: 'tmpfs', target, bytes: mount.size }
      case 'cache': {
        const { source } = await this.#cache(mount, from, opening)
        return { kind: 'bind', target, source, isReadonly: mount.readOnly }
      }
      case 'bind': {
        const stage = from ?? (await context?.stage())
        return stage ? await this.#bind(mount, target, stage, `bind${number}`, opening.layer) : undefined
      }
      case 'ssh':
        return await this.#agent(mount, target, `ssh${number}`, opening)
    }
  }

  async #bind(mount: BindMount, target: string, stage: Stage, name: string, layer: BuildLayer): Promise<MountSpec> {
    const path = `/${mount.source === '.' ? '' : mount.source}`
    const view = await openLayersOf(stage, this.#context)
    let kind: 'file' | 'directory' | undefined
    try {
      kind = await kindAt(await view.agent(), path)
    } finally {
      await view.discard()
    }
    if (kind === undefined)
      throw new StrakeError('context_invalid', `what is mounted on ${target} has no ${JSON.stringify(mount.source)}`, {
        details: { path: mount.source },
      })
    const writes = mount.readWrite ? `${layer.directory.zygotePath}/${name}` : undefined
    if (writes !== undefined)
      for (const each of ['upper', 'work']) await mkdir(`${layer.directory.path}/${name}/${each}`, { recursive: true })
    const lowers = this.#context.runtime.layerPaths(snapshotsOf(stage))
    return { kind: 'layers', target, lowers, path, isFile: kind === 'file', isReadonly: !mount.readWrite, writes }
  }

  async #cache(mount: CacheMount, from: Stage | undefined, { caches, releases }: Opening): Promise<OpenCache> {
    const name = cacheName(mount, from)
    const known = caches.get(name)
    if (known) return known
    const same = this.#inputs.flatMap((each) =>
      each.mount.kind === 'cache' && cacheName(each.mount, each.from) === name ? [each.mount] : [],
    )
    const cache = await openCache(mount, from, sharingOf(same), this.#context)
    caches.set(name, cache)
    releases.push(cache.release)
    return cache
  }

  async #secret(mount: SecretMount, target: string | undefined, { env, values }: Opening): Promise<MountSpec | undefined> {
    const content = await valueOfSecret(mount.id, this.#step.secrets, this.#context.options.secrets)
    if (content === undefined) {
      if (mount.required) throw missing(`the secret ${JSON.stringify(mount.id)}`, 'run(…, { secrets }) or build({ secrets }) gives it')
      return undefined
    }
    values.push(content)
    if (mount.env !== undefined) {
      if (content.includes(0))
        throw new StrakeError('invalid_argument', `the secret ${JSON.stringify(mount.id)} cannot be a variable: it has a NUL in it`)
      env[mount.env] = content.toString()
    }
    const { mode } = mount
    // With a single id there is nobody to give it to.
    const { uid, gid } = this.#context.runtime.canChown ? mount : { uid: 0, gid: 0 }
    return target === undefined ? undefined : { kind: 'file', target, content, mode, uid, gid }
  }

  async #agent(mount: SshMount, target: string, name: string, { layer, releases, env }: Opening): Promise<MountSpec | undefined> {
    const { runtime, options } = this.#context
    const agent = options.ssh?.[mount.id] ?? (mount.id === 'default' ? process.env[agentVariable] : undefined)
    if (!agent) {
      if (mount.required) throw missing(`the SSH agent ${JSON.stringify(mount.id)}`, 'SSH_AUTH_SOCK or build({ ssh }) names its socket')
      return undefined
    }
    const { path, zygotePath } = layer.directory
    await mkdir(`${path}/${name}`, { mode: 0o700 })
    const socket = await openAgentSocket(agent, `${path}/${name}`, 'agent')
    releases.push(() => socket.close())
    await using owner = await runtime.agentFor(`${zygotePath}/${name}`)
    if (runtime.canChown) await owner.run([{ op: 'chown', path: '/agent', uid: mount.uid, gid: mount.gid }])
    await owner.run([{ op: 'chmod', path: '/agent', mode: mount.mode }])
    env[agentVariable] ??= target
    return { kind: 'bind', target, source: `${zygotePath}/${name}/agent`, isFile: true }
  }

  /** Mount points in what is mounted itself are made there. */
  async #points(mounts: readonly MountSpec[], layer: BuildLayer): Promise<string | undefined> {
    const targets = ['/dev', ...mounts.map(({ target }) => target)]
    const wanted = mounts
      .filter(({ target }) => !targets.some((each) => target.startsWith(`${each}/`)))
      .map((mount) => ({ target: mount.target, isFile: mount.kind === 'file' || ('isFile' in mount && mount.isFile === true) }))
    if (wanted.length === 0) return undefined
    const points = await missingPoints(await layer.agent(), wanted)
    if (points.length === 0) return undefined
    await mkdir(`${layer.directory.path}/points`, { mode: 0o755 })
    const path = `${layer.directory.zygotePath}/points`
    await using agent = await this.#context.runtime.agentFor(path)
    await makePoints(agent, points, this.#context.runtime.canChown)
    return path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { context } of this.#inputs) await context?.[Symbol.asyncDispose]()
  }
}

function orderOf({ mount, from }: Input): string {
  return mount.kind === 'cache' ? `${mount.kind} ${cacheName(mount, from)}` : 'id' in mount ? `${mount.kind} ${mount.id}` : mount.kind
}
