import type { ByteStream } from '../store/index.ts'
import type { EntryType, Piece, Region, TarEntry } from './entry.ts'
import { blockSize, type Header, isZero, parseHeader } from './header.ts'
import { type LayerLimits, layerInvalid, limitExceeded, withDefaults } from './limits.ts'
import { type PaxRecords, parsePax, paxNumber, paxTime } from './pax.ts'
import { ByteSource } from './source.ts'
import { readOldSparse, readPaxSparse, type SparseMap } from './sparse.ts'
import { checkXattr } from './xattrs.ts'

const entryTypes: Readonly<Record<string, EntryType>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}
const xattrPrefix = 'SCHILY.xattr.'
/** chown(2) takes this for "leave as it is". */
const noId = 0xffffffff

/** Headers that speak of the entry after them. */
interface Pending {
  local: PaxRecords
  path?: Buffer
  linkPath?: Buffer
  bytes: number
}

/**
 * Walks a tar, entry by entry, in flat memory: ustar, PAX, GNU long names, all four GNU sparse forms, base-256 numbers. Every oddity has an
 * outcome: `layer_invalid` for what is not a well-formed archive, `limit_exceeded` for what asks for too much. Only files have content: the size
 * of any other entry says nothing of what follows (POSIX.1-2017 pax, "ustar Interchange Format"; a directory's, a hard link's), as GNU tar and Docker
 * have it. The archive must end with two blocks of zeroes, and nothing but zeroes may follow, unless `ignoresTail`: then what follows them plays no part,
 * as GNU tar has it.
 */
export async function* walkTar(
  stream: ByteStream,
  limits: Partial<LayerLimits> = {},
  { ignoresTail = false }: { readonly ignoresTail?: boolean } = {},
): AsyncGenerator<TarEntry, void, void> {
  const walker = new Walker(new ByteSource(stream), withDefaults(limits), ignoresTail)
  try {
    for (let entry = await walker.next(); entry !== undefined; entry = await walker.next()) yield entry
  } finally {
    await walker.close()
  }
}

const noRecords: PaxRecords = []
const noXattrs: ReadonlyMap<string, Buffer> = new Map()
const nothing = Buffer.alloc(0)
const typeOffset = 156
/** The types of entries that need no other block than their own to be understood. */
const plainTypes: ReadonlySet<number> = new Set(Buffer.from('0123456'))

/** What `walkTar` goes by. Its user says when to close it. */
export class Walker {
  readonly #source: ByteSource
  readonly #limits: LayerLimits
  readonly #ignoresTail: boolean
  readonly #global = new Map<string, Buffer>()
  /** Bytes of the current entry's body and its padding that nobody has read yet. */
  #left = 0
  #padding = 0
  #entries = 0

  constructor(source: ByteSource, limits: LayerLimits, ignoresTail = false) {
    this.#source = source
    this.#limits = limits
    this.#ignoresTail = ignoresTail
  }

  async close(): Promise<void> {
    await this.#source.close()
  }

