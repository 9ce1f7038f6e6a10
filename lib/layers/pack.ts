import { StrakeError } from '../errors/index.ts'
import type { ByteStream } from '../store/index.ts'
import type { EntryType, Time } from './entry.ts'
import { blockSize } from './header.ts'
import { toByteString } from './names.ts'
import { formatPaxRecord, formatPaxTime } from './pax.ts'

export type LayerContent = string | Uint8Array | ByteStream

/** An entry to be packed. Strings are UTF-8, bytes stay as they are. */
export interface LayerEntry {
  /** Relative to the root; a leading slash is taken off. */
  readonly path: string | Uint8Array
  readonly type: EntryType
  /** Default 0755 for directories, 0777 for symlinks, else 0644. */
  readonly mode?: number | undefined
  /** Default 0. */
  readonly uid?: number | undefined
  /** Default 0. */
  readonly gid?: number | undefined
  /** Default 1970. */
  readonly mtime?: Time | undefined
  /** Of a file: its content, and if that is a stream or given when it is asked for, its exact size in bytes. */
  readonly content?: LayerContent | (() => LayerContent) | undefined
  readonly size?: number | undefined
  /** Of a file: SHA-256 of its content in hex, where it is known. What is then packed turns out to be that, or its content throws. */
  readonly digest?: string | undefined
  /** The target of a symlink; the path of the entry that a hard link links to. */
  readonly linkPath?: string | Uint8Array
  readonly major?: number
  readonly minor?: number
  readonly xattrs?: ReadonlyMap<string, Uint8Array> | undefined
}

export interface PackOptions {
  /** Seconds since 1970: later times become this one (SOURCE_DATE_EPOCH, reproducible-builds.org). */
  readonly clampTime?: number | undefined
}

const typeFlags: Readonly<Record<EntryType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}
const slash = 0x2f
const nothing = Buffer.alloc(0)
const zeroes = Buffer.alloc(blockSize)
/** Two blocks of zeroes (POSIX.1-2017 pax, "ustar Interchange Format"). */
export const layerEnd = Buffer.alloc(2 * blockSize)
const rootName = Buffer.from('.')
const directoryEnd = Buffer.from('/')
const blocksAtOnce = 64
const pieceSize = 512 * 1024
const largestOctal7 = 0o7777777
const largestOctal11 = 0o77777777777

/**
 * Packs entries, in the order given, into an uncompressed tar: plain ustar, with PAX records only for what does not fit: long names, large
 * ids and sizes, fractions of seconds, xattrs. The same entries give the same bytes.
 */
export async function* packLayer(
  entries: AsyncIterable<LayerEntry> | Iterable<LayerEntry>,
  options: PackOptions = {},
): AsyncGenerator<Buffer, void, void> {
  const out = new Gatherer()
  for await (const entry of entries) {
    const rest = addEntry(out, entry, options)
    if (rest) yield* rest
    if (out.isFull) yield out.take()
  }
  out.add(layerEnd)
  yield out.take()
}

/** Adds all of an entry; or, where its content comes as a stream, only begins with it, and the rest is added while what is full is taken out. */
export function addEntry(out: Gatherer, entry: LayerEntry, options: PackOptions): AsyncGenerator<Buffer, void, void> | undefined {
  out.add(formatEntry(entry, options))
  if (entry.type !== 'file') return undefined
  const size = sizeOf(entry)
  const content = typeof entry.content === 'function' ? entry.content() : (entry.content ?? [])
  const whole = wholeOf(content)
  if (!whole) return addStream(out, entry, content as ByteStream)
  if (whole.length !== size) throw changed(entry)
  out.add(whole)
  out.add(padding(size))
  return undefined
}

async function* addStream(out: Gatherer, entry: LayerEntry, content: ByteStream): AsyncGenerator<Buffer, void, void> {
  const size = sizeOf(entry)
  let written = 0
  for await (const piece of content) {
    written += piece.length
    if (written > size) throw changed(entry)
    out.add(bufferOf(piece))
    if (out.isFull) yield out.take()
  }
  if (written !== size) throw changed(entry)
  out.add(padding(size))
}

