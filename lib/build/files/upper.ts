import { StrakeError } from '../../errors/index.ts'
import { judgeXattr, type LayerEntry } from '../../layers/index.ts'
import type { FileRecord } from '../../sys/index.ts'
import type { FileMode } from '../step.ts'
import { type BytePath, opPath, type SourceEntry, textPath } from './entry.ts'
import { applyMode } from './mode.ts'
import type { Owner } from './owner.ts'
import { isType, joinPath, parentOf, type RootPaths } from './root-paths.ts'

export interface UpperOptions {
  /** Undefined: each entry's own. */
  readonly owner?: Owner | undefined
  /** Permissions of all that is put. Undefined: each entry's own. */
  readonly chmod?: FileMode | undefined
  /** False where only one id is mapped: then all is root's. */
  readonly canChown: boolean
  /** Seconds since 1970 for what has no time of its own. */
  readonly epoch: number
  /** Seconds since 1970 of all that is put, whatever its own. Undefined: each entry's own. */
  readonly time?: number | undefined
}

/** One path of a layer, without its content. */
export interface UpperEntry {
  /** Absolute, without links. */
  readonly path: BytePath
  readonly entry: LayerEntry
  /** What a file's content is, and what it must turn out to be. */
  readonly file?: { readonly source: SourceEntry; readonly digest: string | undefined; readonly same?: SourceEntry | undefined }
}

const types = { file: 'file', directory: 'directory', link: 'symlink' } as const

/** What is put for a directory that nobody gave. */
export const blankDirectory = {
  kind: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: undefined,
  target: '',
  size: 0,
  xattrs: new Map(),
} as const

function conflict(path: BytePath, why: string): StrakeError {
  return new StrakeError('build_failed', `${textPath(path)} ${why}`, { details: { path: textPath(path) } })
}

/** In a layer such a name would hide another file (image-spec, layer.md, "Whiteouts"). Throws `context_invalid`. */
export function refuseWhiteout(path: BytePath): void {
  if (!path.includes('/.wh.')) return
  throw new StrakeError(
    'context_invalid',
    `${textPath(path)} is a name that no image can hold: in a layer, .wh. before a name stands for its removal`,
    {
      details: { path: textPath(path) },
    },
  )
}

function shipped(xattrs: ReadonlyMap<string, Buffer>): ReadonlyMap<string, Buffer> {
  if (xattrs.size === 0) return xattrs
  return new Map(
    [...xattrs].flatMap(([name, value]): [string, Buffer][] => {
      const outcome = judgeXattr(name, value)
      return 'keep' in outcome ? [[name, outcome.keep]] : []
    }),
  )
}

/**
 * What files that are put into an image would leave in the upper directory of an overlay, worked out instead of written: the layer is
 * packed from where the files are, and unpacked only for whoever needs it. It has the directories on the way, as the image has them, with the times
 * that they had, so that the same copy makes the same layer; and what is put, with no look at what kernel and file system could keep of it.
 */
export class Upper {
  readonly paths: RootPaths
  readonly #options: UpperOptions
  readonly #entries = new Map<BytePath, UpperEntry>()
  readonly #directories = new Map<BytePath, BytePath>()
  /** Directories, as they are called, into which files have been put: where they are. */
  readonly #parents = new Map<BytePath, BytePath>()

  constructor(paths: RootPaths, options: UpperOptions) {
    this.paths = paths
    this.#options = options
  }

  /** The directory at the absolute `path`, links followed; it and its parents are made where they are missing. */
  async directory(path: BytePath): Promise<BytePath> {
    const real = this.#directories.get(path) ?? (await this.#makeDirectory(path))
    this.#directories.set(path, real)
    return real
  }

  /** Whether something is at the absolute `path`, links followed. */
  async has(path: BytePath): Promise<boolean> {
    return this.#directories.has(path) || (await this.paths.resolve(path)).record !== undefined
  }

