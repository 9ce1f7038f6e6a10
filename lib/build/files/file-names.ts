import { type BytePath, opPath, type SourceEntry } from './entry.ts'

interface First {
  readonly entry: SourceEntry
  /** How many files were met before it. */
  readonly number: number
}

/** Which of the names that are copied are names of one file (hard links, link(2)). */
export class FileNames {
  /** By device, then by inode: a key made of both for each of tens of thousands of files would cost more. */
  readonly #devices = new Map<number | bigint, Map<number | bigint, First>>()
  readonly #links = new Map<SourceEntry, SourceEntry>()
  #count = 0

  /** Of each name of a file that has several, the first. */
  get links(): ReadonlyMap<SourceEntry, SourceEntry> {
    return this.#links
  }

  /** The first name of the file that `entry` is a name of; undefined where it is the first itself. */
  add(entry: SourceEntry): First | undefined {
    const { inode } = entry
    if (inode === undefined) return undefined
    const number = this.#count
    this.#count += 1
    const files = this.#devices.get(inode.dev) ?? new Map<number | bigint, First>()
    this.#devices.set(inode.dev, files)
    const first = files.get(inode.ino)
    if (first === undefined || !isAlike(first.entry, entry)) {
      files.set(inode.ino, { entry, number })
      return undefined
    }
    this.#links.set(first.entry, first.entry)
    this.#links.set(entry, first.entry)
    return first
  }
}

/** False where the file was changed between two looks at it, or is another that took the number of one that went. */
function isAlike(one: SourceEntry, other: SourceEntry): boolean {
  return one.size === other.size && one.mode === other.mode && one.uid === other.uid && one.gid === other.gid && one.mtime === other.mtime
}

/** Where the files of a layer that have several names are in it, while it is written in its order. */
export class LinkNames {
  readonly #places = new Map<SourceEntry, BytePath>()
  readonly #files = new Map<BytePath, SourceEntry>()

  /**
   * The path that the name at `path`, absolute, is to be a link to, as an entry of a layer has it; undefined where it is to be a file.
   *
   * @param same the file, for each of its names; undefined where it has but one
   */
  put(path: BytePath, same: SourceEntry | undefined): Buffer | undefined {
    // What was at the path is there no more.
    const before = this.#files.get(path)
    if (before !== undefined) this.#places.delete(before)
    if (same === undefined) return undefined
    const place = this.#places.get(same)
    if (place !== undefined) return opPath(place.slice(1))
    this.#places.set(same, path)
    this.#files.set(path, same)
    return undefined
  }
}
