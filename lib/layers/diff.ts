import { closeFd } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { type FileRecord, flags, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { isDirectory, isOpaque, isWhiteout } from './lower.ts'
import { type ByteString, fromByteString, refuseMarkerName, toByteString, whiteoutPrefix } from './names.ts'
import { readOpenFile } from './open-file.ts'
import type { LayerEntry } from './pack.ts'
import { type Found, walkTree } from './walk-tree.ts'
import { isOverlayMark, plainCapability } from './xattrs.ts'

export interface DiffOptions {
  /** Paths from the root that are left out, with all that is under them: mount points of ours, say. */
  readonly exclude?: readonly string[] | undefined
  /** false where only one id is mapped: everything is said to be root's. Default true. */
  readonly ownership?: boolean | undefined
  /** false where the directory is all there is, and hides nothing. Default true. */
  readonly whiteouts?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_CLOEXEC } = flags.O
const filesAtOnce = 48
const entriesAtOnce = 1000
/** Bytes up to which a file is read ahead. */
const smallFile = 64 * 1024

/**
 * What the upper directory of an overlay, the root of `agent`, says about the layers below it, as entries of a layer: sorted by path, a
 * directory before what is in it; overlayfs' whiteouts and opaque marks become `.wh.` names (image-spec, layer.md). Sockets
 * are left out, as every tar does. Nothing may write to the directory meanwhile: `layer_invalid` if a file changes its size, and if one has
 * the name of such a mark itself.
 */
export async function* diffEntries(agent: Agent, options: DiffOptions = {}): AsyncGenerator<LayerEntry, void, void> {
  const excluded = new Set((options.exclude ?? []).map((path) => toByteString(path).replace(/^\/+|\/+$/g, '')))
  const links = new HardLinks()
  const waiting = new FileQueue(agent)
  try {
    for await (const found of walkTree(agent, excluded)) {
      if (options.signal?.aborted) throw new StrakeError('aborted', 'packing was aborted', { cause: options.signal.reason })
      if (options.whiteouts === false && isWhiteout(found.record)) continue
      if (!isWhiteout(found.record)) refuseMarkerName(found.path)
      for (const { entry, file } of entriesOf(found, links, options)) yield* waiting.add(entry, file)
    }
    yield* waiting.flush()
  } finally {
    await waiting.close()
  }
}

/** The first path of each file of which further ones are to come. */
class HardLinks {
  readonly #known = new Map<string, { readonly path: ByteString; left: number }>()

  /** Of a file with more than one link; undefined if it is this one. */
  firstOf({ dev, ino, nlink }: FileRecord, path: ByteString): ByteString | undefined {
    const identity = `${dev}:${ino}`
    const known = this.#known.get(identity)
    if (known === undefined) {
      this.#known.set(identity, { path, left: nlink - 1 })
      return undefined
    }
    known.left -= 1
    if (known.left === 0) this.#known.delete(identity)
    return known.path
  }
}

/** `file` is the path to read the content from. */
function* entriesOf(
  found: Found,
  links: HardLinks,
  { ownership = true, whiteouts = true }: DiffOptions,
): Generator<{ entry: LayerEntry; file?: ByteString }> {
  const { path, record } = found
  if (isWhiteout(record)) {
    const at = path.lastIndexOf('/') + 1
    const name = fromByteString(`${path.slice(0, at)}${whiteoutPrefix}${path.slice(at)}`)
    yield { entry: { path: name, type: 'file', content: Buffer.alloc(0) } }
    return
  }
  const common = {
    path: fromByteString(path),
    mode: record.mode & 0o7777,
    uid: ownership ? record.uid : 0,
    gid: ownership ? record.gid : 0,
    mtime: timeOf(record),
    xattrs: shippedXattrs(record),
  }
  if (isDirectory(record)) {
    yield { entry: { ...common, type: 'directory' } }
    if (whiteouts && isOpaque(record))
      yield { entry: { path: fromByteString(`${path}/.wh..wh..opq`), type: 'file', content: Buffer.alloc(0) } }
    return
  }
  const first = record.nlink > 1 ? links.firstOf(record, path) : undefined
  if (first !== undefined) {
    yield { entry: { ...common, type: 'link', linkPath: fromByteString(first), xattrs: new Map() } }
    return
  }
  switch (record.mode & 0o170000) {
    case 0o100000:
      yield { entry: { ...common, type: 'file', size: record.size }, file: path }
      return
    case 0o120000:
      yield { entry: { ...common, type: 'symlink', mode: 0o777, linkPath: record.target } }
      return
    case 0o010000:
      yield { entry: { ...common, type: 'fifo' } }
      return
    case 0o020000:
      yield { entry: { ...common, type: 'character', major: record.rdevMajor, minor: record.rdevMinor } }
      return
    case 0o060000:
      yield { entry: { ...common, type: 'block', major: record.rdevMajor, minor: record.rdevMinor } }
      return
    default:
      return
  }
}

function timeOf(record: FileRecord): { sec: number; nsec: number } {
  return { sec: record.mtimeSec, nsec: record.mtimeNsec }
}

function shippedXattrs(record: FileRecord): Map<string, Buffer> {
  const shipped = new Map<string, Buffer>()
  for (const [name, value] of record.xattrs) {
    if (isOverlayMark(name) || name === 'security.selinux') continue
    const capability = name === 'security.capability' ? plainCapability(value) : value
    if (capability !== undefined) shipped.set(name, capability)
  }
  return shipped
}

interface Held {
  readonly entry: LayerEntry
  /** Path of the file that holds the content. */
  readonly file: ByteString | undefined
}

/** Content that was read ahead, or an open file. */
interface Loaded {
  readonly entries: readonly Held[]
  readonly contents: Map<number, Buffer | number>
}

/**
 * Holds entries back until a request's worth of files can be opened at once, and opens the next ones while those before are packed.
 * Keeps their order.
 */
class FileQueue {
  readonly #agent: Agent
  #held: Held[] = []
  #files = 0
  #loading: Promise<Loaded> | undefined
  #current: Loaded | undefined

  constructor(agent: Agent) {
    this.#agent = agent
  }

  async *add(entry: LayerEntry, file: ByteString | undefined): AsyncGenerator<LayerEntry> {
    const reads = file !== undefined && entry.size !== 0
    this.#held.push({
      entry: reads ? entry : { ...entry, content: entry.type === 'file' ? Buffer.alloc(0) : undefined },
      file: reads ? file : undefined,
    })
    this.#files += reads ? 1 : 0
    if (this.#files >= filesAtOnce || this.#held.length >= entriesAtOnce) yield* this.#next()
  }

  /** Starts on what is held and gives what was held before. */
  async *#next(): AsyncGenerator<LayerEntry> {
    const ready = this.#loading
    const entries = this.#held
    this.#held = []
    this.#files = 0
    this.#loading = entries.length > 0 ? this.#load(entries) : undefined
    // Whoever waits for it learns of a failure; until then nobody may.
    this.#loading?.catch(() => undefined)
    if (ready === undefined) return
    const loaded = await ready
    this.#current = loaded
    for (const [index, { entry, file }] of loaded.entries.entries()) {
      if (file === undefined) {
        yield entry
        continue
      }
      const content = loaded.contents.get(index)
      yield { ...entry, content: typeof content === 'number' ? this.#read(loaded, index, content, entry.size ?? 0) : content }
    }
  }

  async *flush(): AsyncGenerator<LayerEntry> {
    yield* this.#next()
    yield* this.#next()
  }

  /** Small files are read at once, beside one another; of the others the open file is kept. */
  async #load(entries: readonly Held[]): Promise<Loaded> {
    const loaded: Loaded = { entries, contents: new Map() }
    const wanted = [...entries.entries()].filter(([, { file }]) => file !== undefined)
    if (wanted.length === 0) return loaded
    const { fds } = await this.#agent.run(
      wanted.flatMap(([index, { file = '' }]): Op[] => [
        { op: 'open', path: fromByteString(`/${file}`), flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, out: 'file' },
        { op: 'sendFd', fd: 'file', name: String(index) },
        { op: 'close', fd: 'file' },
      ]),
    )
    for (const [name, fd] of Object.entries(fds)) loaded.contents.set(Number(name), fd)
    try {
      await Promise.all(
        wanted.map(async ([index, { entry }]) => {
          const fd = loaded.contents.get(index)
          if (typeof fd !== 'number' || entry.size === undefined || entry.size > smallFile) return
          const pieces: Buffer[] = []
          loaded.contents.delete(index)
          for await (const piece of readOpenFile(fd, entry.size)) pieces.push(piece)
          loaded.contents.set(index, pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces))
        }),
      )
    } catch (error) {
      closeAll(loaded)
      throw error
    }
    return loaded
  }

  /** An fd is this queue's until its content is asked for. */
  async *#read(loaded: Loaded, index: number, fd: number, size: number): AsyncGenerator<Buffer, void, void> {
    loaded.contents.delete(index)
    yield* readOpenFile(fd, size)
  }

  async close(): Promise<void> {
    if (this.#current) closeAll(this.#current)
    const loading = await this.#loading?.catch(() => undefined)
    if (loading) closeAll(loading)
  }
}

function closeAll(loaded: Loaded): void {
  for (const content of loaded.contents.values()) if (typeof content === 'number') closeFd(content)
  loaded.contents.clear()
}