/** Joins small pieces, which headers and most files are, into larger ones. */
export class Gatherer {
  #pieces: Buffer[] = []
  #length = 0
  #taken = 0

  /** Bytes that were added so far. */
  get total(): number {
    return this.#taken + this.#length
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  get isFull(): boolean {
    return this.#length >= pieceSize
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return
    this.#pieces.push(piece)
    this.#length += piece.length
  }

  take(): Buffer {
    const [first] = this.#pieces
    const taken = this.#pieces.length === 1 && first ? first : Buffer.concat(this.#pieces, this.#length)
    this.#pieces = []
    this.#taken += this.#length
    this.#length = 0
    return taken
  }
}

function changed(entry: LayerEntry): StrakeError {
  return new StrakeError('layer_invalid', `${JSON.stringify(toByteString(entry.path))} changed its size while it was packed`, {
    hint: 'pack a directory that nothing writes to',
  })
}

function sizeOf(entry: LayerEntry): number {
  if (entry.type !== 'file') return 0
  if (typeof entry.content === 'string') return Buffer.byteLength(entry.content)
  if (entry.content instanceof Uint8Array) return entry.content.length
  if (entry.content === undefined) return 0
  if (entry.size === undefined)
    throw new StrakeError('invalid_argument', `the size of the stream for ${JSON.stringify(toByteString(entry.path))} is not given`)
  return entry.size
}

/** Content that is in memory. */
function wholeOf(content: LayerContent): Buffer | undefined {
  if (typeof content === 'string') return Buffer.from(content)
  return content instanceof Uint8Array ? bufferOf(content) : undefined
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function padding(size: number): Buffer {
  return zeroes.subarray(0, (blockSize - (size % blockSize)) % blockSize)
}

/** Without the slashes around it; the root is `.`. */
function relative(path: string | Uint8Array): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path) : bufferOf(path)
  let start = 0
  let end = bytes.length
  while (start < end && bytes[start] === slash) start += 1
  while (end > start && bytes[end - 1] === slash) end -= 1
  return start === end ? rootName : bytes.subarray(start, end)
}

function formatEntry(entry: LayerEntry, options: PackOptions): Buffer {
  const path = relative(entry.path)
  const name = entry.type === 'directory' ? Buffer.concat([path, directoryEnd]) : path
  const linkPath = entry.linkPath === undefined ? nothing : Buffer.from(toByteString(entry.linkPath), 'latin1')
  const mtime = clamp(entry.mtime ?? { sec: 0, nsec: 0 }, options.clampTime)
  const size = sizeOf(entry)
  const { uid = 0, gid = 0 } = entry
  const split = splitName(name)
  const records: Buffer[] = []
  if (split === undefined) records.push(formatPaxRecord('path', name))
  if (linkPath.length > 100) records.push(formatPaxRecord('linkpath', linkPath))
  if (uid > largestOctal7) records.push(formatPaxRecord('uid', String(uid)))
  if (gid > largestOctal7) records.push(formatPaxRecord('gid', String(gid)))
  if (size > largestOctal11) records.push(formatPaxRecord('size', String(size)))
  if (mtime.nsec !== 0 || mtime.sec < 0 || mtime.sec > largestOctal11) records.push(formatPaxRecord('mtime', formatPaxTime(mtime)))
  const xattrs = entry.xattrs === undefined || entry.xattrs.size === 0 ? [] : [...entry.xattrs]
  for (const [key, value] of xattrs.sort(([one], [other]) => (one < other ? -1 : 1)))
    records.push(formatPaxRecord(`SCHILY.xattr.${key}`, value))
  // Without it a name is UTF-8 (POSIX.1-2017 pax, "pax Extended Header File Times and Names"), and bsdtar refuses any other.
  const binary =
    records.length > 0 && [split === undefined ? name : nothing, linkPath.length > 100 ? linkPath : nothing].some((each) => !isUtf8(each))
  if (binary) records.unshift(formatPaxRecord('hdrcharset', 'BINARY'))
  const header = formatHeader({
    name: split?.name ?? name.subarray(0, 100),
    prefix: split?.prefix ?? nothing,
    type: typeFlags[entry.type],
    mode: entry.mode ?? (entry.type === 'directory' ? 0o755 : entry.type === 'symlink' ? 0o777 : 0o644),
    uid: uid > largestOctal7 ? 0 : uid,
    gid: gid > largestOctal7 ? 0 : gid,
    size: size > largestOctal11 ? 0 : size,
    mtime: mtime.sec < 0 || mtime.sec > largestOctal11 ? 0 : mtime.sec,
    linkPath: linkPath.subarray(0, 100),
    major: entry.major ?? 0,
    minor: entry.minor ?? 0,
  })
  return records.length === 0 ? header : Buffer.concat([...formatPaxHeader(path, Buffer.concat(records)), header])
}

