import { fstatSync, readFile, writeFile } from 'node:fs'
import { posix } from 'node:path'
import { promisify } from 'node:util'
import { closeFd } from '../../native/binding.ts'
import { invalidOption, kindOfValue, optionCheck, StrakeError } from '../errors/index.ts'
import { decodeRecords, type FileRecord, flags, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { explainFile, explainUse } from './file-failure.ts'
import type { Access } from './inside.ts'

const { O } = flags
const readFrom = promisify<number, Buffer>(readFile)
const writeTo = promisify<number, string | Uint8Array>(writeFile)

export interface FileEntry {
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink' | 'character-device' | 'block-device' | 'fifo' | 'socket'
  /** Permissions, as chmod(2). */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly modified: Date
  /** Of a symlink. */
  readonly target?: string
}

/** By the type bits of a mode (inode(7)). */
const types: ReadonlyMap<number, FileEntry['type']> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o020000, 'character-device'],
  [0o060000, 'block-device'],
  [0o010000, 'fifo'],
  [0o140000, 'socket'],
])
/** What open(2) and mkdir(2) do not set. */
const specialBits = 0o7000

function entryOf(record: FileRecord, name: string): FileEntry {
  return {
    name,
    type: types.get(record.mode & 0o170000) ?? 'file',
    mode: record.mode & 0o7777,
    uid: record.uid,
    gid: record.gid,
    size: record.size,
    modified: new Date(record.mtimeSec * 1000 + record.mtimeNsec / 1e6),
    ...(record.target.length > 0 ? { target: record.target.toString() } : {}),
  }
}

interface ReadFileOptions {
  readonly encoding?: BufferEncoding | undefined
}

interface ModeOptions {
  /** Permissions, as chmod(2): 0o644. */
  readonly mode?: number | undefined
}

const checkReadNames = optionCheck<ReadFileOptions>('readFile', { encoding: true })
const checkModeNames = {
  writeFile: optionCheck<ModeOptions>('writeFile', { mode: true }),
  mkdir: optionCheck<ModeOptions>('mkdir', { mode: true }),
} as const

function checkModeOptions(what: keyof typeof checkModeNames, options: ModeOptions): void {
  checkModeNames[what](options)
  const { mode } = options
  if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= 0o7777))
    throw invalidOption('mode must be a number from 0 to 0o7777.', 'Permissions as chmod(2) has them: 0o644.')
}

function encodingOf(options: BufferEncoding | ReadFileOptions): BufferEncoding | undefined {
  if (typeof options !== 'string') checkReadNames(options)
  const encoding: unknown = typeof options === 'string' ? options : options.encoding
  if (encoding === undefined || (typeof encoding === 'string' && Buffer.isEncoding(encoding))) return encoding
  throw invalidOption(
    `${typeof encoding === 'string' ? JSON.stringify(encoding.slice(0, 40)) : kindOfValue(encoding)} is no encoding.`,
    "One of Node's: 'utf8', 'latin1', 'base64', 'hex', …; without one the file is bytes.",
  )
}

/**
 * Files of a container, running or stopped. Every path is absolute and resolved inside the container's root, links and all. Of a stopped one
 * /proc, /sys and /dev are empty.
 */
export class ContainerFiles {
  readonly #agent: (access: Access) => Promise<Agent>
  readonly #gone: (cause: unknown) => StrakeError | undefined

  /** @internal `gone` tells the failure of a container that is being removed. */
  constructor(agent: (access: Access) => Promise<Agent>, gone: (cause: unknown) => StrakeError | undefined) {
    this.#agent = agent
    this.#gone = gone
  }

  /**
   * A whole file, as bytes, or as text when an encoding is given as with node:fs: `'utf8'`, `{ encoding: 'utf8' }`. Rejects with
   * `kernel_refused` (its `details.errno`, `ENOENT` for one), `invalid_argument` when it is no regular file.
   */
  readFile(path: string, options?: { readonly encoding?: undefined }): Promise<Buffer>
  readFile(path: string, options: BufferEncoding | { readonly encoding: BufferEncoding }): Promise<string>
  readFile(path: string, options?: BufferEncoding | ReadFileOptions): Promise<Buffer | string>
  async readFile(path: string, options: BufferEncoding | ReadFileOptions = {}): Promise<Buffer | string> {
    const encoding = encodingOf(options)
    const bytes = await this.#withFile(path, O.O_RDONLY | O.O_NONBLOCK, readFrom)
    return encoding === undefined ? bytes : bytes.toString(encoding)
  }

