import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { failedWith } from './files.ts'
import type { Store } from './store.ts'

const sumSize = 32

/**
 * What a file of the store's `cache/` holds between `magic` and the SHA-256 at its end. Such files are not synced: one that is torn, damaged or begins
 * otherwise counts as none, as one that is missing does.
 */
export async function readSummed(path: string, magic: Buffer): Promise<Buffer | undefined> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (failedWith(error, 'ENOENT')) return undefined
    throw error
  })
  const end = (bytes?.length ?? 0) - sumSize
  if (!bytes || end < magic.length || !bytes.subarray(0, magic.length).equals(magic)) return undefined
  if (!createHash('sha256').update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end))) return undefined
  return bytes.subarray(magic.length, end)
}

/**
 * Replaces such a file as a whole, and leaves the `most` newest of its directory: of processes that write at once, one wins. That it cannot be written is
 * nobody's trouble.
 */
export async function writeSummed(store: Store, path: string, magic: Buffer, content: readonly Uint8Array[], most: number): Promise<void> {
  const temporary = store.temporary('tmp', 'summed')
  try {
    const hash = createHash('sha256').update(magic)
    for (const piece of content) hash.update(piece)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writev([magic, ...content, hash.digest()])
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    await removeOldest(dirname(path), most)
  } catch {
    await rm(temporary, { force: true })
  }
}

/** Leaves the newest files of a directory. */
async function removeOldest(directory: string, most: number): Promise<void> {
  const names = await readdir(directory)
  if (names.length <= most) return
  const files = await Promise.all(
    names.map(async (name) => ({
      path: join(directory, name),
      written: (await stat(join(directory, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  )
  for (const { path } of files.sort((one, other) => other.written - one.written).slice(most)) await rm(path, { force: true })
}