export function clamp(time: Time, latest: number | undefined): Time {
  return latest !== undefined && (time.sec > latest || (time.sec === latest && time.nsec > 0)) ? { sec: latest, nsec: 0 } : time
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes)
}

function formatPaxHeader(path: Buffer, records: Buffer): Buffer[] {
  const base = path.subarray(path.lastIndexOf(0x2f) + 1)
  const name = Buffer.concat([Buffer.from('PaxHeaders/'), base]).subarray(0, 100)
  const header = formatHeader({
    name,
    prefix: nothing,
    type: 'x',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: records.length,
    mtime: 0,
    linkPath: nothing,
    major: 0,
    minor: 0,
  })
  return [header, records, padding(records.length)]
}

/** A name of up to 100 bytes fits as it is, up to 256 where a slash parts it right; undefined when it does neither. */
function splitName(name: Buffer): { readonly name: Buffer; readonly prefix: Buffer } | undefined {
  if (name.length <= 100) return { name, prefix: nothing }
  for (let at = name.length - 101; at <= 155 && at < name.length - 1; at += 1) {
    if (at > 0 && name[at] === 0x2f) return { prefix: name.subarray(0, at), name: name.subarray(at + 1) }
  }
  return undefined
}

interface HeaderFields {
  readonly name: Buffer
  readonly prefix: Buffer
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly linkPath: Buffer
  readonly major: number
  readonly minor: number
}

/** Blocks that are cut from one buffer: each of its own would cost more than what is written in it. */
let blocks = nothing
function zeroedBlock(): Buffer {
  if (blocks.length === 0) blocks = Buffer.alloc(blocksAtOnce * blockSize)
  const block = blocks.subarray(0, blockSize)
  blocks = blocks.subarray(blockSize)
  return block
}

function formatHeader(fields: HeaderFields): Buffer {
  const block = zeroedBlock()
  const octal = (value: number, offset: number, digits: number): void => {
    let rest = value
    // Beyond 32 bits there are no bit operators.
    for (let at = offset + digits - 1; at >= offset; at -= 1) {
      block[at] = 0x30 + (rest % 8)
      rest = Math.floor(rest / 8)
    }
  }
  fields.name.copy(block, 0)
  octal(fields.mode & 0o7777, 100, 7)
  octal(fields.uid, 108, 7)
  octal(fields.gid, 116, 7)
  octal(fields.size, 124, 11)
  octal(fields.mtime, 136, 11)
  block.write('        ', 148, 'latin1')
  block.write(fields.type, 156, 'latin1')
  fields.linkPath.copy(block, 157)
  block.write('ustar\x0000', 257, 'latin1')
  octal(fields.major, 329, 7)
  octal(fields.minor, 337, 7)
  fields.prefix.copy(block, 345)
  let sum = 0
  const end = 345 + fields.prefix.length
  for (let at = 0; at < end; at += 1) sum += block[at] ?? 0
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
