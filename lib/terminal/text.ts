import { stripVTControlCharacters } from 'node:util'

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** An amount of bytes in three or four digits: `512 B`, `31.2 MB`. */
export function bytes(amount: number): string {
  let value = amount
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`
}

/** A time in milliseconds as people count it: `0.4 s`, `12.3 s`, `3 min 20 s`. */
export function seconds(milliseconds: number): string {
  const all = milliseconds / 1000
  return all < 60 ? `${all.toFixed(1)} s` : `${Math.floor(all / 60)} min ${Math.floor(all % 60)} s`
}

/** A bar of `width` columns, filled as far as `share` (0 to 1) says. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width)
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

/** Text from elsewhere on one line: no sequence of it moves a cursor or changes a colour. A line that was written over shows as it was last. */
export function printable(text: string): string {
  const line = text.trimEnd().split('\r').at(-1) ?? ''
  return stripVTControlCharacters(line).replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ')
}

/** A line cut to `width` characters. */
export function fit(line: string, width: number): string {
  const letters = [...line]
  return letters.length <= width ? line : `${letters.slice(0, Math.max(0, width - 1)).join('')}…`
}
