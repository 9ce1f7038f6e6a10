import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { closeFd } from '../../../native/binding.ts'
import { StrakeError } from '../../errors/index.ts'
import { flags, type Op } from '../../sys/index.ts'
import type { Agent } from '../../zygote/index.ts'
import type { FileMode } from '../step.ts'
import { type BytePath, type FileSource, opPath, type SourceEntry, textPath } from './entry.ts'
import { applyMode } from './mode.ts'
import type { Owner } from './owner.ts'
import { isType, joinPath, parentOf, RootPaths } from './root-paths.ts'

/** Files up to this size travel in the ops themselves; larger ones are written through a file descriptor. */
const inlineSize = 32 * 1024
/** Ops and bytes of data that wait for one request. */
const batchOps = 256
const batchBytes = 64 * 1024

const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW, O_CLOEXEC } = flags.O

export interface WriterOptions {
  /** Undefined: each entry's own. */
  readonly owner?: Owner | undefined
  /** Permissions of all that is written. Undefined: each entry's own. */
  readonly chmod?: FileMode | undefined
  /** False where only one id is mapped: then all belongs to it and nothing can be given away. */
  readonly canChown: boolean
  /** Seconds since 1970 for what has no time of its own. */
  readonly epoch: number
  /** Later times are set back to this one (SOURCE_DATE_EPOCH). */
  readonly latest?: number | undefined
}

function conflict(path: BytePath, why: string): StrakeError {
  return new StrakeError('build_failed', `${textPath(path)} ${why}`, { details: { path: textPath(path) } })
}

/**
 * Writes files into the root of a confined agent, in batches: data, then owner, mode, attributes and times, since writing and
 * chown(2) take setuid bits and capabilities away. Directories that only gain entries get their times back at the end, so
 * that the same copy makes the same layer. Call `finish` when all is put.
 */
export class RootWriter {
  readonly paths: RootPaths
  readonly #agent: Agent
  readonly #options: WriterOptions
  readonly #directories = new Map<BytePath, Promise<BytePath>>()
  /** Times that directories shall have at the end. */
  readonly #times = new Map<BytePath, { readonly seconds: number; readonly nanoseconds: number }>()
  #pending: Op[] = []
  #pendingBytes = 0

  constructor(agent: Agent, options: WriterOptions) {
    this.#agent = agent
    this.#options = options
    this.paths = new RootPaths(agent)
  }

  /** The directory at the absolute `path`, links followed; it and its parents are made where they are missing. */
  directory(path: BytePath, made?: SourceEntry): Promise<BytePath> {
    let real = this.#directories.get(path)
    if (!real) {
      real = this.#makeDirectory(path, made)
      this.#directories.set(path, real)
    }
    return real
  }

  /** Puts `entry` at `path`; its parents are directories or missing. `digest` is what its content must turn out to be. */
  async put(entry: SourceEntry, path: BytePath, source: FileSource, digest: string | undefined): Promise<void> {
    if (entry.kind === 'directory') {
      const real = await this.directory(path, entry)
      this.#attributes(entry, real)
      return
    }
    const parent = await this.directory(parentOf(path))
    const target = joinPath(parent, path.slice(path.lastIndexOf('/') + 1))
    await this.#clear(parent, target)
    if (entry.kind === 'link') {
      this.#queue({ op: 'symlink', target: opPath(entry.target), path: opPath(target) })
      this.paths.note(target, 'link', entry.target)
    } else {
      await this.#write(entry, target, source, digest)
      this.paths.note(target, 'file')
    }
    this.#attributes(entry, target)
    if (this.#pending.length >= batchOps || this.#pendingBytes >= batchBytes) await this.#flush()
  }

  /** Carries out what waits, and sets the times of directories. */
  async finish(): Promise<void> {
    for (const [path, { seconds, nanoseconds }] of [...this.#times].reverse()) {
      this.#queue({
        op: 'setTimes',
        path: opPath(path),
        atimeSec: seconds,
        atimeNsec: nanoseconds,
        mtimeSec: seconds,
        mtimeNsec: nanoseconds,
      })
      if (this.#pending.length >= batchOps) await this.#flush()
    }
    await this.#flush()
  }

  async #makeDirectory(path: BytePath, made: SourceEntry | undefined): Promise<BytePath> {
    const place = await this.paths.resolve(path)
    if (isType(place.record, 'directory')) return place.path
    if (place.record) throw conflict(place.path, 'is no directory in the image, and files are copied into it')
    const names = place.path.split('/').filter((name) => name !== '')
    let here: BytePath = '/'
    for (const [index, name] of names.entries()) {
      const next = joinPath(here, name)
      if (!(await this.paths.stat(next))) {
        await this.#touch(here)
        this.#queue({ op: 'mkdir', path: opPath(next), mode: 0o755 })
        this.paths.note(next, 'directory')
        this.#times.set(next, this.#time(undefined))
        if (!made || index < names.length - 1) this.#own(next, 0, 0, 0o755, undefined)
      }
      here = next
    }
    return here
  }

