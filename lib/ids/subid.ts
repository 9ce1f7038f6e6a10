import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'

/** Ids `first` to `first + count - 1` of the host. */
export interface Range {
  readonly first: number
  readonly count: number
}

/** 2^32 - 1 is no id: it means "leave it as it is" to the kernel. */
export const maxId = 0xffff_fffe

const longestLine = 512

/** A decimal number without sign of at most ten digits, or undefined. */
export function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value <= maxId ? value : undefined
}

function rangeOf(first: string | undefined, count: string | undefined): Range | undefined {
  const [start, length] = [parseId(first), parseId(count)]
  if (start === undefined || length === undefined || length === 0 || start + length - 1 > maxId) return undefined
  return { first: start, count: length }
}

/** The fields of each line of a colon-separated file, over-long and empty lines left out. */
function* fieldsOf(text: string): Generator<string[]> {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at)
    if (end - at <= longestLine && end > at) yield text.slice(at, end).trim().split(':')
    at = end + 1
  }
}

/** Every range of a subuid(5) or subgid(5) file, whoever owns it; lines that make no sense are left out. */
export function allSubidRanges(text: string): readonly Range[] {
  return [...fieldsOf(text)].flatMap(([, first, count]) => rangeOf(first, count) ?? [])
}

/** The ranges that a subuid(5) or subgid(5) file gives to a user, by login name or by uid, in the order of the file. */
export function subidRanges(text: string, uid: number, name: string | undefined): readonly Range[] {
  const owners = [String(uid), ...(name === undefined ? [] : [name])]
  return [...fieldsOf(text)].flatMap(([owner, first, count]) =>
    owner !== undefined && owners.includes(owner) ? (rangeOf(first, count) ?? []) : [],
  )
}

/** What getsubids(1) prints: `0: user 100000 65536`, a line for each range. */
export function parseGetsubids(output: string): readonly Range[] {
  return output.split('\n').flatMap((line) => {
    const [, , first, count] = line.trim().split(/\s+/)
    return rangeOf(first, count) ?? []
  })
}

/** The text of a file, or undefined where it cannot be read. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}

function run(file: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 5000, maxBuffer: 1 << 20 }, (error, stdout) => resolve(error ? '' : stdout))
  })
}

/**
 * A user's ranges of subordinate ids: from the file, or by getsubids(1) where nsswitch.conf(5) says that they are kept elsewhere
 * (`subid: sss`). Subordinate gids too belong to a user, not to a group.
 */
export async function findSubids(
  kind: 'uid' | 'gid',
  uid: number,
  name: string | undefined,
  read: (path: string) => Promise<string | undefined> = textOf,
): Promise<readonly Range[]> {
  const nsswitch = (await read('/etc/nsswitch.conf')) ?? ''
  const elsewhere = /^\s*subid:\s*(?!files\b)\S/m.test(nsswitch)
  if (elsewhere && name !== undefined) return parseGetsubids(await run('getsubids', [...(kind === 'gid' ? ['-g'] : []), '--', name]))
  return subidRanges((await read(`/etc/sub${kind}`)) ?? '', uid, name)
}
