import { existsSync, rmSync } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import type { IdRange } from '../ids/index.ts'
import { type BlobFile, type Digest, failedWith, hexOf, type Store, snapshotKey, storeError, writing } from '../store/index.ts'
import { decodeRecords, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { contentOf, isKnownContent, noteContent } from './contents.ts'
import { chainIds } from './ids.ts'
import { type LayerLimits, withDefaults } from './limits.ts'
import { SnapshotView } from './lower.ts'
import { SyncLater } from './sync-later.ts'
import { aborted, checkDiffId, unpackLayer } from './unpack.ts'
import type { LayerNotice } from './unpacker.ts'

/** Where agents see the store's root. */
const storeInAgents = '/store'

/** Gives an agent that is confined to a directory, named as the zygote sees it: `/store/…`. The caller closes the agent. */
export type AgentFor = (path: string) => Promise<Agent>

/** A layer to be unpacked: where its bytes are, and what they must turn out to be. */
export interface LayerSource {
  readonly diffId: Digest
  /** Digest of the blob, compressed or not. */
  readonly digest: Digest
  readonly mediaType?: string | undefined
}

export interface SnapshotOptions {
  /** false where only one id is mapped. Default true. */
  readonly ownership?: boolean | undefined
  /** The ids that containers have, for what is said of a file of another one. */
  readonly ids?: Pick<IdRange, 'kind' | 'uidMap' | 'gidMap'> | undefined
  readonly limits?: Partial<LayerLimits> | undefined
  readonly signal?: AbortSignal | undefined
  /** Told of what is not unpacked as the layer has it, while a layer is unpacked; not of one that is there already. */
  readonly onNotice?: ((notice: LayerNotice) => void) | undefined
  /** Waited for before a layer is read: its blob may still be on its way, and is read as it comes where its file is given. */
  readonly ready?: ((layer: LayerSource) => Promise<BlobFile | undefined>) | undefined
  /** Called with each layer that is there, unpacked now or before. */
  readonly onLayer?: ((chainId: Digest, unpacked: boolean) => void) | undefined
}

/**
 * Unpacked layers, by chainID: one directory each, in overlayfs' form, never changed once it has its name. A layer is
 * unpacked beside it and renamed, under a lock of its own, so that several processes do the work once.
 */
export class Snapshots {
  readonly #store: Store
  readonly #syncLater: SyncLater
  #isReclaimed = false

  constructor(store: Store) {
    this.#store = store
    this.#syncLater = new SyncLater(store)
    if (store.unsynced.marks().length > 0) this.#syncLater.soon()
  }

  /** The directory as this process sees it. */
  path(chainId: Digest): string {
    return this.#store.path('snapshots', hexOf(chainId))
  }

  /** The directory as an agent with the store in its view sees it. */
  agentPath(chainId: Digest): string {
    return `${storeInAgents}/snapshots/${hexOf(chainId)}`
  }

  async has(chainId: Digest): Promise<boolean> {
    try {
      return (await stat(this.path(chainId))).isDirectory()
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return false
      throw error
    }
  }

  /**
   * Makes sure that every layer, the bottom one first, is unpacked, and that its blob holds what is unpacked: one that this store has not seen to hold it, of
   * a layer that is there by another blob, is read to its end once. Resolves to their chainIDs. Rejects as `unpackLayer` does, and with `store_full`.
   */
  async ensure(layers: readonly LayerSource[], agentFor: AgentFor, options: SnapshotOptions = {}): Promise<Digest[]> {
    const chain = chainIds(layers.map(({ diffId }) => diffId))
    using _ = this.#store.hold()
    await this.#store.note(...chain.map(snapshotKey))
    const agents = new AgentPool(agentFor)
    try {
      if ((await this.#missing(chain)) > 0) await this.reclaim(agentFor)
      for (const [index, layer] of layers.entries()) {
        const chainId = chain[index]
        if (chainId === undefined) continue
        const unpacked = !(await this.has(chainId)) && (await this.#unpackOnce(chainId, layer, chain.slice(0, index), agents, options))
        if (!unpacked) await this.#check(layer, options)
        options.onLayer?.(chainId, unpacked)
      }
    } finally {
      await agents.close()
    }
    return chain
  }

  async #missing(chain: readonly Digest[]): Promise<number> {
    return (await Promise.all(chain.map((each) => this.has(each)))).filter((has) => !has).length
  }

  async #unpackOnce(
    chainId: Digest,
    layer: LayerSource,
    lowers: readonly Digest[],
    agents: AgentPool,
    options: SnapshotOptions,
  ): Promise<boolean> {
    const file = await options.ready?.(layer)
    const unpack = async (): Promise<boolean> => {
      if (await this.has(chainId)) return false
      return await writing(() => this.#unpack(chainId, layer, file, lowers, agents, options))
    }
    // Nobody is to wait for what another process's network brings: a layer on its way is unpacked by each that fetches it.
    if (file && !file.isWhole) return await unpack()
    return await this.#store.withLock(`snapshot-${hexOf(chainId)}`, unpack, {
      signal: options.signal,
      timeout: 600_000,
      isTransient: true,
    })
  }

  /**
   * Looks at a layer whose chainID is there: what its image claims is no reason to believe that its blob is the same layer. Who pushes or saves the image would
   * pass something else on than what runs.
   */
  async #check(layer: LayerSource, options: SnapshotOptions): Promise<void> {
    if (await isKnownContent(this.#store, layer)) return
    const arriving = await options.ready?.(layer)
    // Of an image that was removed while its snapshots are in use there is nothing to be passed on.
    if (arriving === undefined && !(await this.#store.blobs.has(layer.digest))) return
    const file = arriving ?? (await this.#store.blobs.file(layer.digest))
    try {
      checkDiffId(await contentOf(file, withDefaults(options.limits), options.signal), layer.diffId)
    } catch (error) {
      throw options.signal?.aborted ? aborted(options.signal) : await reasonOf(error, file)
    }
    await noteContent(this.#store, layer)
  }

  async #unpack(
    chainId: Digest,
    layer: LayerSource,
    arriving: BlobFile | undefined,
    lowers: readonly Digest[],
    agents: AgentPool,
    options: SnapshotOptions,
  ): Promise<boolean> {
    const directory = this.#store.temporary('snapshots')
    try {
      await mkdir(directory, { mode: 0o700 })
      const file = arriving ?? (await this.#store.blobs.file(layer.digest))
      const target = await agents.get(`${storeInAgents}/snapshots/${basename(directory)}`)
      try {
        const view: Agent[] = []
        for (const lower of [...lowers].reverse()) view.push(await agents.get(this.agentPath(lower)))
        await unpackLayer(file, target, {
          ...options,
          diffId: layer.diffId,
          mediaType: layer.mediaType,
          lower: view.length === 0 ? undefined : new SnapshotView(view),
        })
        await noteContent(this.#store, layer)
      } catch (error) {
        await emptyRoot(target)
        throw await reasonOf(error, file)
      }
      const isOurs = await this.adopt(chainId, directory)
      if (!isOurs) await emptyRoot(target)
      return isOurs
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  /**
   * Removes the half-made snapshots of processes that are gone, where opening the store could not: they hold files of an ordinary user's
   * sub-ids. Done once, before the first layer is unpacked.
   */
  async reclaim(agentFor: AgentFor): Promise<void> {
    if (this.#isReclaimed) return
    this.#isReclaimed = true
    await this.sweep(agentFor)
  }

  /** Removes all that processes which are gone left half done in the store, whoever its files belong to. */
  async sweep(agentFor: AgentFor): Promise<void> {
    for (const path of await this.#store.sweep()) {
      const agent = await agentFor(`${storeInAgents}${path.slice(this.#store.root.length)}`)
      await emptyRoot(agent)
      await agent.close()
      await rm(path, { recursive: true, force: true })
    }
  }

  /**
   * Makes a finished directory of this store (a container's upper, say) the snapshot `chainId`. If there is one already, the
   * directory stays where it is and false comes back.
   */
  async adopt(chainId: Digest, directory: string): Promise<boolean> {
    try {
      await this.name(chainId, () => rename(directory, this.path(chainId)))
      return true
    } catch (error) {
      if (failedWith(error, 'ENOTEMPTY', 'EEXIST')) return false
      throw storeError(error)
    }
  }

  /** Has `rename` give a finished directory the name of `chainId`. It is synced some time later; until then it is marked as unsynced. */
  async name(chainId: Digest, rename: () => Promise<unknown>): Promise<void> {
    await this.#store.note(snapshotKey(chainId))
    this.#store.unsynced.add(chainId)
    this.#syncLater.soon()
    // What was measured of an earlier one, which somebody removed by hand or a loss of power took, is not what this one has to look like.
    if (!existsSync(this.path(chainId))) rmSync(this.#store.path('cache', 'snapshots', hexOf(chainId)), { force: true })
    await rename()
  }
}

/** What a layer that is still on its way is blamed for may be the fault of who sends it: then it is that which is told. */
async function reasonOf(error: unknown, file: BlobFile): Promise<unknown> {
  const isTheLayers =
    error instanceof StrakeError && ['layer_invalid', 'path_escapes', 'limit_exceeded', 'digest_mismatch'].includes(error.code)
  if (!isTheLayers) return error
  try {
    while (!file.isWhole) await file.more(file.written)
    return error
  } catch (reason) {
    return reason
  }
}

/** Removes what is in an agent's root directory: files of sub-ids are not the caller's to delete from outside. Never rejects. */
export async function emptyRoot(agent: Agent): Promise<void> {
  try {
    const { results } = await agent.run([{ op: 'readDir', path: '/' }])
    const bytes = results[0]
    const records = bytes instanceof Uint8Array ? decodeRecords(bytes) : []
    await agent.run(records.map(({ name }): Op => ({ op: 'removeTree', path: Buffer.concat([Buffer.from('/'), name]) })))
  } catch {
    // The agent may be gone: what is left is removed by the next sweep.
  }
}

/** Agents by the directory they are confined to, each made when it is first needed. */
class AgentPool {
  readonly #agentFor: AgentFor
  readonly #agents = new Map<string, Promise<Agent>>()

  constructor(agentFor: AgentFor) {
    this.#agentFor = agentFor
  }

  get(path: string): Promise<Agent> {
    const agent = this.#agents.get(path) ?? this.#agentFor(path)
    this.#agents.set(path, agent)
    return agent
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#agents.values()].map(async (agent) => (await agent).close()))
  }
}
