import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { posix } from 'node:path'
import { setImmediate } from 'node:timers/promises'

/** What identifies the content of a host file well enough to use an earlier base again. */
export interface Witness {
  readonly path: string
  readonly size: string
  readonly mtimeNs: string
  readonly ino: string
}

export type TreeEntry =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string; readonly mtime: number }
  | { readonly kind: 'file'; readonly path: string; readonly executable: boolean; readonly mtime: number; readonly size: number }

/** Linux follows at most 40 links in one resolution, see path_resolution(7). */
const maxLinks = 40

/** What this process may not look at counts as missing. */
function statsOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

export function witness(path: string, stats: BigIntStats): Witness {
  return { path, size: String(stats.size), mtimeNs: String(stats.mtimeNs), ino: String(stats.ino) }
}

/**
 * The host's files as a base needs them: every path that is looked up is walked name by name, so that links on the way
 * (`/bin` → `usr/bin`, `awk` → `/etc/alternatives/awk`) become links in the base too. `root` stands for `/`: links are
 * resolved inside it, so that another system's tree can be read as that system would read it.
 */
export class HostTree {
  readonly entries = new Map<string, TreeEntry>()
  readonly #root: string
  readonly #contents = new Map<string, Promise<Buffer | undefined>>()
  readonly #targets = new Map<string, string>()
  readonly #stats = new Map<string, BigIntStats | undefined>()

  constructor(root = '/') {
    this.#root = root
  }

  /** Where `path` leads, with every entry on the way; undefined when something is missing. Adds nothing to the base. */
  resolve(path: string): { readonly real: string; readonly trail: readonly TreeEntry[] } | undefined {
    const trail: TreeEntry[] = []
    let rest = path.split('/').filter((name) => name !== '' && name !== '.')
    let here = '/'
    for (let links = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest
      rest = after
      const next = name === '..' ? posix.dirname(here) : posix.join(here, name)
      const stats = this.stats(next)
      if (!stats) return undefined
      if (stats.isSymbolicLink()) {
        links += 1
        if (links > maxLinks) return undefined
        const target = this.#target(next)
        trail.push({ kind: 'link', path: next, target, mtime: Number(stats.mtimeMs / 1000n) })
        rest = [...target.split('/').filter((each) => each !== '' && each !== '.'), ...rest]
        if (target.startsWith('/')) here = '/'
        continue
      }
      if (stats.isDirectory()) trail.push({ kind: 'directory', path: next })
      else if (stats.isFile() && rest.length === 0) trail.push(this.#file(next, stats))
      else return undefined
      here = next
    }
    return { real: here, trail }
  }

  /** Puts `path` in the base with all that leads to it; returns its real path, or undefined when it is missing. */
  add(path: string): string | undefined {
    const found = this.resolve(path)
    for (const entry of found?.trail ?? []) this.entries.set(entry.path, entry)
    return found?.real
  }

  /** Puts a link in the base that the host does not have. */
  addLink(path: string, target: string): void {
    this.entries.set(path, { kind: 'link', path, target, mtime: 0 })
  }

  /** The bytes of a real path, or undefined when this process may not read it. */
  read(real: string): Promise<Buffer | undefined> {
    const known = this.#contents.get(real)
    if (known) return known
    const bytes = this.#load(posix.join(this.#root, real))
    this.#contents.set(real, bytes)
    return bytes
  }

  /** The paths in a directory, sorted; none when there is no such directory. */
  list(path: string): string[] {
    try {
      return readdirSync(posix.join(this.#root, path))
        .sort()
        .map((name) => posix.join(path, name))
    } catch {
      return []
    }
  }

  /** Of `path` itself, not of what it links to; undefined when it is missing. */
  stats(path: string): BigIntStats | undefined {
    if (!this.#stats.has(path)) this.#stats.set(path, statsOf(posix.join(this.#root, path)))
    return this.#stats.get(path)
  }

  /** One for each file and link of the base: equal witnesses mean an equal base. */
  witnesses(): Witness[] {
    return [...this.entries.values()].flatMap(({ kind, path }) => {
      const stats = kind === 'directory' ? undefined : this.stats(path)
      return stats ? [witness(path, stats)] : []
    })
  }

  /** Synchronous reads of small files cost a tenth of asynchronous ones; others get their turn between two of them. */
  async #load(path: string): Promise<Buffer | undefined> {
    await setImmediate()
    try {
      return readFileSync(path)
    } catch {
      return undefined
    }
  }

  #target(path: string): string {
    const target = this.#targets.get(path) ?? readlinkSync(posix.join(this.#root, path))
    this.#targets.set(path, target)
    return target
  }

  #file(path: string, stats: BigIntStats): TreeEntry {
    return { kind: 'file', path, executable: (stats.mode & 0o111n) !== 0n, mtime: Number(stats.mtimeMs / 1000n), size: Number(stats.size) }
  }
}
