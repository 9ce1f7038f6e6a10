import { constants, fstatSync, readSync } from 'node:fs'
import { closeFd } from '../../../native/binding.ts'
import { StrakeError } from '../../errors/index.ts'
import { decodeRecords, type FileRecord, flags } from '../../sys/index.ts'
import type { Agent } from '../../zygote/index.ts'
import { type BytePath, opPath, textPath } from './entry.ts'

const maxLinks = 40

export const fileTypeMask = 0o170000
export const fileTypes = { directory: 0o040000, file: 0o100000, link: 0o120000 } as const

export function isType(record: FileRecord | undefined, type: keyof typeof fileTypes): record is FileRecord {
  return record !== undefined && (record.mode & fileTypeMask) === fileTypes[type]
}

/** What is known of a file that was made a moment ago. */
const blank: FileRecord = {
  name: Buffer.alloc(0),
  mode: 0,
  uid: 0,
  gid: 0,
  nlink: 1,
  size: 0,
  ino: 0n,
  dev: 0n,
  mtimeSec: 0,
  mtimeNsec: 0,
  rdevMajor: 0,
  rdevMinor: 0,
  target: Buffer.alloc(0),
  xattrs: new Map(),
}

export function parentOf(path: BytePath): BytePath {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 1))
}

export function joinPath(directory: BytePath, name: BytePath): BytePath {
  return directory === '/' ? `/${name}` : `${directory}/${name}`
}

/** Where a path leads, and what is there now. */
export interface Place {
  /** Absolute, without links up to the last name that exists. */
  readonly path: BytePath
  /** undefined when nothing is there. */
  readonly record: FileRecord | undefined
}

/**
 * Looks paths up in the root of a confined agent: links are followed as a process in that root would follow them, so
 * wherever they point, it is inside. What was seen is remembered, so whoever writes takes `note` of it here.
 */
export class RootPaths {
  readonly #agent: Agent
  readonly #records = new Map<BytePath, FileRecord | undefined>()
  /** Directories of which every entry is in `#records`. */
  readonly #listed = new Set<BytePath>()

  constructor(agent: Agent) {
    this.#agent = agent
  }

  /** What is at `path` itself, its parents being free of links. */
  async stat(path: BytePath): Promise<FileRecord | undefined> {
    if (this.#records.has(path) || this.#listed.has(parentOf(path))) return this.#records.get(path)
    const { results } = await this.#agent.run([{ op: 'stat', path: opPath(path), tolerate: ['ENOENT', 'ENOTDIR'] }])
    const bytes = results[0]
    const record = bytes instanceof Uint8Array && bytes.length > 0 ? decodeRecords(bytes)[0] : undefined
    this.#records.set(path, record)
    return record
  }

  /** The entries of a directory (its path free of links), sorted by the bytes of their names. */
  async list(path: BytePath): Promise<readonly FileRecord[]> {
    const { results } = await this.#agent.run([{ op: 'readDir', path: opPath(path) }])
    const bytes = results[0]
    const records = bytes instanceof Uint8Array ? decodeRecords(bytes) : []
    const entries = records
      .filter(({ name }) => !['.', '..'].includes(name.toString('latin1')))
      .sort((one, other) => Buffer.compare(one.name, other.name))
    for (const record of entries) this.#records.set(joinPath(path, record.name.toString('latin1')), record)
    this.#listed.add(path)
    return entries
  }

  /** Takes note of what was just put at `path`: a new, empty directory, or anything else. */
  note(path: BytePath, kind: 'directory' | 'file' | 'link', target: BytePath = ''): void {
    this.#records.set(path, { ...blank, mode: fileTypes[kind], target: Buffer.from(target, 'latin1') })
    if (kind === 'directory') this.#listed.add(path)
  }

  isListed(path: BytePath): boolean {
    return this.#listed.has(path)
  }

  /**
   * Where the absolute `path` leads, every link followed, the last one too. A loop of links is refused, or else `skips`: nothing is there then.
   *
   * @param hides links that count as not there
   */
  async resolve(path: BytePath, skips = false, hides?: (link: BytePath) => boolean): Promise<Place> {
    let rest = path.split('/')
    let here: BytePath[] = []
    let record: FileRecord | undefined = await this.stat('/')
    for (let links = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest
      rest = after
      if (name === '' || name === '.') continue
      if (name === '..') {
        here.pop()
        record = await this.stat(`/${here.join('/')}`)
        continue
      }
      const next = `/${[...here, name].join('/')}`
      const found = await this.stat(next)
      if (!isType(found, 'link')) {
        here.push(name)
        record = found
        continue
      }
      if (hides?.(next)) return { path, record: undefined }
      links += 1
      if (links > maxLinks && skips) return { path, record: undefined }
      if (links > maxLinks)
        throw new StrakeError('invalid_argument', `${textPath(path)} is a loop of links in the image`, {
          details: { path: textPath(path) },
        })
      const target = found.target.toString('latin1')
      rest = [...target.split('/'), ...rest]
      if (target.startsWith('/')) here = []
    }
    return { path: `/${here.join('/')}`, record }
  }

  /** The content of a file of the image, such as /etc/passwd; undefined when there is none. `limit_exceeded` beyond `maxBytes`. */
  async readFile(path: BytePath, maxBytes = 16 << 20): Promise<Buffer | undefined> {
    const place = await this.resolve(path)
    if (!isType(place.record, 'file')) return undefined
    if (place.record.size > maxBytes)
      throw new StrakeError('limit_exceeded', `${textPath(path)} in the image has more than ${maxBytes} bytes`)
    const pieces: Buffer[] = []
    for await (const piece of readOpened(await openFile(this.#agent, place.path), maxBytes)) pieces.push(piece)
    return Buffer.concat(pieces)
  }
}

/** Opens a regular file in the agent's root for reading, and returns a file descriptor of this process. */
export async function openFile(agent: Agent, path: BytePath): Promise<number> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_CLOEXEC } = flags.O
  const { fds } = await agent.run([
    { op: 'open', path: opPath(path), flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, out: 'source' },
    { op: 'sendFd', fd: 'source', name: 'source' },
    { op: 'close', fd: 'source' },
  ])
  const file = fds.source
  if (file === undefined) throw new StrakeError('kernel_refused', `opening ${textPath(path)} in the image gave no file`)
  return file
}

/** The bytes of an open file, which is closed at the end. */
export async function* readOpened(file: number, maxBytes = Number.MAX_SAFE_INTEGER): AsyncIterable<Buffer> {
  try {
    if ((fstatSync(file).mode & constants.S_IFMT) !== constants.S_IFREG)
      throw new StrakeError('context_invalid', 'what was opened is no regular file')
    for (let total = 0; total < maxBytes; ) {
      const piece = Buffer.allocUnsafe(256 * 1024)
      const length = readSync(file, piece)
      if (length === 0) return
      total += length
      yield piece.subarray(0, length)
    }
  } finally {
    closeFd(file)
  }
}
