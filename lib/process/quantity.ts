import { StrakeError } from '../errors/index.ts'

const byteUnits = ['', 'k', 'm', 'g', 't', 'p']
const bytePattern = /^(\d{1,16}(?:\.\d{1,15})?) ?([kmgtp]?)(?:i?b)?$/

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/**
 * A size in bytes, as Docker reads it: a whole number is bytes; a string has a unit, `b`, `k`, `m`, `g`, `t` or `p` in any case,
 * also as `kb` and `KiB`, always by 1024 (`'256m'`, `'1.5g'`), and without one is bytes. A part of a byte is cut off. Anything else,
 * what is negative and what is 2^53 or more: `invalid_argument`, with `what` in the message.
 *
 * @example
 * parseBytes('256m', 'memory') // 268435456
 */
export function parseBytes(value: string | number, what = 'size'): number {
  const match = typeof value === 'string' && value.length <= 40 ? bytePattern.exec(value.trim().toLowerCase()) : null
  const bytes = match ? Math.floor(Number(match[1]) * 1024 ** byteUnits.indexOf(match[2] ?? '')) : value
  if (typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0) return bytes
  throw new StrakeError('invalid_argument', `${what}: ${shown(value)} is not a size`, {
    hint: "a number of bytes, or a string such as '256m' or '1.5g'",
  })
}

/** A bound in bytes, as `parseBytes` reads it; Infinity is none. */
export function parseLimit(value: string | number, what = 'limit'): number {
  return value === Number.POSITIVE_INFINITY ? value : parseBytes(value, what)
}

const milliseconds: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 0.001, µs: 0.001, ns: 0.000001 }
const durationPattern = /^(?:\d{1,16}(?:\.\d{1,9})?(?:h|m|s|ms|us|µs|ns))+$/
const durationPart = /(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)/g

/**
 * A duration in milliseconds: a number is milliseconds; a string is parts with units as Docker and Go write them (`'1m30s'`,
 * `'500ms'`, `'1.5h'`), or `'0'`; Infinity is without end. Anything else, and what is negative: `invalid_argument`.
 *
 * @example
 * parseDuration('1m30s', 'timeout') // 90000
 */
export function parseDuration(value: string | number, what = 'duration'): number {
  if (typeof value === 'number' && value >= 0) return value
  const text = typeof value === 'string' && value.length <= 100 ? value.trim().replaceAll('μ', 'µ') : ''
  if (text === '0') return 0
  if (durationPattern.test(text)) {
    return [...text.matchAll(durationPart)].reduce((sum, part) => sum + Number(part[1]) * (milliseconds[part[2] ?? ''] ?? 0), 0)
  }
  throw new StrakeError('invalid_argument', `${what}: ${shown(value)} is not a duration`, {
    hint: "milliseconds, or a string such as '1m30s'",
  })
}

/**
 * A time that something may take, as `parseDuration` reads it; undefined for any time at all, which 0 and Infinity say as well: so do the
 * timeouts of node:child_process.
 */
export function parseTimeout(value: string | number | undefined, what = 'timeout'): number | undefined {
  const duration = value === undefined ? 0 : parseDuration(value, what)
  return duration === 0 || duration === Number.POSITIVE_INFINITY ? undefined : duration
}
