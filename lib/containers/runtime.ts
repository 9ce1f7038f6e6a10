import { statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { type Cgroups, openCgroups } from '../cgroups/index.ts'
import { Snapshots } from '../layers/index.ts'
import { currentOwner, type Digest, defaultRoot, isAlive, ownerIn, Store } from '../store/index.ts'
import { decodeRecords, flags, type Op, type Program } from '../sys/index.ts'
import { type Agent, closeZygote, confined, type Zygote, zygoteOf } from '../zygote/index.ts'
import { type ContainerDirectory, directoryNamed, newDirectory } from './directory.ts'
import { Templates } from './templates.ts'
import { ImageUses } from './uses.ts'

/** Milliseconds from the end of a throw-away container to the removal of its directory, at most. */
const removedAfter = 5
const removalAttempts = 3
/** Milliseconds between looks for what others left, while containers come and go. */
const sweptEvery = 5000
/** Milliseconds from the end of a worker thread to such a look. */
const sweptAfter = 300

/** A layer, and the blob that was looked at: another one that claims to be the same layer may be anything. */
export interface UnpackedLayer {
  readonly chainId: Digest
  readonly digest: Digest
}

export function unpackedKey({ chainId, digest }: UnpackedLayer): string {
  return `${chainId} ${digest}`
}

/** What all containers of one store share in this thread: the store, its zygote, cgroups, and who removes what is left. */
export class Runtime {
  readonly store: Store
  readonly snapshots: Snapshots
  readonly cgroups: Cgroups
  readonly templates: Templates
  readonly uses: ImageUses
  #janitor: { readonly zygote: Zygote; readonly agent: Promise<Agent> } | undefined
  #zygote: Zygote | undefined
  readonly #doomed: { name: string; done: () => void }[] = []
  #isRemoving = false
  #removal: Promise<void> = Promise.resolve()
  #removalTimer: NodeJS.Timeout | undefined
  readonly #unpacked = new Set<string>()
  #nextSweep = performance.now() + sweptEvery
  #spares: { readonly zygote: Zygote; readonly kind: string } | undefined

  private constructor(store: Store, cgroups: Cgroups) {
    this.store = store
    this.snapshots = new Snapshots(store)
    this.cgroups = cgroups
    this.templates = new Templates(store)
    this.uses = new ImageUses(store, () => this.forgetUnpacked())
  }

  static async open(root: string): Promise<Runtime> {
    const [store, cgroups] = await Promise.all([Store.open(root), openCgroups()])
    const runtime = new Runtime(store, cgroups)
    await runtime.#sweep()
    return runtime
  }

  /** The zygote, if there is one. */
  get openZygote(): Zygote | undefined {
    return this.#zygote?.agent.isOpen ? this.#zygote : undefined
  }

  /** The zygote, made when there is none. Rejects as `zygoteOf` does. */
  async zygote(): Promise<Zygote> {
    if (this.#zygote?.agent.isOpen) return this.#zygote
    this.#zygote = await zygoteOf(this.store.root)
    return this.#zygote
  }

  /** Whether these layers were seen unpacked: asking the file system at each start would cost more than the start. */
  hasUnpacked(layers: readonly UnpackedLayer[]): boolean {
    return layers.every((layer) => this.#unpacked.has(unpackedKey(layer)))
  }

  noteUnpacked(layers: readonly UnpackedLayer[]): void {
    for (const layer of layers) this.#unpacked.add(unpackedKey(layer))
  }

  /** What was seen unpacked may have been removed by another process. */
  forgetUnpacked(): void {
    this.#unpacked.clear()
  }

  /** Has the zygote keep children that have carried out these prepared ops. One kind at a time: that of the latest few starts. */
  keepSpares(zygote: Zygote, kind: string, program: () => Program, count: number): void {
    if (this.#spares?.zygote === zygote && this.#spares.kind === kind) return
    this.#spares = { zygote, kind }
    zygote.agent.keepSpares(program(), count)
  }

  /**
   * Makes a container's upper the snapshot of a layer, unless there is one already. By the zygote: an upper whose root directory was given to
   * another id is not the caller's to move (rename(2) rewrites its `..`).
   */
  async adopt({ chainId, digest }: UnpackedLayer, directory: ContainerDirectory): Promise<void> {
    const { agent } = await this.zygote()
    const path = this.snapshots.agentPath(chainId)
    const rename: Op = {
      op: 'rename',
      from: `${directory.zygotePath}/upper`,
      path,
      flags: flags.RENAME.RENAME_NOREPLACE,
      tolerate: ['EEXIST', 'ENOTEMPTY'],
    }
    await this.snapshots.name(chainId, () => agent.run([rename]))
    this.noteUnpacked([{ chainId, digest }])
  }

  newDirectory(): ContainerDirectory {
    return newDirectory(this.store)
  }

  /** An agent whose root is a directory of the store, as the zygote sees it (`/store/…`). */
  async agentFor(path: string): Promise<Agent> {
    return confined(await this.zygote(), path)
  }

  /** Removes a container's directory, whoever its files belong to. Resolves when it is gone; never rejects. */
  remove(directory: ContainerDirectory): Promise<void> {
    this.uses.end(directory.name)
    return new Promise((done) => {
      this.#doomed.push({ name: directory.name, done })
      this.#startRemoval()
    })
  }

  #startRemoval(): void {
    if (!this.#isRemoving) this.#removal = this.#removeAll()
  }

  /** As `remove`, a few milliseconds later and together with others: the fewer words with the remover, the better for short commands. */
  removeSoon(directory: ContainerDirectory): void {
    this.uses.end(directory.name)
    this.#doomed.push({ name: directory.name, done: () => undefined })
    this.#removalTimer ??= setTimeout(() => {
      this.#removalTimer = undefined
      this.#startRemoval()
    }, removedAfter)
  }

  async #removeAll(): Promise<void> {
    this.#isRemoving = true
    try {
      while (this.#doomed.length > 0) {
        const batch = this.#doomed.splice(0, 50)
        await this.#removeBatch(batch.map(({ name }) => name))
        for (const { done } of batch) done()
      }
    } finally {
      this.#isRemoving = false
    }
    this.#sweepAgain()
  }

  async #removeBatch(names: readonly string[]): Promise<void> {
    try {
      const janitor = await this.#janitorAgent()
      await janitor.run(names.map((name): Op => ({ op: 'removeTree', path: `/${name}` })))
    } catch {
      // One that cannot be removed must not keep the others, nor a lost janitor those to come.
      this.#janitor = undefined
      for (const name of names) await this.#removeOne(name)
    }
  }

  async #removeOne(name: string): Promise<void> {
    for (let attempt = 1; attempt <= removalAttempts; attempt += 1) {
      try {
        await (await this.#janitorAgent()).run([{ op: 'removeTree', path: `/${name}` }])
        return
      } catch {
        // A zygote that was killed is noticed a moment later; the next one makes a new janitor.
        this.#janitor = undefined
        await delay(attempt * 20)
      }
    }
    await rm(this.store.path('containers', name), { recursive: true, force: true }).catch(() => undefined)
  }

  /** One agent that sees the containers' directories and nothing else. It ends with its zygote. */
  async #janitorAgent(): Promise<Agent> {
    const zygote = await this.zygote()
    if (this.#janitor?.zygote !== zygote) this.#janitor = { zygote, agent: confined(zygote, '/store/containers') }
    return this.#janitor.agent
  }

  /** Removes everything in the store, by an agent to which all of it belongs, and ends the zygote. The runtime is of no use afterwards. */
  async destroy(): Promise<void> {
    runtimes.delete(this.store.root)
    believed = undefined
    // The remover must not be at work in the same directories.
    clearTimeout(this.#removalTimer)
    this.#removalTimer = undefined
    for (const { done } of this.#doomed.splice(0)) done()
    await this.#removal
    await this.#janitor?.agent.then((agent) => agent.close()).catch(() => undefined)
    this.#janitor = undefined
    const agent = await this.agentFor('/store')
    try {
      const [bytes] = (await agent.run([{ op: 'readDir', path: '/' }])).results
      const names = bytes instanceof Uint8Array ? decodeRecords(bytes).map(({ name }) => name) : []
      await agent.run(names.map((name): Op => ({ op: 'removeTree', path: Buffer.concat([Buffer.from('/'), name]) })))
    } finally {
      await agent.close()
      await closeZygote(this.store.root)
      this.uses.close()
      this.cgroups.close()
    }
  }

  /** As `#sweep`, when the last time was a while ago. */
  #sweepAgain(): void {
    const now = performance.now()
    if (now < this.#nextSweep) return
    this.#nextSweep = now + sweptEvery
    this.#sweep()
      .then(() => this.cgroups.sweep())
      .catch(() => undefined)
  }

  /** A worker thread of this process has ended: what it was killed with is swept once its zygote has gone. */
  workerEnded(): void {
    setTimeout(() => {
      this.#nextSweep = 0
      this.#sweepAgain()
    }, sweptAfter).unref()
  }

  /** Removes what processes and threads that were killed had left; waits for none of it. */
  async #sweep(): Promise<void> {
    const names = await readdir(this.store.path('containers'))
    for (const name of names) {
      const owner = ownerIn(name)
      if (owner !== undefined && owner !== currentOwner() && !isAlive(owner)) void this.remove(directoryNamed(this.store, '', name))
    }
  }
}

interface Known {
  readonly runtime: Promise<Runtime>
  /** Which directory it was opened on; undefined while it is being opened, `gone` if that was removed meanwhile. */
  identity?: string
}

const runtimes = new Map<string, Known>()
let mindsWorkers = false

/** Has the runtimes of this thread look after those of the workers that it starts. */
function mindWorkers(): void {
  if (mindsWorkers) return
  mindsWorkers = true
  process.on('worker', (worker: Worker) => {
    worker.once('exit', () => {
      for (const { runtime } of runtimes.values()) runtime.then((each) => each.workerEnded()).catch(() => undefined)
    })
  })
}

/** Milliseconds for which a store that was there is believed to be there still: somebody may have removed it with rm(1). */
const believedFor = 200
let believed: { readonly root: string; readonly until: number } | undefined

/** Another one whenever the store was removed and made anew: inodes are used again, and so their birth counts too. */
function identityOf(root: string): string | undefined {
  const found = statSync(join(root, 'content'), { throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}:${found.birthtimeMs}`
}

function isThere(root: string, { identity }: Known): boolean {
  const now = performance.now()
  if (identity === undefined || (believed?.root === root && now < believed.until)) return true
  const isSame = identityOf(root) === identity
  believed = isSame ? { root, until: now + believedFor } : undefined
  return isSame
}

/** The zygote of a store that is gone sees nothing but what is gone: its containers end, and another one comes. */
async function openAnew(root: string, wasOpen: boolean): Promise<Runtime> {
  if (wasOpen) await closeZygote(root)
  return await Runtime.open(root)
}

/** The runtime of `$STRAKE_ROOT` (read at each call), opened on first use. Rejects with `store_invalid`, `unsupported_platform`. */
export function currentRuntime(): Promise<Runtime> {
  const root = defaultRoot()
  const before = runtimes.get(root)
  if (before && isThere(root, before)) return before.runtime
  mindWorkers()
  const known: Known = { runtime: openAnew(root, before !== undefined) }
  runtimes.set(root, known)
  known.runtime.then(
    () => {
      known.identity = identityOf(root) ?? 'gone'
    },
    () => {
      if (runtimes.get(root) === known) runtimes.delete(root)
    },
  )
  return known.runtime
}
