import { posix } from 'node:path'
import type { MemoryFile } from '../step.ts'
import { bytePath, type FileSource, type SourceEntry, type SourceMatch } from './entry.ts'

/** Files from memory: one match, a directory whose content they are. Directories in their paths are made where they are missing. */
export class MemoryFiles implements FileSource {
  readonly #files: ReadonlyMap<string, MemoryFile>

  constructor(files: readonly MemoryFile[]) {
    this.#files = new Map([...files].map((file) => [bytePath(file.path), file]))
  }

  find(): Promise<readonly SourceMatch[]> {
    const shared = { uid: 0, gid: 0, mtime: undefined, target: '', xattrs: new Map() }
    const files = [...this.#files].sort(([one], [other]) => (one < other ? -1 : 1))
    const entries = files.map(
      ([path, file]): SourceEntry => ({ ...shared, kind: 'file', path, origin: path, mode: file.mode, size: file.content.length }),
    )
    const root: SourceEntry = { ...shared, kind: 'directory', path: '', origin: '', mode: 0o755, size: 0 }
    return Promise.resolve([{ path: '', name: posix.basename('/'), entries: [root, ...entries] }])
  }

  async *read(entry: SourceEntry): AsyncIterable<Buffer> {
    yield Buffer.from(this.#files.get(entry.origin)?.content ?? [])
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
