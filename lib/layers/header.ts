import { layerInvalid } from './limits.ts'

export const blockSize = 512

/** A header block as it stands (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format"). */
export interface Header {
  readonly type: string
  readonly path: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly linkPath: Buffer
  readonly major: number
  readonly minor: number
  /** Whether the magic is GNU tar's, whose header has other fields where ustar has the prefix. */
  readonly gnu: boolean
  readonly block: Buffer
}

const nothing = Buffer.alloc(0)

/** Bytes of a field up to its first NUL, in the block's own memory. */
export function textField(block: Buffer, offset: number, length: number): Buffer {
  let end = offset
  while (end < offset + length && block[end] !== 0) end += 1
  return end === offset ? nothing : block.subarray(offset, end)
}

/**
 * A number as octal digits, padded by blanks, zeroes or NULs; or, with the first bit set, as a big-endian two's complement
 * (GNU's base-256). Anything else is refused, as is what a double cannot hold exactly.
 */
export function numberField(block: Buffer, offset: number, length: number, name: string): number {
  const first = block[offset] ?? 0
  if (first & 0x80) return base256(block.subarray(offset, offset + length), name)
  const end = offset + length
  let at = offset
  while (at < end && isBlank(block[at])) at += 1
  let value = 0
  for (let digit = (block[at] ?? 0) - 0x30; at < end && digit >= 0 && digit <= 7; digit = (block[at] ?? 0) - 0x30) {
    value = value * 8 + digit
    at += 1
  }
  if (at < end && !isBlank(block[at])) {
    const text = JSON.stringify(block.toString('latin1', offset, end))
    throw layerInvalid(`the field ${name} of a header is not a number: ${text}`)
  }
  return safe(value, name)
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0
}

function base256(field: Buffer, name: string): number {
  const negative = ((field[0] ?? 0) & 0x40) !== 0
  let value = BigInt((field[0] ?? 0) & 0x7f)
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte)
  if (negative) value -= 1n << BigInt(field.length * 8 - 1)
  return safe(Number(value), name)
}

function safe(value: number, name: string): number {
  if (!Number.isSafeInteger(value)) throw layerInvalid(`the field ${name} of a header is out of range`)
  return value
}

export function isZero(bytes: Buffer): boolean {
  let at = 0
  for (; at + 8 <= bytes.length; at += 8) if (bytes.readInt32LE(at) !== 0 || bytes.readInt32LE(at + 4) !== 0) return false
  for (; at < bytes.length; at += 1) if (bytes[at] !== 0) return false
  return true
}

/** Some historic tars summed signed bytes; both sums are accepted, as GNU tar and Go do. */
function checkSum(block: Buffer): void {
  const stored = numberField(block, 148, 8, 'chksum')
  let unsigned = 0
  let high = 0
  for (let at = 0; at < blockSize; at += 1) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0)
    unsigned += byte
    if (byte > 127) high += 256
  }
  if (stored !== unsigned && stored !== unsigned - high)
    throw layerInvalid('the checksum of a header is wrong: the archive is damaged, or not a tar')
}

const ustarMagic = [...Buffer.from('ustar')]
/** What follows `ustar` in GNU tar's magic and version. */
const gnuRest = [...Buffer.from('  \0')]

function startsWith(block: Buffer, offset: number, bytes: readonly number[]): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (block[offset + at] !== bytes[at]) return false
  return true
}

/** Names are in the block's own memory. */
export function parseHeader(block: Buffer): Header {
  checkSum(block)
  const isUstar = startsWith(block, 257, ustarMagic)
  const posix = isUstar && block[262] === 0
  const gnu = isUstar && startsWith(block, 262, gnuRest)
  const type = String.fromCharCode(block[156] ?? 0)
  const device = type === '3' || type === '4'
  const name = textField(block, 0, 100)
  const prefix = posix ? textField(block, 345, 155) : nothing
  return {
    type: type === '\0' ? '0' : type,
    path: prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name,
    mode: numberField(block, 100, 8, 'mode') & 0o7777,
    uid: numberField(block, 108, 8, 'uid'),
    gid: numberField(block, 116, 8, 'gid'),
    size: numberField(block, 124, 12, 'size'),
    mtime: numberField(block, 136, 12, 'mtime'),
    linkPath: textField(block, 157, 100),
    major: device ? numberField(block, 329, 8, 'devmajor') : 0,
    minor: device ? numberField(block, 337, 8, 'devminor') : 0,
    gnu,
    block,
  }
}
