import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Digest, hexOf } from './digest.ts'
import { failedWith } from './files.ts'
import { bootId } from './owner.ts'
import { storeError } from './store-error.ts'

/**
 * Snapshots whose files may not be on the disk yet. Nobody waits for a disk while a layer is made: a snapshot can be unpacked again from its
 * blob, which is synced. So each has a mark here, made before it gets its name, with the boot that it was made in; a mark of an earlier boot tells that the machine
 * may have lost power before the files were written, and the snapshot is not believed. Whoever has synced the file system takes the marks away.
 *
 * A mark is an empty file: where directory entries reach the disk in the order of their making (as with any journal), no snapshot is found after
 * a loss of power whose mark is not.
 */
export class Unsynced {
  readonly #directory: string
  readonly #snapshots: string

  constructor(locks: string, snapshots: string) {
    this.#directory = join(locks, 'unsynced')
    this.#snapshots = snapshots
  }

  prepare(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  /** Marks a snapshot that is about to get its name. */
  add(chainId: Digest): void {
    try {
      // Synchronous: it waits for no disk, and the way through the thread pool costs more.
      writeFileSync(join(this.#directory, `${hexOf(chainId)}.${bootId()}`), '', { mode: 0o600 })
    } catch (error) {
      throw storeError(error)
    }
  }

  /** The marks of this boot: to be read before the file system is synced, and given to `remove` afterwards. */
  marks(): string[] {
    return readdirSync(this.#directory).filter((name) => bootOf(name) === bootId())
  }

  remove(marks: readonly string[]): void {
    for (const name of marks) rmSync(join(this.#directory, name), { force: true })
  }

  /** Whether there are marks of an earlier boot. */
  hasOlder(): boolean {
    return this.#older().length > 0
  }

  /** Takes the snapshots that were not synced before the last boot away, each to a path that `temporary` gives. One process at a time. */
  async dropOlder(temporary: () => string): Promise<void> {
    for (const name of this.#older()) {
      try {
        await rename(join(this.#snapshots, name.slice(0, name.lastIndexOf('.'))), temporary())
      } catch (error) {
        if (!failedWith(error, 'ENOENT')) throw error
      }
      this.remove([name])
    }
  }

  #older(): string[] {
    return readdirSync(this.#directory).filter((name) => bootOf(name) !== bootId())
  }
}

function bootOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
