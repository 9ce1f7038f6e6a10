import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { currentOwner, isAlive, ownerIn, removeFile } from '../store/index.ts'
import { tryFlock } from './flock.ts'

/** What was last written so long ago nobody is writing, on whatever machine that shares the directory. Milliseconds. */
const abandoned = 24 * 3600 * 1000

/**
 * Removes the temporary files, `start` and an `ownedName`, that processes which are gone have left in a directory. Whoever writes one has its lock: a process
 * of another pid namespace cannot be seen, and one of another machine (or of this one before it was started anew) has no pid here. Never rejects.
 */
export async function sweepLeftovers(directory: string, start: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    if (!name.startsWith(start)) continue
    const rest = name.slice(start.length)
    const owner = ownerIn(rest)
    if (owner !== undefined && rest.startsWith(owner) && !rest.includes('.') && !isAlive(owner))
      await sweep(join(directory, name), bootOf(owner) === bootOf(currentOwner())).catch(() => undefined)
  }
}

function bootOf(owner: string): string | undefined {
  return owner.split('-')[2]
}

async function sweep(path: string, isOfThisBoot: boolean): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const stats = await handle.stat()
    const isOld = isOfThisBoot || Date.now() - stats.mtimeMs > abandoned
    if (stats.isFile() && isOld && tryFlock(handle.fd)) await removeFile(path)
  } finally {
    await handle.close()
  }
}
