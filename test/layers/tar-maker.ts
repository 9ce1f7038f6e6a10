import { formatPaxRecord } from '../../lib/layers/pax.ts'

/** A header as a hostile archive may have it: any field, any bytes. */
export interface RawEntry {
  readonly name?: string | Buffer
  readonly type?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  readonly linkName?: string | Buffer
  readonly major?: number
  readonly minor?: number
  readonly data?: string | Buffer
  /** PAX records before it. */
  readonly pax?: readonly (readonly [string, string | Buffer])[]
  /** Bytes that are written over the header before it is summed, by offset. */
  readonly patch?: Readonly<Record<number, Buffer | string>>
  /** The size field's value, where it is not the data's length. */
  readonly size?: number
  readonly badChecksum?: boolean
}

export const endMark = Buffer.alloc(1024)

export function pad(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)])
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, '0')}\0`
}

export function header(entry: RawEntry): Buffer {
  const block = Buffer.alloc(512)
  const data = Buffer.from(entry.data ?? '')
  Buffer.from(entry.name ?? 'x').copy(block, 0, 0, 100)
  block.write(octal(entry.mode ?? 0o644, 7), 100, 'latin1')
  block.write(octal(entry.uid ?? 0, 7), 108, 'latin1')
  block.write(octal(entry.gid ?? 0, 7), 116, 'latin1')
  block.write(octal(entry.size ?? data.length, 11), 124, 'latin1')
  block.write(octal(entry.mtime ?? 0, 11), 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(entry.type ?? '0', 156, 'latin1')
  Buffer.from(entry.linkName ?? '').copy(block, 157, 0, 100)
  block.write('ustar\x0000', 257, 'latin1')
  if (entry.major !== undefined) block.write(octal(entry.major, 7), 329, 'latin1')
  if (entry.minor !== undefined) block.write(octal(entry.minor, 7), 337, 'latin1')
  for (const [offset, bytes] of Object.entries(entry.patch ?? {}))
    (typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes).copy(block, Number(offset))
  const sum = block.reduce((total, byte) => total + byte, 0) + (entry.badChecksum ? 1 : 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

export function extended(type: string, data: Buffer): Buffer {
  return Buffer.concat([header({ name: 'extended', type, data }), pad(data)])
}

export function raw(entry: RawEntry): Buffer {
  const records = entry.pax ?? []
  const pax =
    records.length === 0 ? Buffer.alloc(0) : extended('x', Buffer.concat(records.map(([key, value]) => formatPaxRecord(key, value))))
  return Buffer.concat([pax, header(entry), pad(Buffer.from(entry.data ?? ''))])
}

/** A tar of entries, or of bytes as they are. */
export function tar(...entries: readonly (RawEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((each) => (Buffer.isBuffer(each) ? each : raw(each))), endMark])
}

/** The same bytes in pieces of a size: what a reader makes of them must not depend on it. */
export function* sliced(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export const dir = (name: string, mode = 0o755): RawEntry => ({ name: `${name}/`, type: '5', mode })
export const file = (name: string, data = '', more: RawEntry = {}): RawEntry => ({ name, data, ...more })
export const link = (name: string, target: string): RawEntry => ({ name, type: '1', linkName: target })
export const symlink = (name: string, target: string): RawEntry => ({ name, type: '2', linkName: target, mode: 0o777 })

/** A number as GNU's base-256: big-endian, the first bit set. */
export const base256 = (value: bigint, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  let rest = value < 0n ? value + (1n << BigInt(length * 8)) : value | (1n << BigInt(length * 8 - 1))
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

const gnuMagic = { 257: 'ustar  \0' }
/** A field of 12 bytes. */
export const number12 = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`
/** A sparse file in GNU's old form. */
export const oldSparse = (
  regions: readonly (readonly [number, number])[],
  realsize: number,
  data: string,
  more: RawEntry = {},
): RawEntry => ({
  name: 'sparse',
  type: 'S',
  data,
  ...more,
  patch: {
    ...gnuMagic,
    386: regions.map(([offset, length]) => number12(offset) + number12(length)).join(''),
    483: number12(realsize),
    ...more.patch,
  },
})
