import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { binding } from '../../native/binding.ts'
import type { Store } from '../store/index.ts'

/** Milliseconds from the naming of a snapshot to the syncing of all that were named by then. A process that ends sooner leaves it to the next. */
const syncedAfter = 2000

/** Has the file system of a store synced some time after snapshots were made; nobody waits for it. */
export class SyncLater {
  readonly #store: Store
  #timer: NodeJS.Timeout | undefined
  #isSyncing = false

  constructor(store: Store) {
    this.#store = store
  }

  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#isSyncing) this.soon()
      else void this.#sync()
    }, syncedAfter).unref()
  }

  /** Where it fails the marks stay, and the snapshots count as unsynced. */
  async #sync(): Promise<void> {
    this.#isSyncing = true
    try {
      const marks = this.#store.unsynced.marks()
      if (marks.length === 0) return
      const handle = await open(this.#store.path('snapshots'), constants.O_RDONLY | constants.O_DIRECTORY)
      try {
        if ((await binding().syncFs(handle.fd)) === 0) this.#store.unsynced.remove(marks)
      } finally {
        await handle.close()
      }
    } catch {
      // The store may have been removed meanwhile.
    } finally {
      this.#isSyncing = false
    }
  }
}