  /** The next entry, if all that it takes is in memory; undefined says nothing but that it takes `next` to know. */
  nextAtHand(): TarEntry | undefined {
    const skipped = this.#left + this.#padding
    if (this.#global.size > 0 || this.#source.atHand < skipped + blockSize) return undefined
    const type = this.#source.peek(skipped + typeOffset)
    if (type === undefined || !plainTypes.has(type)) return undefined
    this.#source.pass(skipped)
    this.#left = this.#padding = 0
    this.#checkBytes()
    const header = parseHeader(Buffer.from(this.#source.take(blockSize)))
    if (header.size < 0) throw layerInvalid('an entry has a negative size')
    this.#count()
    return this.#make(header, noRecords, header.path, header.size, undefined, header.linkPath)
  }

  #checkBytes(): void {
    if (this.#source.position > this.#limits.layerBytes) throw limitExceeded('layerBytes', this.#limits.layerBytes, 'bytes of the layer')
  }

  #count(): void {
    this.#entries += 1
    if (this.#entries > this.#limits.entries) throw limitExceeded('entries', this.#limits.entries, 'entries of the layer')
  }

  async next(): Promise<TarEntry | undefined> {
    const pending: Pending = { local: [], bytes: 0 }
    for (;;) {
      await this.#source.skip(this.#left + this.#padding, 'the content of an entry')
      this.#left = this.#padding = 0
      this.#checkBytes()
      const block = await this.#source.exactly(blockSize, 'a header')
      if (block === undefined) throw layerInvalid('the archive ends without its end mark: it was cut short')
      if (isZero(block)) {
        if (pending.bytes > 0) throw layerInvalid('the archive ends after an extended header')
        return await this.#finish()
      }
      const header = parseHeader(Buffer.from(block))
      if (header.size < 0) throw layerInvalid('an entry has a negative size')
      if (!(await this.#readExtension(header, pending))) return await this.#entry(header, pending)
    }
  }

  /** The end mark is two blocks of zeroes; writers pad to their record size with more of them. */
  async #finish(): Promise<undefined> {
    const second = await this.#source.exactly(blockSize, 'the end mark')
    if (second === undefined || !isZero(second))
      throw layerInvalid('the archive ends with a single block of zeroes: it is damaged or was cut short')
    for (let rest = await this.#source.some(1 << 20); rest !== undefined; rest = await this.#source.some(1 << 20)) {
      if (!this.#ignoresTail && !isZero(rest)) throw layerInvalid('the archive has data after its end mark')
      if (this.#source.position > this.#limits.layerBytes) throw limitExceeded('layerBytes', this.#limits.layerBytes, 'bytes of the layer')
    }
    return undefined
  }

  /** Reads a header that belongs to a later entry; false when this one is an entry itself. */
  async #readExtension(header: Header, pending: Pending): Promise<boolean> {
    if (!['x', 'g', 'L', 'K'].includes(header.type)) return false
    pending.bytes += blockSize + header.size
    if (pending.bytes > this.#limits.headerBytes)
      throw limitExceeded('headerBytes', this.#limits.headerBytes, 'extended headers of an entry')
    const lent = header.size === 0 ? Buffer.alloc(0) : await this.#source.exactly(header.size, 'an extended header')
    if (lent === undefined) throw layerInvalid('the archive ends within an extended header')
    // Its values are kept for longer than the chunk that it is in.
    const data = Buffer.from(lent)
    await this.#source.skip(paddingOf(header.size), 'an extended header')
    if (header.type === 'x') pending.local = parsePax(data)
    else if (header.type === 'g') this.#setGlobal(parsePax(data))
    else if (header.type === 'L') pending.path = untilNul(data)
    else pending.linkPath = untilNul(data)
    return true
  }

  #setGlobal(records: PaxRecords): void {
    for (const [keyword, value] of records) {
      if (['path', 'linkpath', 'size'].includes(keyword) || keyword.startsWith('GNU.sparse.'))
        throw layerInvalid(`a global PAX header sets ${keyword} for every entry`)
      if (['uid', 'gid', 'mtime'].includes(keyword) || keyword.startsWith(xattrPrefix)) this.#global.set(keyword, value)
    }
    if (this.#global.size > 1000) throw limitExceeded('headerBytes', this.#limits.headerBytes, 'records of global PAX headers')
  }

  async #entry(header: Header, pending: Pending): Promise<TarEntry> {
    this.#count()
    const all = this.#global.size === 0 ? pending.local : [...this.#global, ...pending.local]
    // An empty value takes a record back, so that the global one or the header's own field holds.
    const records = new Map(all.filter(([, value]) => value.length > 0))
    const size = numberOf(records, 'size') ?? header.size
    const path = records.get('GNU.sparse.name') ?? records.get('path') ?? pending.path ?? header.path
    const type = typeOf(header, path)
    const stored = this.#expect(type, size, path)
    const sparse = type === 'file' ? await this.#sparse(header, pending.local, stored) : undefined
    const linkPath = records.get('linkpath') ?? pending.linkPath ?? header.linkPath
    const own = {
      ...header,
      uid: numberOf(records, 'uid') ?? header.uid,
      gid: numberOf(records, 'gid') ?? header.gid,
    }
    const entry = this.#make(own, all, path, stored, sparse, linkPath)
    const mtime = records.get('mtime')
    return mtime === undefined ? entry : { ...entry, mtime: paxTime(mtime, 'mtime') }
  }

  /** Notes how much of the archive is the entry's content: none but a file's, whatever size its header says. */
  #expect(type: EntryType, size: number, path: Buffer): number {
    const stored = type === 'file' ? size : 0
    this.#padding = paddingOf(stored)
    this.#left = stored
    if (stored > this.#limits.fileBytes) throw limitExceeded('fileBytes', this.#limits.fileBytes, `size of ${printable(path)}`)
    return stored
  }

  #make(header: Header, records: PaxRecords, path: Buffer, size: number, sparse: SparseMap | undefined, linkPath: Buffer): TarEntry {
    const type = typeOf(header, path)
    const stored = sparse === undefined ? this.#expect(type, size, path) : 0
    const isLink = type === 'link' || type === 'symlink'
    const regions = sparse?.regions
    const number = this.#entries
    const entry = {
      path: this.#checkPath(path, 'a name'),
      type,
      mode: header.mode,
      uid: checkId(header.uid, 'uid', path),
      gid: checkId(header.gid, 'gid', path),
      size: sparse?.size ?? stored,
      mtime: { sec: header.mtime, nsec: 0 },
      linkPath: this.#checkPath(isLink ? linkPath : nothing, 'a link target', !isLink),
      major: header.major,
      minor: header.minor,
      xattrs: records.length === 0 ? noXattrs : xattrsOf(records),
      whole: (): Buffer | undefined => (regions === undefined ? this.#whole(number) : undefined),
      pieces: (): AsyncGenerator<Piece, void, void> => this.#pieces(number, regions ?? [{ offset: 0, length: stored }]),
    }
    return regions ? { ...entry, regions } : entry
  }

  async #sparse(header: Header, local: PaxRecords, stored: number): Promise<SparseMap | undefined> {
    const sparse =
      header.type === 'S'
        ? await readOldSparse({ ...header, size: stored }, this.#source, this.#limits)
        : await readPaxSparse(local, stored, this.#source, this.#limits)
    if (sparse) this.#left -= sparse.mapBytes
    return sparse
  }

  #checkPath(path: Buffer, what: string, mayBeEmpty = false): Buffer {
    if (path.length === 0 && !mayBeEmpty) throw layerInvalid(`an entry has ${what} that is empty`)
    if (path.includes(0)) throw layerInvalid(`an entry has ${what} with a NUL in it`)
    if (path.length > this.#limits.pathBytes) throw limitExceeded('pathBytes', this.#limits.pathBytes, `length of ${what}`)
    return path
  }

  #whole(number: number): Buffer | undefined {
    if (number !== this.#entries || this.#source.atHand < this.#left) return undefined
    const length = this.#left
    this.#left = 0
    return this.#source.take(length)
  }

  async *#pieces(number: number, regions: readonly Region[]): AsyncGenerator<Piece, void, void> {
    for (const region of regions) {
      for (let at = 0; at < region.length; ) {
        if (number !== this.#entries) throw new Error('the content of an entry was read after the next entry')
        const bytes = await this.#source.some(region.length - at)
        if (bytes === undefined) throw layerInvalid('the archive ends within the content of an entry')
        this.#left -= bytes.length
        yield { offset: region.offset + at, bytes }
        at += bytes.length
      }
    }
  }
}

function typeOf(header: Header, path: Buffer): EntryType {
  const type = entryTypes[header.type]
  if (type === undefined) throw layerInvalid(`an entry of unknown type ${JSON.stringify(header.type)}: ${printable(path)}`)
  // Before ustar a directory was a file whose name ends with a slash.
  return type === 'file' && path[path.length - 1] === 0x2f ? 'directory' : type
}

function paddingOf(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize
}

function untilNul(data: Buffer): Buffer {
  const end = data.indexOf(0)
  return end < 0 ? data : data.subarray(0, end)
}

function numberOf(records: ReadonlyMap<string, Buffer>, keyword: string): number | undefined {
  const value = records.get(keyword)
  return value === undefined ? undefined : paxNumber(value, keyword)
}

function checkId(id: number, which: string, path: Buffer): number {
  if (id < 0 || id >= noId) throw layerInvalid(`${which} ${id} of ${printable(path)} is not an id of Linux`)
  return id
}

function xattrsOf(records: PaxRecords): ReadonlyMap<string, Buffer> {
  const xattrs = new Map<string, Buffer>()
  for (const [keyword, value] of records) {
    if (!keyword.startsWith(xattrPrefix)) continue
    const name = keyword.slice(xattrPrefix.length)
    checkXattr(name, value)
    xattrs.set(name, value)
  }
  return xattrs
}

/** A name for a message: control characters and long names cannot spoil a terminal. */
export function printable(path: Buffer | string): string {
  const text = typeof path === 'string' ? path : path.toString()
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