  /** Makes the file, or replaces its content. A new one is root's, of mode 0644 unless told. */
  async writeFile(path: string, content: string | Uint8Array, options: ModeOptions = {}): Promise<void> {
    checkModeOptions('writeFile', options)
    if (typeof content !== 'string' && !(content instanceof Uint8Array))
      throw invalidOption(`The content of a file is a string or bytes, not ${kindOfValue(content)}.`)
    const mode = options.mode ?? 0o644
    await this.#withFile(path, O.O_WRONLY | O.O_NONBLOCK | O.O_CREAT | O.O_TRUNC, (file) => writeTo(file, content), mode)
    // Writing takes these bits away, so they come last.
    if (mode & specialBits) await this.#run(path, [{ op: 'chmod', path, mode }])
  }

  /** The entries of a directory, by name; of the one that a link leads to. */
  async list(path: string): Promise<readonly FileEntry[]> {
    const bytes = await this.#result(path, { op: 'readDir', path: `${checkPath(path)}/.` })
    const entries = decodeRecords(bytes).map((record) => entryOf(record, record.name.toString()))
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Of a link: the link itself. */
  async stat(path: string): Promise<FileEntry> {
    const [record] = decodeRecords(await this.#result(path, { op: 'stat', path: checkPath(path) }))
    if (!record) throw new StrakeError('invalid_argument', `${path} cannot be looked at.`)
    return entryOf(record, posix.basename(path))
  }

  /** Makes a directory, and those above it that are missing. */
  async mkdir(path: string, options: ModeOptions = {}): Promise<void> {
    checkModeOptions('mkdir', options)
    const names = posix.normalize(checkPath(path)).split('/').filter(Boolean)
    const ops = names.map(
      (_, index): Op => ({
        op: 'mkdir',
        path: `/${names.slice(0, index + 1).join('/')}`,
        mode: options.mode ?? 0o755,
        tolerate: ['EEXIST'],
      }),
    )
    const { mode = 0 } = options
    await this.#run(path, mode & specialBits ? [...ops, { op: 'chmod', path, mode }] : ops)
  }

  /** Removes a file, or a directory and all that is in it. No error when it is not there. */
  async remove(path: string): Promise<void> {
    await this.#run(path, [{ op: 'removeTree', path: checkPath(path) }])
  }

  async #run(path: string, ops: readonly Op[]): Promise<void> {
    const agent = await this.#agent('write')
    try {
      await agent.run(ops)
    } catch (error) {
      throw this.#gone(error) ?? explainFile(error, path)
    } finally {
      await agent.close()
    }
  }

  async #result(path: string, op: Op): Promise<Uint8Array> {
    const agent = await this.#agent('read')
    try {
      const [bytes] = (await agent.run([op])).results
      return bytes instanceof Uint8Array ? bytes : new Uint8Array()
    } catch (error) {
      throw this.#gone(error) ?? explainFile(error, path)
    } finally {
      await agent.close()
    }
  }

  async #withFile<Result>(path: string, mode: number, use: (fd: number) => Promise<Result>, permissions = 0): Promise<Result> {
    const agent = await this.#agent(mode & O.O_WRONLY ? 'write' : 'read')
    let fd: number | undefined
    try {
      const { fds } = await agent.run([
        { op: 'open', path: checkPath(path), flags: mode | O.O_NOCTTY, mode: permissions, out: 'file' },
        { op: 'sendFd', fd: 'file', name: 'file' },
      ])
      fd = fds.file
    } catch (error) {
      // A fifo that nobody reads is refused by open(2) itself.
      if (error instanceof StrakeError && error.details?.errno === 'ENXIO') throw notRegular(path)
      throw this.#gone(error) ?? explainFile(error, path)
    } finally {
      await agent.close()
    }
    if (fd === undefined) throw new StrakeError('invalid_argument', `${path} cannot be opened.`)
    try {
      if (!fstatSync(fd).isFile()) throw notRegular(path)
      return await use(fd).catch((error: unknown) => {
        throw explainUse(error, path)
      })
    } finally {
      closeFd(fd)
    }
  }
}

function notRegular(path: string): StrakeError {
  return new StrakeError('invalid_argument', `${path.slice(0, 200)} is no regular file.`)
}

function checkPath(path: string): string {
  if (typeof path === 'string' && path.startsWith('/') && !path.includes('\0')) return path
  throw new StrakeError(
    'invalid_argument',
    `A path in a container is absolute; this is ${typeof path === 'string' ? JSON.stringify(path).slice(0, 80) : kindOfValue(path)}.`,
  )
}
