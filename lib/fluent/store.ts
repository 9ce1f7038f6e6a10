import { rm } from 'node:fs/promises'
import { currentRuntime, type Runtime } from '../containers/index.ts'
import {
  type Pruned,
  type PruneOptions,
  pruneStore,
  type StoreReport,
  type StoreUsage,
  storeUsage,
  type VerifyOptions,
  verifyStore,
} from '../images/index.ts'
import type { AgentFor } from '../layers/index.ts'
import { defaultRoot } from '../store/index.ts'

/** The runtime, holding of images only what containers run from now. */
async function opened(): Promise<{ readonly runtime: Runtime; readonly agentFor: AgentFor }> {
  const runtime = await currentRuntime()
  runtime.uses.trim()
  return { runtime, agentFor: (path) => runtime.agentFor(path) }
}

/** The store: `$STRAKE_ROOT`, read at each call. */
export const store = {
  /** Absolute path of the store's directory. */
  get root(): string {
    return defaultRoot()
  },
  /**
   * What is in the store, in bytes: images (each with what it shares), snapshots, containers, build cache, garbage; and how much of it could be
   * reclaimed. Rejects with `store_invalid`.
   */
  async usage(): Promise<StoreUsage> {
    const { runtime, agentFor } = await opened()
    return await storeUsage(runtime.store, agentFor)
  },
  /**
   * Reads the whole store and resolves to what is wrong with it: blobs whose bytes are not what their digest or size says, what is
   * missing, snapshots that were changed, and who uses them. `{ mend: true }` removes them.
   *
   * @example for (const { path, what, usedBy } of (await store.verify()).problems) console.log(what, path, usedBy.tags)
   */
  async verify(options: VerifyOptions = {}): Promise<StoreReport> {
    const { runtime, agentFor } = await opened()
    return await verifyStore(runtime.store, agentFor, options)
  },
  /**
   * Removes what nothing needs: blobs and snapshots to which no name, container or build cache leads. Safe at any time, beside whatever other processes
   * do. `images` and `cache` have it remove these first. Rejects with `store_invalid`, `store_busy`.
   *
   * @example await store.prune({ images: 'untagged', cache: true, olderThan: 7 * 24 * 3600_000 })
   */
  async prune(options: PruneOptions = {}): Promise<Pruned> {
    const { runtime, agentFor } = await opened()
    await runtime.cgroups.sweep()
    return await pruneStore(runtime.store, agentFor, options)
  },
  /**
   * Removes the store with everything in it: images, snapshots, containers. Where containers had ids of their own (root, or a user
   * with subordinate ids) some of their files are not the user's, so that plain `rm -rf` is refused: this goes through the user
   * namespace that they belong to. Ends every container that this thread has on the store.
   */
  async remove(): Promise<void> {
    const runtime = await currentRuntime()
    await runtime.destroy()
    await rm(runtime.store.root, { recursive: true, force: true })
  },
} as const
