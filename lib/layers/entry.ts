/** What a layer's entry is. `link` is a hard link. */
export type EntryType = 'file' | 'directory' | 'symlink' | 'link' | 'character' | 'block' | 'fifo'

/** Seconds since 1970, which may be negative, and the nanoseconds after them. */
export interface Time {
  readonly sec: number
  readonly nsec: number
}

/** A stretch of a sparse file that holds data; what lies between is zeroes. */
export interface Region {
  readonly offset: number
  readonly length: number
}

/** Bytes of a file and where they belong. */
export interface Piece {
  readonly offset: number
  readonly bytes: Buffer
}

/** One entry of a tar, all of its extended headers applied. Names are the very bytes that the archive has. */
export interface TarEntry {
  readonly path: Buffer
  readonly type: EntryType
  /** Permissions with setuid, setgid and sticky bit: 12 bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of a file, holes included; 0 for anything else. */
  readonly size: number
  readonly mtime: Time
  /** Of a symlink its target, of a hard link the path of the entry that it links to; else empty. */
  readonly linkPath: Buffer
  readonly major: number
  readonly minor: number
  /** Values by name, from PAX records `SCHILY.xattr.*`. */
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Where the data of a sparse file is, in order; undefined for any other. */
  readonly regions?: readonly Region[]
  /** The whole content where it lies in memory in one piece, in place of `pieces`; undefined where it does not. */
  whole(): Buffer | undefined
  /** The content, once, and only until the next entry is asked for. What is not read is skipped. */
  pieces(): AsyncGenerator<Piece, void, void>
}
