import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes what was created or renamed in a directory survive a loss of power (fsync(2)). */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces a file as a whole: readers see the old or the new content, never a part. `temporary` is on the same file system, and gone
 * afterwards, whatever fails.
 */
export async function replaceFile(path: string, content: string | Uint8Array, temporary: string): Promise<void> {
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await removeFile(temporary)
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Removes a file, if there is one: one trip through the thread pool, where `rm` of node:fs makes three. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error
  }
}

/** Whether a rejection of node:fs has one of these codes. */
export function failedWith(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
}
