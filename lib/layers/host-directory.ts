import type { BigIntStats } from 'node:fs'
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { StrakeError } from '../errors/index.ts'
import { hostXattrs } from './host-xattrs.ts'
import { type ByteString, fromByteString, refuseMarkerName, toByteString } from './names.ts'
import type { LayerEntry } from './pack.ts'
import { readAhead } from './read-ahead.ts'
import { printable } from './walk.ts'

const pieceSize = 256 * 1024
const noXattrs: ReadonlyMap<string, Buffer> = new Map()

export interface HostDirectoryOptions {
  /** Paths from the directory that are left out, with all under them. */
  readonly exclude?: readonly string[] | undefined
}

/**
 * A directory of this machine as entries of a layer, sorted, no link followed. Files of the calling user, unless that is root, are said to be
 * root's: an ordinary user's root file system is one that it unpacked itself. Sockets are left out, and so are xattrs that are not for a container to
 * set (`judgeXattr`). A name that begins with `.wh.` is refused with `layer_invalid`.
 */
export async function* directoryEntries(root: string, options: HostDirectoryOptions = {}): AsyncGenerator<LayerEntry, void, void> {
  const excluded = new Set((options.exclude ?? []).map((path) => toByteString(path).replace(/^\/+|\/+$/g, '')))
  const base = toByteString(root).replace(/\/+$/, '')
  const links = new Map<string, ByteString>()
  const top = await lstatOf(base || '/')
  if (!top.isDirectory()) throw new StrakeError('invalid_argument', `${printable(root)} is not a directory`)
  yield { ...attributesOf(top), xattrs: await xattrsOf(base || '/'), path: '.', type: 'directory' }
  const stack = [await namesIn(base, '')]
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const path = level.pop()
    if (path === undefined) {
      stack.pop()
      continue
    }
    if (excluded.has(path)) continue
    refuseMarkerName(path)
    const stats = await lstatOf(`${base}/${path}`)
    const entry = await entryOf(base, path, stats, links)
    if (entry) yield entry
    if (stats.isDirectory()) stack.push(await namesIn(base, path))
  }
}

/** In reverse, so that `pop` gives the first. */
async function namesIn(base: ByteString, directory: ByteString): Promise<ByteString[]> {
  const names = await named(`${base}/${directory}`, (path) => readdir(path, { encoding: 'buffer' }))
  return names
    .map((name) => `${directory === '' ? '' : `${directory}/`}${name.toString('latin1')}`)
    .sort((one, other) => (one < other ? 1 : -1))
}

async function lstatOf(path: ByteString): Promise<BigIntStats> {
  return await named(path, (bytes) => lstat(bytes, { bigint: true }))
}

async function xattrsOf(path: ByteString): Promise<ReadonlyMap<string, Buffer>> {
  return await named(path, hostXattrs)
}

async function named<T>(path: ByteString, read: (path: Buffer) => T | Promise<T>): Promise<T> {
  try {
    return await read(fromByteString(path))
  } catch (cause) {
    throw new StrakeError('invalid_argument', `${printable(fromByteString(path))} cannot be read`, {
      cause,
      hint: 'a root file system must be readable as a whole by the user who imports it',
    })
  }
}

function attributesOf(stats: BigIntStats): Pick<LayerEntry, 'mode' | 'uid' | 'gid' | 'mtime'> & object {
  const uid = process.getuid?.() ?? 0
  const own = (id: bigint, caller: number): number => (uid !== 0 && Number(id) === caller ? 0 : Number(id))
  const nanoseconds = stats.mtimeNs
  const nsec = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return {
    mode: Number(stats.mode & 0o7777n),
    uid: own(stats.uid, uid),
    gid: own(stats.gid, process.getgid?.() ?? 0),
    mtime: { sec: Number((nanoseconds - nsec) / 1_000_000_000n), nsec: Number(nsec) },
  }
}

async function entryOf(
  base: ByteString,
  path: ByteString,
  stats: BigIntStats,
  links: Map<string, ByteString>,
): Promise<LayerEntry | undefined> {
  // A link's own could be none of those that are kept.
  const xattrs = stats.isSymbolicLink() ? noXattrs : await xattrsOf(`${base}/${path}`)
  const common = { ...attributesOf(stats), xattrs, path: fromByteString(path) }
  if (stats.isDirectory()) return { ...common, type: 'directory' }
  if (stats.nlink > 1n) {
    const identity = `${stats.dev}:${stats.ino}`
    const first = links.get(identity)
    if (first !== undefined) return { ...common, type: 'link', linkPath: fromByteString(first) }
    links.set(identity, path)
  }
  const device = {
    major: Number(((stats.rdev >> 8n) & 0xfffn) | ((stats.rdev >> 32n) & ~0xfffn)),
    minor: Number((stats.rdev & 0xffn) | ((stats.rdev >> 12n) & ~0xffn)),
  }
  if (stats.isFile())
    return { ...common, type: 'file', size: Number(stats.size), content: contentOf(`${base}/${path}`, Number(stats.size)) }
  if (stats.isSymbolicLink())
    return { ...common, type: 'symlink', linkPath: await named(`${base}/${path}`, (bytes) => readlink(bytes, { encoding: 'buffer' })) }
  if (stats.isFIFO()) return { ...common, type: 'fifo' }
  if (stats.isCharacterDevice()) return { ...common, ...device, type: 'character' }
  if (stats.isBlockDevice()) return { ...common, ...device, type: 'block' }
  return undefined
}

/** Reads the next piece while one is packed; beyond `size`, too, so that it is seen when a file grows. */
async function* contentOf(path: ByteString, size: number): AsyncGenerator<Buffer> {
  const handle = await named(path, (bytes) => open(bytes, 'r'))
  let left = size
  const read = async (): Promise<Buffer> => {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(Math.min(pieceSize, Math.max(0, left) + 1)))
    left -= bytesRead
    return buffer.subarray(0, bytesRead)
  }
  try {
    yield* readAhead(read)
  } finally {
    await handle.close()
  }
}
