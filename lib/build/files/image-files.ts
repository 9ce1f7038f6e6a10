import { posix } from 'node:path'
import type { FileRecord } from '../../sys/index.ts'
import type { Agent } from '../../zygote/index.ts'
import {
  type BytePath,
  bytePath,
  type EntryKind,
  type FileSource,
  type LeftOut,
  type PathFilter,
  type SourceEntry,
  type SourceMatch,
  textPath,
} from './entry.ts'
import { isPattern, matcher } from './pattern.ts'
import { fileTypeMask, isType, joinPath, openFile, RootPaths, readOpened } from './root-paths.ts'

function kindOf(record: FileRecord): EntryKind | undefined {
  return (['file', 'directory', 'link'] as const).find((kind) => isType(record, kind))
}

/** inode(7) */
const specialTypes: ReadonlyMap<number, string> = new Map([
  [0o010000, 'a fifo'],
  [0o020000, 'a character device'],
  [0o060000, 'a block device'],
  [0o140000, 'a socket'],
])

export interface ImageFilesOptions {
  /** Whose files they are plays no part, as in a build context: all are root's, without xattrs. */
  readonly isContext?: boolean
  readonly filter?: PathFilter | undefined
}

interface Found {
  readonly entries: SourceEntry[]
  readonly leftOut: LeftOut[]
}

/** The files of another image, through a confined agent whose root that image is. Owns the agent's owner through `release`. */
export class ImageFiles implements FileSource {
  readonly #options: ImageFilesOptions
  readonly #agent: Agent
  readonly #paths: RootPaths
  readonly #release: () => Promise<void>

  constructor(agent: Agent, release: () => Promise<void>, options: ImageFilesOptions = {}) {
    this.#options = options
    this.#agent = agent
    this.#paths = new RootPaths(agent)
    this.#release = release
  }

  async find(pattern: string): Promise<readonly SourceMatch[]> {
    const names = pattern.split('/').filter((name) => name !== '' && name !== '.')
    const matches: SourceMatch[] = []
    for (const { path, real } of await this.#expand('/', names.map(bytePath))) {
      const record = await this.#paths.stat(real)
      if (!record) continue
      const entries: SourceEntry[] = []
      const leftOut: LeftOut[] = []
      await this.#collect(real, '', record, { entries, leftOut })
      if (entries.length === 0 && leftOut.length === 0) continue
      matches.push({ path: path.slice(1), name: posix.basename(path), entries, leftOut })
    }
    return matches
  }

  async directory(path: BytePath): Promise<SourceEntry | undefined> {
    const { path: real, record } = await this.#paths.resolve(`/${path}`)
    return isType(record, 'directory') ? this.#entry('directory', real, path, record) : undefined
  }

  async *read(entry: SourceEntry): AsyncIterable<Buffer> {
    yield* readOpened(await openFile(this.#agent, entry.origin))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#release()
  }

  async #expand(directory: BytePath, names: readonly BytePath[]): Promise<{ path: BytePath; real: BytePath }[]> {
    const [name, ...rest] = names
    if (name === undefined) return [{ path: directory, real: directory }]
    const isMatch = isPattern(name) ? matcher(textPath(name)) : undefined
    const candidates = isMatch ? (await this.#paths.list(directory)).map((each) => each.name.toString('latin1')).filter(isMatch) : [name]
    const found: { path: BytePath; real: BytePath }[] = []
    for (const candidate of candidates) {
      const path = joinPath(directory, candidate)
      const place = await this.#paths.resolve(path, isMatch !== undefined && rest.length > 0, (link) => this.#ignores(link))
      if (!place.record) continue
      if (rest.length === 0) found.push({ path, real: place.path })
      else if (isType(place.record, 'directory')) found.push(...(await this.#expand(place.path, rest)))
    }
    return found
  }

  async #collect(origin: BytePath, path: BytePath, record: FileRecord, found: Found): Promise<void> {
    const kind = kindOf(record)
    const isIgnored = this.#ignores(origin)
    if (isIgnored && !(kind === 'directory' && this.#options.filter?.mayHold(textPath(origin.slice(1))))) return
    if (!kind) {
      found.leftOut.push({ path, what: specialTypes.get(record.mode & fileTypeMask) ?? 'no file' })
      return
    }
    const { entries } = found
    const at = entries.length
    entries.push(this.#entry(kind, origin, path, record))
    if (kind !== 'directory') return
    for (const child of await this.#paths.list(origin)) {
      const name = child.name.toString('latin1')
      await this.#collect(joinPath(origin, name), path ? `${path}/${name}` : name, child, found)
    }
    // Of an ignored directory only the way to what is not ignored is left.
    if (isIgnored && entries.length === at + 1) entries.length = at
  }

  #ignores(path: BytePath): boolean {
    return path !== '/' && this.#options.filter?.ignores(textPath(path.slice(1))) === true
  }

  #entry(kind: EntryKind, origin: BytePath, path: BytePath, record: FileRecord): SourceEntry {
    const { isContext } = this.#options
    return {
      kind,
      path,
      origin,
      mode: record.mode & 0o7777,
      uid: isContext ? 0 : record.uid,
      gid: isContext ? 0 : record.gid,
      mtime: record.mtimeSec,
      size: kind === 'file' ? record.size : 0,
      target: record.target.toString('latin1'),
      inode: kind === 'file' && record.nlink > 1 ? record : undefined,
      xattrs: new Map(
        [...record.xattrs].filter(([name]) => !isContext && !name.includes('overlay.') && !name.startsWith('security.selinux')),
      ),
    }
  }
}
