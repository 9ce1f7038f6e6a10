import type { FileIdentity } from './digest-cache.ts'

/**
 * A path whose every character is one byte (`latin1`): file names are bytes, and need not be UTF-8. Made by `bytePath`,
 * shown to people by `textPath`, given to an op by `opPath`.
 */
export type BytePath = string

export function bytePath(text: string): BytePath {
  return Buffer.from(text).toString('latin1')
}

export function textPath(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString()
}

export function opPath(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1')
}

export type EntryKind = 'file' | 'directory' | 'link'

/** One file, directory or symlink that a `copy` takes. */
export interface SourceEntry {
  readonly kind: EntryKind
  /** Below what was named; empty for the named thing itself. */
  readonly path: BytePath
  /** Where its source finds it again. */
  readonly origin: BytePath
  /** Permissions with setuid, setgid and sticky bits; of no meaning for a link. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Whole seconds since 1970; undefined for what has no time of its own (files from memory). */
  readonly mtime: number | undefined
  /** Bytes of a file. */
  readonly size: number
  /** What a link says. */
  readonly target: BytePath
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Of a file that may have other names, which one it is (inode(7)). */
  readonly inode?: { readonly dev: number | bigint; readonly ino: number | bigint } | undefined
  /** Of a file of this machine, what it looked like. */
  readonly identity?: FileIdentity | undefined
}

/** A fifo, a device or a socket: nothing can be copied of it. */
export interface LeftOut {
  /** As of a `SourceEntry`. */
  readonly path: BytePath
  /** `a fifo` */
  readonly what: string
}

/** What one path of a `copy` stands for. */
export interface SourceMatch {
  /** What was found, by its names from the root of the source. */
  readonly path: BytePath
  /** The last name of the path: what a file is called when it is copied into a directory. */
  readonly name: BytePath
  /** The named thing first, then what is below it, parents before children, sorted; nothing where it is `leftOut` itself. */
  readonly entries: readonly SourceEntry[]
  /** What is there, too, of a source that has such things. */
  readonly leftOut?: readonly LeftOut[]
}

/** A home of files to copy: the context directory, memory, another image. */
export interface FileSource extends AsyncDisposable {
  /** Of a directory of this machine, its path. */
  readonly root?: BytePath
  /** What `pattern` (a path, or a pattern of path.Match in Go) names, sorted; empty when it names nothing. */
  find(pattern: string): Promise<readonly SourceMatch[]>
  /** The directory at a path above one that `find` gave, of a source that knows more of it than its name. */
  directory?(path: BytePath): SourceEntry | undefined | Promise<SourceEntry | undefined>
  /** The bytes of a file. */
  read(entry: SourceEntry): AsyncIterable<Buffer>
  /** All of a file at once, of a source that can; meant for small ones. A byte more than its size where it has grown. */
  readNow?(entry: SourceEntry): Buffer
  /** SHA-256 of a file in hex, of a source that may know it without reading all of it again. */
  digestOf?(entry: SourceEntry): string | Promise<string>
  /** Told of a file whose content is not what `digestOf` said. */
  forget?(entry: SourceEntry): void
}

/** What of a source counts as not there. */
export interface PathFilter {
  /** @param path relative to the root of the source, without `./` */
  ignores(path: string): boolean
  /** Whether something below an ignored directory may not be ignored: where it may not, nobody looks. */
  mayHold(directory: string): boolean
}
