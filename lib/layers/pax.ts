import type { Time } from './entry.ts'
import { layerInvalid } from './limits.ts'

/** The records of a PAX extended header, in order: the same keyword may come several times (GNU sparse 0.0). */
export type PaxRecords = readonly (readonly [keyword: string, value: Buffer])[]

/**
 * Parses `<length> <keyword>=<value>\n` records (POSIX.1-2017 pax, "pax Extended Header"). Values are bytes: a value may hold
 * newlines, NULs and anything else (xattrs do).
 */
export function parsePax(data: Buffer): PaxRecords {
  const records: [string, Buffer][] = []
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at)
    const digits = space < 0 ? '' : data.toString('latin1', at, space)
    const end = at + Number(digits)
    if (!/^[1-9][0-9]{0,9}$/.test(digits) || end > data.length || data[end - 1] !== 0x0a)
      throw layerInvalid('a PAX header has a record of a wrong length')
    const equals = data.indexOf(0x3d, space)
    if (equals <= space + 1 || equals >= end) throw layerInvalid('a PAX header has a record without a keyword')
    records.push([data.toString('latin1', space + 1, equals), data.subarray(equals + 1, end - 1)])
    at = end
  }
  return records
}

/** A PAX decimal number that is not negative. */
export function paxNumber(value: Buffer, keyword: string): number {
  const text = value.toString('latin1')
  const number = Number(text)
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(number))
    throw layerInvalid(`the PAX record ${keyword} is not a number: ${JSON.stringify(text.slice(0, 40))}`)
  return number
}

/** PAX times are decimal, negative before 1970, with any number of digits after the point; what is below a nanosecond is cut off. */
export function paxTime(value: Buffer, keyword: string): Time {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value.toString('latin1'))
  if (!match) throw layerInvalid(`the PAX record ${keyword} is not a time: ${JSON.stringify(value.toString('latin1').slice(0, 40))}`)
  const sec = Number(match[2])
  const nsec = Number((match[3] ?? '').padEnd(9, '0').slice(0, 9))
  if (match[1] !== '-') return { sec, nsec }
  return nsec === 0 ? { sec: sec === 0 ? 0 : -sec, nsec } : { sec: -sec - 1, nsec: 1e9 - nsec }
}

export function formatPaxTime(time: Time): string {
  if (time.nsec === 0) return String(time.sec)
  const negative = time.sec < 0
  const sec = negative ? -time.sec - 1 : time.sec
  const nsec = negative ? 1e9 - time.nsec : time.nsec
  return `${negative ? '-' : ''}${sec}.${String(nsec).padStart(9, '0').replace(/0+$/, '')}`
}

/** One record; its length counts its own digits. */
export function formatPaxRecord(keyword: string, value: Uint8Array | string): Buffer {
  const body = Buffer.concat([
    Buffer.from(` ${keyword}=`, 'latin1'),
    typeof value === 'string' ? Buffer.from(value) : value,
    Buffer.from('\n'),
  ])
  let length = body.length
  while (String(length).length + body.length !== length) length = String(length).length + body.length
  return Buffer.concat([Buffer.from(String(length)), body])
}