  /** Makes room for a file or link: an older one goes, a directory is in the way. */
  async #clear(parent: BytePath, target: BytePath): Promise<void> {
    await this.#touch(parent)
    if (!this.paths.isListed(parent)) {
      await this.#flush()
      await this.paths.list(parent)
    }
    const record = await this.paths.stat(target)
    if (isType(record, 'directory')) throw conflict(target, 'is a directory in the image, and a file or link of that name is copied')
    if (record) this.#queue({ op: 'unlink', path: opPath(target) })
  }

  /** Remembers the time of a directory that is about to gain or lose an entry. */
  async #touch(path: BytePath): Promise<void> {
    if (this.#times.has(path)) return
    const record = await this.paths.stat(path)
    if (record) this.#times.set(path, { seconds: record.mtimeSec, nanoseconds: record.mtimeNsec })
  }

  async #write(entry: SourceEntry, target: BytePath, source: FileSource, digest: string | undefined): Promise<void> {
    const hash = createHash('sha256')
    const path = opPath(target)
    if (entry.size <= inlineSize) {
      const pieces: Buffer[] = []
      for await (const piece of source.read(entry)) pieces.push(piece)
      const data = Buffer.concat(pieces)
      this.#queue({ op: 'write', path, flags: O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode: 0o600, data })
      this.#pendingBytes += data.length
      hash.update(data)
    } else {
      const file = await this.#create(path)
      try {
        for await (const piece of source.read(entry)) {
          hash.update(piece)
          for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at)
        }
      } finally {
        closeFd(file)
      }
    }
    if (digest !== undefined && hash.digest('hex') !== digest) {
      source.forget?.(entry)
      throw new StrakeError('context_invalid', `${textPath(entry.origin)} changed while it was read`, {
        details: { path: textPath(entry.origin) },
      })
    }
  }

  async #create(path: Buffer): Promise<number> {
    this.#queue({ op: 'open', path, flags: O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode: 0o600, out: 'file' })
    this.#queue({ op: 'sendFd', fd: 'file', name: 'file' })
    this.#queue({ op: 'close', fd: 'file' })
    const file = (await this.#flush()).file
    if (file === undefined) throw new StrakeError('kernel_refused', 'creating a file in the image gave no file')
    return file
  }

  #attributes(entry: SourceEntry, path: BytePath): void {
    this.#own(path, entry.uid, entry.gid, entry.kind === 'link' ? undefined : entry.mode, entry)
    const time = this.#time(entry.mtime)
    if (entry.kind === 'directory') {
      this.#times.set(path, time)
      return
    }
    this.#queue({ op: 'setTimes', path: opPath(path), atimeSec: time.seconds, atimeNsec: 0, mtimeSec: time.seconds, mtimeNsec: 0 })
  }

  #own(path: BytePath, uid: number, gid: number, mode: number | undefined, entry: SourceEntry | undefined): void {
    const owner = this.#options.owner ?? { uid, gid }
    if (this.#options.canChown) this.#queue({ op: 'chown', path: opPath(path), uid: owner.uid, gid: owner.gid })
    const { chmod } = this.#options
    const isDirectory = entry === undefined || entry.kind === 'directory'
    if (mode !== undefined)
      this.#queue({ op: 'chmod', path: opPath(path), mode: chmod === undefined ? mode : applyMode(chmod, mode, isDirectory) })
    // A file system without them, or capabilities that this user namespace may not give: the file is still worth having.
    for (const [name, value] of entry?.xattrs ?? [])
      this.#queue({ op: 'setXattr', path: opPath(path), name, value, tolerate: ['ENOTSUP', 'EPERM'] })
  }

  #time(seconds: number | undefined): { seconds: number; nanoseconds: number } {
    const { epoch, latest } = this.#options
    return { seconds: Math.min(seconds ?? epoch, latest ?? Number.MAX_SAFE_INTEGER), nanoseconds: 0 }
  }

  #queue(op: Op): void {
    this.#pending.push(op)
  }

  async #flush(): Promise<Readonly<Record<string, number>>> {
    const ops = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    return ops.length === 0 ? {} : (await this.#agent.run(ops)).fds
  }
}
