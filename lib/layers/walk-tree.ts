import type { FileRecord } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type Listed, type Listing, listDirectories } from './listing.ts'
import { isDirectory } from './lower.ts'
import type { ByteString } from './names.ts'

export interface Found {
  readonly path: ByteString
  readonly record: FileRecord
}

/** A directory on the way to where the walk is. */
interface Level {
  readonly path: ByteString
  readonly listing: Listing
  /** The part that is walked, in reverse, so that `pop` gives the first. */
  readonly part: Found[]
}

const directoriesAtOnce = 32

/** What is in the root of an agent: depth first, names in order of their bytes. Memory does not grow with the number of files but by a large directory's names. */
export async function* walkTree(agent: Agent, excluded: ReadonlySet<ByteString> = new Set()): AsyncGenerator<Found, void, void> {
  const stack: Level[] = []
  const read = new Map<ByteString, Listing>()
  const enter = async (path: ByteString, siblings: readonly ByteString[]): Promise<void> => {
    if (!read.has(path)) {
      // Its siblings come next: one request reads many of them.
      const ahead = [path, ...siblings.slice(-(directoriesAtOnce - 1))]
      const listings = await listDirectories(agent, ahead)
      for (const [index, listing] of listings.entries()) read.set(ahead[index] ?? '', listing)
    }
    const listing = read.get(path)
    read.delete(path)
    if (listing) stack.push({ path, listing, part: [] })
  }
  await enter('', [])
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const found = level.part.pop()
    if (found === undefined) {
      const next = await level.listing.next()
      if (next === undefined) stack.pop()
      else level.part.push(...childrenOf(level.path, next, excluded))
      continue
    }
    yield found
    if (!isDirectory(found.record)) continue
    const siblings = read.has(found.path) ? [] : level.part.filter(({ record }) => isDirectory(record)).map(({ path }) => path)
    await enter(found.path, siblings)
  }
}

function childrenOf(directory: ByteString, listed: readonly Listed[], excluded: ReadonlySet<ByteString>): Found[] {
  return listed
    .map(({ name, record }) => ({ path: directory === '' ? name : `${directory}/${name}`, record }))
    .filter(({ path }) => !excluded.has(path))
    .reverse()
}
