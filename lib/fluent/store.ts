import { rm } from 'node:fs/promises'
import { currentRuntime } from '../containers/index.ts'
import { defaultRoot } from '../store/index.ts'

/** The store: `$STRAKE_ROOT`, read at each call. */
export const store = {
  /** Absolute path of the store's directory. */
  get root(): string {
    return defaultRoot()
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