  /**
   * Puts `entry` at `path`; its parents are directories or missing. `digest` is what the content of a file must turn out to be, and names that are put
   * with the same `same` are names of one file.
   */
  async put(entry: SourceEntry, path: BytePath, digest: string | undefined, same?: SourceEntry): Promise<void> {
    if (entry.kind === 'directory') {
      const real = await this.directory(path)
      await this.#touch(parentOf(real))
      const before = this.#entries.has(real) ? undefined : await this.paths.stat(real)
      this.#set(real, before ? { ...entry, xattrs: new Map([...before.xattrs, ...entry.xattrs]) } : entry)
      return
    }
    const name = path.slice(path.lastIndexOf('/') + 1)
    const given = parentOf(path)
    const target = joinPath(this.#parents.get(given) ?? (await this.#parent(given)), name)
    // An older file or link goes; a directory is in the way.
    const before = await this.paths.stat(target)
    if (isType(before, 'directory')) throw conflict(target, 'is a directory in the image, and a file or link of that name is copied')
    if (isType(before, 'link')) this.#forgetWays()
    this.#set(target, entry, { digest, same })
    this.paths.note(target, entry.kind, entry.target)
  }

  /** All of it, in the order of a layer: names sorted by their bytes, a directory before what is in it. */
  entries(): UpperEntry[] {
    const keyed = [...this.#entries.values()].map((entry) => ({ key: entry.path.replaceAll('/', '\0'), entry }))
    return keyed.sort((one, other) => (one.key < other.key ? -1 : 1)).map(({ entry }) => entry)
  }

  /** Where a link is replaced, what was found through it is elsewhere, or nowhere. */
  #forgetWays(): void {
    this.#directories.clear()
    this.#parents.clear()
  }

  async #parent(path: BytePath): Promise<BytePath> {
    const parent = await this.directory(path)
    await this.#touch(parent)
    // One question for all of its names.
    if (!this.paths.isListed(parent)) await this.paths.list(parent)
    this.#parents.set(path, parent)
    return parent
  }

  async #makeDirectory(path: BytePath): Promise<BytePath> {
    const place = await this.paths.resolve(path)
    if (isType(place.record, 'directory')) return place.path
    let here: BytePath = '/'
    for (const name of place.path.split('/').filter((each) => each !== '')) {
      const next = joinPath(here, name)
      const record = await this.paths.stat(next)
      // The place itself, or a name on the way to it: what is below a file is not there, as what is below nothing.
      if (record && !isType(record, 'directory')) throw conflict(next, 'is no directory in the image, and it would have to be one')
      if (!record) {
        await this.#touch(here)
        this.#set(next, blankDirectory, { kept: blankDirectory.mode })
        this.paths.note(next, 'directory')
      }
      here = next
    }
    return here
  }

  /** A directory of the image in which something changes comes along as it is, and so do those around it. */
  async #touch(path: BytePath): Promise<void> {
    if (path === '/' || this.#entries.has(path)) return
    await this.#touch(parentOf(path))
    const record = await this.paths.stat(path)
    if (record) this.#entries.set(path, { path, entry: this.#existing(path, record) })
  }

  #existing(path: BytePath, { mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: FileRecord): LayerEntry {
    return {
      path: opPath(path),
      type: 'directory',
      mode: mode & 0o7777,
      ...this.#owned(uid, gid),
      mtime: { sec: mtimeSec, nsec: mtimeNsec },
      xattrs: shipped(xattrs),
    }
  }

  #owned(uid: number, gid: number): Owner {
    return this.#options.canChown ? { uid, gid } : { uid: 0, gid: 0 }
  }

  /** `kept`: the permissions of what nobody gave, whatever `chmod` says. */
  #set(
    path: BytePath,
    given: SourceEntry | Omit<SourceEntry, 'path' | 'origin'>,
    { digest, same, kept }: { digest?: string | undefined; same?: SourceEntry | undefined; kept?: number } = {},
  ): void {
    if (path === '/') return
    refuseWhiteout(path)
    const { owner, chmod, epoch, time } = this.#options
    const { kind, mode, target, xattrs, size, mtime } = given
    const { uid, gid } = owner ?? given
    const entry: LayerEntry = {
      path: opPath(path),
      type: types[kind],
      mode: kind === 'link' ? 0o777 : (kept ?? (chmod === undefined ? mode : applyMode(chmod, mode, kind === 'directory'))),
      ...this.#owned(uid, gid),
      mtime: { sec: time ?? mtime ?? epoch, nsec: 0 },
      xattrs: shipped(xattrs),
      ...(kind === 'link' ? { linkPath: opPath(target) } : {}),
      ...(kind === 'file' ? { size } : {}),
    }
    this.#entries.set(path, { path, entry, ...('origin' in given && kind === 'file' ? { file: { source: given, digest, same } } : {}) })
  }
}
