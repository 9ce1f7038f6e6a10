import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync, realpathSync, type Stats } from 'node:fs'
import { posix } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { StrakeError } from '../../errors/index.ts'
import { type HostFile, hostXattrs, listDirectory } from '../../layers/index.ts'
import { changed, errnoOf, escapes, invalid, unreadable } from './context-errors.ts'
import { type DigestCache, type FileIdentity, isSameFile } from './digest-cache.ts'
import {
  type BytePath,
  bytePath,
  type EntryKind,
  type FileSource,
  opPath,
  type PathFilter,
  type SourceEntry,
  type SourceMatch,
  textPath,
} from './entry.ts'
import { isSocket, kindOf } from './host-kind.ts'
import { isPattern, matcher } from './pattern.ts'

const maxLinks = 40
const pieceSize = 256 * 1024
/** Directory entries between two turns of the event loop. */
const entriesPerTurn = 200
const noXattrs: ReadonlyMap<string, Buffer> = new Map()

/**
 * The build context: a directory of this machine. A path is looked up with links followed inside the directory only; links
 * below a copied directory are copied as links. A directory that is opened is then checked, by the kernel's name for the open file
 * (proc_pid_fd(5)), to be what was meant, and files are opened in it, so a link that is swapped in while the context is read leads nowhere.
 */
export class ContextDirectory implements FileSource {
  readonly #root: BytePath
  readonly #filter: PathFilter | undefined
  #digests: DigestCache | undefined
  #rest = Buffer.alloc(0)
  /** The directory in which a file was opened last. */
  #parent: { readonly path: BytePath; readonly file: number } | undefined

  /** Throws `context_invalid` when `path` is no directory. What `filter` ignores counts as not there. */
  constructor(path: string, filter?: PathFilter) {
    this.#filter = filter
    try {
      this.#root = realpathSync(path, { encoding: 'buffer' }).toString('latin1').replace(/\/$/, '')
      if (!lstatSync(opPath(`${this.#root}/`)).isDirectory()) throw new Error('not a directory')
    } catch (cause) {
      throw new StrakeError('context_invalid', `the build context ${path} is no directory that can be read`, { cause, details: { path } })
    }
  }

  /** The directory's path, links resolved. */
  get root(): BytePath {
    return this.#root || '/'
  }

  /** Takes digests from a cache, which is saved at the end. */
  use(digests: DigestCache): void {
    this.#digests = digests
  }

  async find(pattern: string): Promise<readonly SourceMatch[]> {
    const names = pattern.split('/').filter((name) => name !== '' && name !== '.')
    const found = this.#expand('', names.map(bytePath))
    const matches: SourceMatch[] = []
    for (const { path, real } of found) {
      const entries: SourceEntry[] = []
      await this.#collect(real, '', this.#stat(real), entries)
      if (entries.length > 0) matches.push({ path, name: posix.basename(path), entries })
    }
    return matches
  }

  directory(path: BytePath): SourceEntry | undefined {
    const real = this.#follow(path)
    const stats = real === undefined ? undefined : this.#statOrMissing(real)
    return real !== undefined && stats?.isDirectory() ? this.#entry('directory', real, path, stats) : undefined
  }

  /**
   * Where a path leads, and the links on its way; a link at its end counts as itself. Empty where nothing is there. Throws `path_escapes`,
   * `context_invalid`.
   */
  locate(path: string): readonly string[] {
    const { dir, base } = posix.parse(bytePath(path))
    const links: BytePath[] = []
    const directory = this.#follow(dir, false, links)
    if (directory === undefined) return []
    const real = directory ? `${directory}/${base}` : base
    return this.#statOrMissing(real) ? [...links, real].map(textPath) : []
  }

  async *read(entry: SourceEntry): AsyncIterable<Buffer> {
    const file = this.#openFile(entry.origin)
    try {
      if (!fstatSync(file).isFile()) throw changed(entry.origin)
      for (;;) {
        const piece = Buffer.allocUnsafe(Math.min(pieceSize, entry.size + 1))
        const length = this.#readPiece(file, piece, entry)
        if (length === 0) return
        yield piece.subarray(0, length)
        await setImmediate()
      }
    } finally {
      closeSync(file)
    }
  }

