import { rm, stat, writeFile } from 'node:fs/promises'
import { StrakeError } from '../errors/index.ts'

/** Bytes: what taking things away writes at most (names, locks, what is about to go). */
const reserveBytes = 256 * 1024

/** A file that holds some room for when the disk is full: to take something away, a little has to be written first. */
export class Reserve {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Sees to it that the file is there, if there is room. */
  async keep(): Promise<void> {
    try {
      if ((await stat(this.#path)).size === reserveBytes) return
    } catch {
      // It is made below.
    }
    // Not zeroes: some file systems give those no room.
    await writeFile(this.#path, Buffer.alloc(reserveBytes, 'strake'), { mode: 0o600 }).catch(() => this.#drop())
  }

  /** Carries out what takes things away; if there is no room for it, once more in the room that was held for that. The work may be done twice. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StrakeError && error.code === 'store_full')) throw error
      await this.#drop()
    }
    try {
      return await work()
    } finally {
      await this.keep()
    }
  }

  async #drop(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}
