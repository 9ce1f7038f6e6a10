import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { failedWith, type Release, type Store } from '../store/index.ts'
import { checkAborted } from './abortable.ts'
import { releaseFlock, tryFlock } from './flock.ts'

const longestPause = 25

/**
 * Takes a layout for one save alone, whichever process or store it is of; waits for as long as another has it. The lock is flock(2) of the directory itself,
 * so nothing is left there and whoever dies has none. Where the directory cannot be locked (NFS) or not be read, those of one store are kept apart.
 *
 * @param make makes the directory, if it is not there: a save that fails takes away the one that it has made, while others wait for it
 */
export async function lockLayout(
  store: Store,
  path: string,
  make: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<{ readonly release: Release; readonly isOfAll: boolean }> {
  for (;;) {
    checkAborted(signal, 'saving')
    await make()
    const handle = await directoryAt(path)
    if (handle === 'gone') continue
    let isTaken = false
    try {
      if (handle === undefined || !(await isLocked(handle, signal)))
        return { release: await lockByStore(store, path, signal), isOfAll: false }
      isTaken = await isAt(handle, path)
      if (isTaken) return { release: () => unlock(handle), isOfAll: true }
    } finally {
      if (!isTaken) await handle?.close()
    }
  }
}

async function unlock(handle: FileHandle): Promise<void> {
  releaseFlock(handle.fd)
  await handle.close()
}

/** Undefined for one that this user may not read. */
async function directoryAt(path: string): Promise<FileHandle | 'gone' | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return 'gone'
    if (failedWith(error, 'EACCES')) return undefined
    throw error
  }
}

/** Resolves when it is, or to false where it cannot be. */
async function isLocked(handle: FileHandle, signal: AbortSignal | undefined): Promise<boolean> {
  for (let pause = 1; ; pause = Math.min(pause * 2, longestPause)) {
    const outcome = tryFlock(handle.fd)
    if (outcome !== false) return outcome === true
    await sleep(pause)
    checkAborted(signal, 'saving')
  }
}

/** Whether the path still leads to what was opened. */
async function isAt(handle: FileHandle, path: string): Promise<boolean> {
  const [own, there] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)])
  return own.dev === there?.dev && own.ino === there.ino
}

async function lockByStore(store: Store, path: string, signal: AbortSignal | undefined): Promise<Release> {
  const name = createHash('sha256')
    .update(await realpath(path))
    .digest('hex')
    .slice(0, 32)
  return await store.lock(`layout-${name}`, { signal, timeout: Number.POSITIVE_INFINITY, isTransient: true })
}