  #readPiece(file: number, piece: Buffer, { origin }: SourceEntry): number {
    try {
      return readSync(file, piece)
    } catch (error) {
      throw unreadable(origin, error)
    }
  }

  readNow(entry: SourceEntry): Buffer {
    const file = this.#openFile(entry.origin)
    try {
      const content = this.#room(entry.size + 1)
      let length = 0
      // A read that gives less than there was room for has met the end, or else is one of a file system that gives what it likes.
      do {
        const more = readSync(file, content, length, content.length - length, null)
        if (more === 0) break
        length += more
      } while (length < entry.size)
      return content.subarray(0, length)
    } catch (error) {
      throw unreadable(entry.origin, error)
    } finally {
      closeSync(file)
    }
  }

  /** Small buffers are cut from a larger one: the collector counts each that is not. */
  #room(size: number): Buffer {
    if (size > pieceSize / 4) return Buffer.allocUnsafeSlow(size)
    if (this.#rest.length < size) this.#rest = Buffer.allocUnsafeSlow(pieceSize)
    const room = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return room
  }

  digestOf(entry: SourceEntry): string | Promise<string> {
    return (entry.identity && this.#digests?.get(entry.identity)) ?? this.#digest(entry)
  }

  forget({ identity }: SourceEntry): void {
    if (identity) this.#digests?.forget(identity)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closeParent()
    await this.#digests?.save()
  }

  /** Reads a file, and remembers its digest where it was the same file before and after. */
  async #digest(entry: SourceEntry): Promise<string> {
    const { identity } = entry
    const hash = createHash('sha256')
    const readAt = Date.now()
    if (entry.size < pieceSize) hash.update(this.readNow(entry))
    else for await (const piece of this.read(entry)) hash.update(piece)
    const digest = hash.digest('hex')
    const after = this.#statOrMissing(entry.origin)
    if (identity && after && isSameFile(identity, after)) this.#digests?.set(identity, digest, readAt)
    return digest
  }

  /** The paths that match, by name, and where their links lead inside the context. */
  #expand(directory: BytePath, names: readonly BytePath[]): { path: BytePath; real: BytePath }[] {
    const [name, ...rest] = names
    if (name === undefined) return [{ path: directory, real: directory }]
    const isWild = isPattern(name)
    const candidates = isWild ? this.#names(directory).filter(matcher(textPath(name))) : [name]
    return candidates.flatMap((candidate) => {
      const path = directory ? `${directory}/${candidate}` : candidate
      // A link that a pattern passes on its way to what is below is no name that anybody gave.
      const real = this.#follow(path, isWild && rest.length > 0)
      if (real === undefined) return []
      if (rest.length === 0) return [{ path, real }]
      return this.#stat(real).isDirectory() ? this.#expand(real, rest) : []
    })
  }

  /**
   * Where `path` leads; undefined when nothing is there. A link that begins with `/` starts at the context's root. Links that lead out, or nowhere, are
   * refused, or else `skips`: they are nothing then too. `passed` gets all that are followed.
   */
  #follow(path: BytePath, skips = false, passed: BytePath[] = []): BytePath | undefined {
    const refuse = (error: StrakeError): undefined => {
      if (!skips) throw error
    }
    let rest = path.split('/')
    let here: BytePath[] = []
    let absolute: BytePath | undefined
    while (rest.length > 0) {
      const [name = '', ...after] = rest
      rest = after
      if (name === '' || name === '.') continue
      if (name === '..') {
        if (here.length === 0) return refuse(escapes(path))
        here.pop()
        continue
      }
      const next = [...here, name].join('/')
      const stats = this.#statOrMissing(next)
      // What it means on this machine may be there: it is told as what leads out.
      if (!stats) return absolute === undefined ? undefined : refuse(escapes(absolute))
      if (this.#ignores(next) && (stats.isSymbolicLink() || !this.#mayHold(next))) return undefined
      if (!stats.isSymbolicLink()) {
        here.push(name)
        continue
      }
      passed.push(next)
      if (passed.length > maxLinks) return refuse(invalid(path, 'is a loop of links'))
      const target = this.#targetOf(next)
      rest = [...target.split('/'), ...rest]
      if (!target.startsWith('/')) continue
      here = []
      absolute = next
    }
    return here.join('/')
  }

  async #collect(origin: BytePath, path: BytePath, found: FileIdentity, entries: SourceEntry[]): Promise<void> {
    const at = entries.length
    const isIgnored = this.#ignores(origin)
    if (!this.#add(origin, path, found, isIgnored, entries)) return
    for (const each of this.#files(origin)) {
      const { name, error } = each
      const child = origin ? `${origin}/${name}` : name
      const isIgnoredChild = this.#ignores(child)
      // What is ignored and cannot be a way to what is not is no concern of ours, whatever happens to it.
      if (isIgnoredChild && !this.#mayHold(child)) continue
      if (error !== undefined)
        throw error === 'ENOENT' ? changed(child) : unreadable(child, Object.assign(new Error(error), { code: error }))
      const below = path ? `${path}/${name}` : name
      if (kindOf(each) === 'directory') await this.#collect(child, below, each, entries)
      else this.#add(child, below, each, isIgnoredChild, entries)
      if (entries.length % entriesPerTurn === 0) await setImmediate()
    }
    // Of an ignored directory only the way to what is not ignored is left.
    if (isIgnored && entries.length === at + 1) entries.length = at
  }

  #ignores(path: BytePath): boolean {
    return path !== '' && this.#filter?.ignores(textPath(path)) === true
  }

  #mayHold(path: BytePath): boolean {
    return this.#filter?.mayHold(textPath(path)) === true
  }

  /** Adds an entry; true for a directory, of which what is in it comes next. */
  #add(origin: BytePath, path: BytePath, found: FileIdentity | HostFile, isIgnored: boolean, entries: SourceEntry[]): boolean {
    const kind = kindOf(found)
    if (isIgnored && !(kind === 'directory' && this.#mayHold(origin))) return false
    // Docker leaves out sockets as well. One that is named itself is refused.
    if (path !== '' && isSocket(found)) return false
    if (!kind) throw invalid(origin, 'is neither file, directory nor link')
    entries.push(this.#entry(kind, origin, path, found))
    return kind === 'directory'
  }

  #entry(kind: EntryKind, origin: BytePath, path: BytePath, found: FileIdentity | HostFile): SourceEntry {
    const isFile = kind === 'file'
    return {
      kind,
      path,
      origin,
      mode: found.mode & 0o7777,
      uid: 0,
      gid: 0,
      mtime: Math.floor(found.mtimeMs / 1000),
      size: isFile ? found.size : 0,
      target: kind === 'link' ? this.#targetOf(origin) : '',
      xattrs: isFile ? this.#xattrs(origin, found) : noXattrs,
      inode: isFile ? found : undefined,
      identity: isFile ? found : undefined,
    }
  }

  #targetOf(link: BytePath): BytePath {
    try {
      return readlinkSync(this.#absolute(link), { encoding: 'buffer' }).toString('latin1')
    } catch (error) {
      throw unreadable(link, error)
    }
  }

  /** File capabilities are what an executable can do; its other xattrs are this machine's business (where it was downloaded from, who else may read it). */
  #xattrs(path: BytePath, found: FileIdentity | HostFile): ReadonlyMap<string, Buffer> {
    try {
      if ((found.mode & 0o111) === 0) return noXattrs
      const capability = 'name' in found ? found.capability : hostXattrs(this.#absolute(path)).get('security.capability')
      return capability ? new Map([['security.capability', capability]]) : noXattrs
    } catch (error) {
      throw unreadable(path, error)
    }
  }

  #absolute(path: BytePath): Buffer {
    return opPath(`${this.#root}/${path}`)
  }

  #statOrMissing(path: BytePath): Stats | undefined {
    try {
      return lstatSync(this.#absolute(path), { throwIfNoEntry: false })
    } catch (error) {
      if (errnoOf(error) === 'ENOTDIR') return undefined
      throw unreadable(path, error)
    }
  }

  #stat(path: BytePath): Stats {
    const stats = this.#statOrMissing(path)
    if (!stats) throw changed(path)
    return stats
  }

  #files(path: BytePath): HostFile[] {
    const directory = this.#open(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      return listDirectory(directory)
    } catch (error) {
      throw unreadable(path, error)
    } finally {
      closeSync(directory)
    }
  }

  #names(path: BytePath): BytePath[] {
    return this.#files(path).map(({ name }) => name)
  }

  /** Opens a file in its directory, which is kept open: most files are in that of the one before. */
  #openFile(path: BytePath): number {
    const at = path.lastIndexOf('/')
    const directory = path.slice(0, Math.max(at, 0))
    if (this.#parent?.path !== directory) {
      this.#closeParent()
      this.#parent = { path: directory, file: this.#open(directory, constants.O_RDONLY | constants.O_DIRECTORY) }
    }
    return this.#openAt(path, `/proc/self/fd/${this.#parent.file}/${path.slice(at + 1)}`, constants.O_RDONLY)
  }

  #closeParent(): void {
    if (this.#parent) closeSync(this.#parent.file)
    this.#parent = undefined
  }

  /** Opens `path` and makes sure that it is that path which was opened. */
  #open(path: BytePath, flags: number): number {
    const file = this.#openAt(path, `${this.#root}/${path}`, flags)
    const actual = readlinkSync(`/proc/self/fd/${file}`, { encoding: 'buffer' }).toString('latin1')
    if (actual === (path ? `${this.#root}/${path}` : this.#root || '/')) return file
    closeSync(file)
    throw this.#replaced(path)
  }

  /** What is said of a path at which a link turns up that was none before. */
  #replaced(path: BytePath): StrakeError {
    try {
      this.#follow(path)
    } catch (error) {
      if (error instanceof StrakeError && error.code === 'path_escapes') return error
    }
    return changed(path)
  }

  #openAt(path: BytePath, place: BytePath, flags: number): number {
    try {
      // Non-blocking: a fifo that took the file's place must not hold the build up.
      return openSync(opPath(place), flags | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      const isLink = errnoOf(error) === 'ELOOP' || (errnoOf(error) === 'ENOTDIR' && this.#statOrMissing(path)?.isSymbolicLink())
      throw isLink ? this.#replaced(path) : unreadable(path, error)
    }
  }
}
