import { StrakeError } from '../../errors/index.ts'
import { decompressArchive, type LayerEntry, printable, walkTar } from '../../layers/index.ts'
import type { ByteStream } from '../../store/index.ts'
import type { BytePath } from './entry.ts'

const zeroes = Buffer.alloc(64 * 1024)

function archiveInvalid(name: string, why: string): StrakeError {
  return new StrakeError('context_invalid', `the archive ${printable(name)} ${why}`, { details: { path: name } })
}

function unreadable(name: string, error: StrakeError): StrakeError {
  return new StrakeError('context_invalid', `the archive ${printable(name)} cannot be looked into: ${error.message.split('\n')[0]}`, {
    cause: error,
    hint: `${error.hint}, or add it with keepArchives: true and unpack it by a run`,
    details: { ...error.details, path: name },
  })
}

/** What is wrong with the bytes of an archive, as a failure of the archive that somebody named. */
export function archiveDamaged(name: string, error: unknown): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'layer_invalid') return error
  return new StrakeError('context_invalid', `the archive ${printable(name)} cannot be unpacked: ${error.message.split('\n')[0]}`, {
    cause: error,
    hint: error.hint,
    details: { ...error.details, path: name },
  })
}

/** Whether a file is a tar, compressed by gzip, zstd, xz, bzip2 or not: told by its bytes, whatever its name says. */
export async function isArchive(name: string, content: ByteStream): Promise<boolean> {
  try {
    for await (const _ of walkTar(decompressArchive(content))) return true
    return false
  } catch (error) {
    if (error instanceof StrakeError && error.details?.program !== undefined) throw unreadable(name, error)
    if (error instanceof StrakeError && (error.code === 'layer_invalid' || error.code === 'limit_exceeded')) return false
    throw error
  }
}

async function* named<T>(name: string, given: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* given
  } catch (error) {
    throw archiveDamaged(name, error)
  }
}

async function* filled(size: number, pieces: AsyncIterable<{ readonly offset: number; readonly bytes: Buffer }>): AsyncGenerator<Buffer> {
  let at = 0
  function* gap(end: number): Generator<Buffer> {
    for (; at < end; at += Math.min(zeroes.length, end - at)) yield zeroes.subarray(0, Math.min(zeroes.length, end - at))
  }
  for await (const { offset, bytes } of pieces) {
    for (const hole of gap(offset)) yield hole
    yield bytes
    at = offset + bytes.length
  }
  for (const hole of gap(size)) yield hole
}

/** A path of the archive below the destination; empty for the archive's own root. */
function placed(name: string, path: Buffer, destination: BytePath): BytePath {
  const names = path
    .toString('latin1')
    .split('/')
    .filter((each) => each !== '' && each !== '.')
  if (names.includes('..'))
    throw new StrakeError('path_escapes', `the archive ${printable(name)} has a path that leads out of it: ${printable(path)}`, {
      details: { path: path.toString() },
    })
  // In a layer such a name would hide another file (image-spec, layer.md, "Whiteouts").
  if (names.some((each) => each.startsWith('.wh.'))) throw archiveInvalid(name, `has a name that no image can hold: ${printable(path)}`)
  return names.length === 0 ? '' : [...destination.split('/').filter(Boolean), ...names].join('/')
}

/**
 * The entries of an archive, below `destination`, as those of a layer, owners as it has them: whoever unpacks that is confined to the image. What follows the archive's end mark
 * plays no part. Rejects with `context_invalid` where the archive is damaged, its name in `details`, and with `path_escapes`, `limit_exceeded`.
 */
export async function* archiveEntries(name: string, content: ByteStream, destination: BytePath): AsyncGenerator<LayerEntry> {
  for await (const entry of named(name, walkTar(decompressArchive(content), {}, { ignoresTail: true }))) {
    const path = placed(name, entry.path, destination)
    if (path === '') continue
    const { type, mode, uid, gid, mtime, xattrs, major, minor, size } = entry
    yield {
      path: Buffer.from(path, 'latin1'),
      type,
      mode,
      uid,
      gid,
      mtime,
      xattrs,
      major,
      minor,
      ...(type === 'symlink' ? { linkPath: entry.linkPath } : {}),
      ...(type === 'link' ? { linkPath: Buffer.from(placed(name, entry.linkPath, destination), 'latin1') } : {}),
      ...(type === 'file' ? { size, content: filled(size, named(name, entry.pieces())) } : {}),
    }
  }
}
