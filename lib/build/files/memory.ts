import { posix } from 'node:path'
import type { MemoryFile } from '../step.ts'
import { type BytePath, bytePath, type FileSource, type SourceEntry, type SourceMatch, textPath } from './entry.ts'
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
  override find(pattern: string): Promise<readonly SourceMatch[]> {
    const names = pattern.split('/').filter((name) => name !== '' && name !== '.')
    const tests = names.map((name) => (isPattern(name) ? matcher(name) : (each: BytePath) => textPath(each) === name))
    const found = new Map<BytePath, SourceMatch>()
    for (const [path, file] of this.files) {
      const parts = path.split('/')
      if (parts.length < tests.length || !tests.every((test, index) => test(parts[index] ?? ''))) continue
      const root = parts.slice(0, tests.length).join('/')
      const name = posix.basename(root)
      if (parts.length === tests.length) {
        found.set(root, { path: root, name, entries: [fileEntry(file, '')] })
        continue
      }
      const before = found.get(root)?.entries ?? [directoryEntry(root, '')]
      found.set(root, { path: root, name, entries: [...before, ...this.#below(root, path, file, before)] })
    }
    return Promise.resolve([...found.values()])
  }

  /** A file below `root` and the directories on its way that are not there yet. */
  #below(root: BytePath, path: BytePath, file: MemoryFile, before: readonly SourceEntry[]): SourceEntry[] {
    const start = root === '' ? 0 : root.length + 1
    const below = path.slice(start)
    const parents: SourceEntry[] = []
    for (let at = below.indexOf('/'); at >= 0; at = below.indexOf('/', at + 1)) {
      const directory = below.slice(0, at)
      if (!before.some((entry) => entry.path === directory)) parents.push(directoryEntry(path.slice(0, start + at), directory))
    }
    return [...parents, fileEntry(file, below)]
  }
}
