import { decodeRecords, type FileRecord, flags } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type ByteString, fromByteString } from './names.ts'

/** The merged view of the layers below one that is being unpacked. Paths are absolute, without links among their parents; `` is the root. */
export interface LowerView {
  /** What the path is, not following a link; undefined when there is nothing, or a whiteout. */
  stat(path: ByteString): Promise<FileRecord | undefined>
  /** Names in a directory. */
  list(path: ByteString): Promise<ByteString[]>
  /** Opens a regular file for reading; the caller closes the fd. */
  open(path: ByteString): Promise<number>
}

const typeMask = 0o170000
const characterType = 0o020000
const directoryType = 0o040000

export function isWhiteout(record: FileRecord): boolean {
  if ((record.mode & typeMask) === characterType) return record.rdevMajor === 0 && record.rdevMinor === 0
  return record.size === 0 && record.xattrs.has('user.overlay.whiteout')
}

export function isOpaque(record: FileRecord): boolean {
  return ['user.overlay.opaque', 'trusted.overlay.opaque'].some((name) => record.xattrs.get(name)?.toString('latin1') === 'y')
}

interface Found {
  readonly record: FileRecord
  /** The agents in whose layer this directory takes part in the merged one, topmost first; of a file the one it is in. */
  readonly layers: readonly Agent[]
}

/** Asks an agent what a path is, not following it; undefined when there is nothing. */
export async function statThrough(agent: Agent, path: ByteString): Promise<FileRecord | undefined> {
  const { results } = await agent.run([{ op: 'stat', path: fromByteString(path || '/'), tolerate: ['ENOENT', 'ENOTDIR'] }])
  const result = results[0]
  return result instanceof Uint8Array && result.length > 0 ? decodeRecords(result)[0] : undefined
}

/**
 * Merges snapshots as overlayfs does (Documentation/filesystems/overlayfs.rst), by asking an agent that is confined to each.
 * `agents` are topmost first. What was asked once is remembered.
 */
export class SnapshotView implements LowerView {
  readonly #agents: readonly Agent[]
  readonly #directories = new Map<ByteString, Promise<Found | undefined>>()

  constructor(agents: readonly Agent[]) {
    this.#agents = agents
  }

  async stat(path: ByteString): Promise<FileRecord | undefined> {
    return (await this.#find(path))?.record
  }

  async list(path: ByteString): Promise<ByteString[]> {
    const names = new Map<ByteString, boolean>()
    for (const agent of (await this.#find(path))?.layers ?? []) {
      const { results } = await agent.run([{ op: 'readDir', path: fromByteString(path || '/') }])
      const bytes = results[0]
      for (const record of bytes instanceof Uint8Array ? decodeRecords(bytes) : []) {
        const name = record.name.toString('latin1')
        if (!names.has(name)) names.set(name, !isWhiteout(record))
      }
    }
    return [...names].filter(([, shown]) => shown).map(([name]) => name)
  }

  async open(path: ByteString): Promise<number> {
    const found = await this.#find(path)
    const agent = found?.layers[0]
    if (agent === undefined) throw new Error(`not in the layers below: ${path}`)
    const { fds } = await agent.run([
      { op: 'open', path: fromByteString(path), flags: flags.O.O_RDONLY | flags.O.O_NOFOLLOW | flags.O.O_CLOEXEC, out: 'file' },
      { op: 'sendFd', fd: 'file', name: 'file' },
      { op: 'close', fd: 'file' },
    ])
    const fd = fds.file
    if (fd === undefined) throw new Error(`no fd came back for ${path}`)
    return fd
  }

  #find(path: ByteString): Promise<Found | undefined> {
    const known = this.#directories.get(path)
    if (known) return known
    const found = this.#look(path)
    this.#directories.set(path, found)
    return found
  }

  async #look(path: ByteString): Promise<Found | undefined> {
    const parent = path === '' ? undefined : await this.#find(path.slice(0, path.lastIndexOf('/')))
    const candidates = path === '' ? this.#agents : parent && isDirectory(parent.record) ? parent.layers : []
    const layers: Agent[] = []
    let top: FileRecord | undefined
    for (const agent of candidates) {
      const record = await statThrough(agent, path)
      if (record === undefined) continue
      if (isWhiteout(record)) break
      if (!isDirectory(record)) {
        if (top === undefined) return { record, layers: [agent] }
        break
      }
      top ??= record
      layers.push(agent)
      if (isOpaque(record) && path !== '') break
    }
    return top && { record: top, layers }
  }
}

export function isDirectory(record: FileRecord): boolean {
  return (record.mode & typeMask) === directoryType
}
