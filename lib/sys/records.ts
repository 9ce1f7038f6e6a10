/** What `stat` and `readDir` tell of a file, without following links (statx(2), readlink(2), listxattr(2)). */
export interface FileRecord {
  /** Bytes of the name, as the file system has them; empty for `stat`. */
  readonly name: Buffer
  /** Type and permissions, as st_mode. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly nlink: number
  readonly size: number
  readonly ino: bigint
  readonly dev: bigint
  readonly mtimeSec: number
  readonly mtimeNsec: number
  readonly rdevMajor: number
  readonly rdevMinor: number
  /** A symlink's target; empty for anything else. */
  readonly target: Buffer
  readonly xattrs: ReadonlyMap<string, Buffer>
}

/**
 * Decodes the result of `readDir` or `stat`. Little-endian records: mode, uid, gid, nlink (u32); size, ino, dev (u64);
 * mtime seconds (i64); mtime nanoseconds, rdev major, rdev minor (u32); name, target (u32 length, bytes); xattr count
 * (u32), then for each its name and value (u32 length, bytes).
 */
export function decodeRecords(bytes: Uint8Array): FileRecord[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: FileRecord[] = []
  let at = 0
  const text = (): Buffer => {
    const length = buffer.readUInt32LE(at)
    const value = buffer.subarray(at + 4, at + 4 + length)
    at += 4 + length
    return value
  }
  while (at < buffer.length) {
    const base = at
    at += 60
    const name = text()
    const target = text()
    const xattrs = new Map<string, Buffer>()
    const count = buffer.readUInt32LE(at)
    at += 4
    for (let each = 0; each < count; each += 1) {
      const key = text().toString('latin1')
      xattrs.set(key, text())
    }
    records.push({
      name,
      mode: buffer.readUInt32LE(base),
      uid: buffer.readUInt32LE(base + 4),
      gid: buffer.readUInt32LE(base + 8),
      nlink: buffer.readUInt32LE(base + 12),
      size: Number(buffer.readBigUInt64LE(base + 16)),
      ino: buffer.readBigUInt64LE(base + 24),
      dev: buffer.readBigUInt64LE(base + 32),
      mtimeSec: Number(buffer.readBigInt64LE(base + 40)),
      mtimeNsec: buffer.readUInt32LE(base + 48),
      rdevMajor: buffer.readUInt32LE(base + 52),
      rdevMinor: buffer.readUInt32LE(base + 56),
      target,
      xattrs,
    })
  }
  return records
}
