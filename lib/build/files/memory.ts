import { posix } from 'node:path'
import type { MemoryFile } from '../step.ts'
import { type BytePath, bytePath, type FileSource, type PathFilter, type SourceEntry, type SourceMatch, textPath } from './entry.ts'
import { isPattern, matcher } from './pattern.ts'

const shared = { uid: 0, gid: 0, mtime: undefined, target: '', xattrs: new Map<string, Buffer>() }

function fileEntry(file: MemoryFile, path: BytePath): SourceEntry {
  return { ...shared, kind: 'file', path, origin: bytePath(file.path), mode: file.mode, size: file.content.length }
}

function directoryEntry(origin: BytePath, path: BytePath): SourceEntry {
  return { ...shared, kind: 'directory', path, origin, mode: 0o755, size: 0 }
}

/** Files from memory: one match, a directory whose content they are. Directories in their paths are made where they are missing. */
export class MemoryFiles implements FileSource {
  protected readonly files: ReadonlyMap<BytePath, MemoryFile>

  constructor(files: readonly MemoryFile[]) {
    this.files = new Map(
      [...files].map((file): [BytePath, MemoryFile] => [bytePath(file.path), file]).sort(([one], [other]) => (one < other ? -1 : 1)),
    )
  }

  find(_pattern: string): Promise<readonly SourceMatch[]> {
    const entries = [...this.files].map(([path, file]) => fileEntry(file, path))
    return Promise.resolve([{ path: '', name: posix.basename('/'), entries: [directoryEntry('', ''), ...entries] }])
  }

  async *read(entry: SourceEntry): AsyncIterable<Buffer> {
    yield Buffer.from(this.files.get(entry.origin)?.content ?? [])
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Files from memory as a build context: paths and patterns find files and the directories in which they are. */
export class ContextMemory extends MemoryFiles {
  /** All that is there, a directory before what is in it. */
  readonly #all = new Map<BytePath, MemoryFile | 'directory'>([['', 'directory']])

  /** What `filter` ignores counts as not there. */
  constructor(files: readonly MemoryFile[], filter?: PathFilter) {
    super(files)
    for (const [path, file] of this.files) {
      // Of a file that is ignored the directories are there, unless they are ignored themselves.
      let left = path
      while (left !== '' && filter?.ignores(textPath(left))) left = left.slice(0, Math.max(left.lastIndexOf('/'), 0))
      for (let at = left.indexOf('/'); at >= 0; at = left.indexOf('/', at + 1)) this.#add(left.slice(0, at), 'directory')
      this.#add(left, left === path ? file : 'directory')
    }
  }

  #add(path: BytePath, what: MemoryFile | 'directory'): void {
    if (!this.#all.has(path)) this.#all.set(path, what)
  }

  override find(pattern: string): Promise<readonly SourceMatch[]> {
    const names = pattern.split('/').filter((name) => name !== '' && name !== '.')
    const tests = names.map((name) => (isPattern(name) ? matcher(name) : (each: BytePath) => textPath(each) === name))
    const found = new Map<BytePath, SourceMatch & { readonly entries: SourceEntry[] }>()
    for (const [path, file] of this.#all) {
      const parts = path === '' ? [] : path.split('/')
      if (parts.length < tests.length || !tests.every((test, index) => test(parts[index] ?? ''))) continue
      const root = parts.slice(0, tests.length).join('/')
      const match = found.get(root) ?? { path: root, name: posix.basename(root), entries: [] }
      found.set(root, match)
      const below = parts.slice(tests.length).join('/')
      match.entries.push(file === 'directory' ? directoryEntry(path, below) : fileEntry(file, below))
    }
    return Promise.resolve([...found.values()])
  }
}
