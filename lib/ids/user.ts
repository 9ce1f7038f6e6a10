import { StrakeError } from '../errors/index.ts'
import { hasControl, isMember, maxUserId, type PasswdEntry, parseGroup, parsePasswd } from './passwd.ts'

/** Whom a process of a container runs as: ids inside the container. */
export interface ContainerUser {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups; the primary one is the first of them. */
  readonly groups: readonly number[]
  /** For `$HOME`. */
  readonly home: string
  /** Where passwd has one. */
  readonly name?: string
}

const longestSpec = 256
/** As Docker's. */
const largestFile = 10 * 1024 * 1024
/** NGROUPS_MAX of the kernel. */
const mostGroups = 65_536

function invalid(message: string): StrakeError {
  return new StrakeError('invalid_argument', message, { hint: "a user is written 'name', 'uid', 'name:group' or 'uid:gid'" })
}

/** The number that a user or group is given by; undefined for a name. */
function numeric(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined
  const id = Number(text)
  if (id >= 0 && id <= maxUserId) return id
  throw invalid(`the id ${text} is not within 0 to ${maxUserId}`)
}

function specOf(spec: string | number | undefined): readonly [user: string, group: string] {
  if (spec === undefined) return ['', '']
  if (typeof spec === 'number') return [String(spec), '']
  if (typeof spec !== 'string' || spec.length > longestSpec || hasControl(spec)) {
    throw invalid(
      typeof spec === 'string' && spec.length > longestSpec ? `the user has ${spec.length} characters` : 'the user is no name and no id',
    )
  }
  const colon = spec.indexOf(':')
  return colon < 0 ? [spec, ''] : [spec.slice(0, colon), spec.slice(colon + 1)]
}

function checked(text: string | undefined, file: string): string {
  if (text === undefined || text.length <= largestFile) return text ?? ''
  throw new StrakeError('limit_exceeded', `${file} of the image has more than ${largestFile} bytes`, { details: { limit: largestFile } })
}

function notFound(kind: 'user' | 'group', name: string, file: string, known: Iterable<{ name: string }>): StrakeError {
  const names: string[] = []
  for (const entry of known) {
    if (names.length === 12) break
    names.push(entry.name)
  }
  const hint =
    names.length > 0
      ? `${file} has ${names.join(', ').slice(0, 300)}; an id needs no entry`
      : `the image has no ${file}: use an id instead of a name`
  return new StrakeError('user_not_found', `there is no ${kind} ${JSON.stringify(name)} in ${file} of the image`, {
    hint,
    details: { kind, name },
  })
}

function first<T>(entries: Iterable<T>, fits: (entry: T) => boolean): T | undefined {
  for (const entry of entries) if (fits(entry)) return entry
  return undefined
}

function supplementary(group: string, user: string): readonly number[] {
  const gids = new Set<number>()
  for (const entry of parseGroup(group)) {
    if (isMember(entry, user)) gids.add(entry.gid)
    if (gids.size >= mostGroups) {
      throw new StrakeError('limit_exceeded', `/etc/group of the image puts ${JSON.stringify(user)} in ${mostGroups} groups or more`, {
        hint: 'name the group: user:group has no supplementary ones',
        details: { limit: mostGroups },
      })
    }
  }
  return [...gids]
}

function homeOf(entry: PasswdEntry | undefined): string {
  return entry?.home.startsWith('/') && !hasControl(entry.home) ? entry.home : '/'
}

/**
 * Whom `spec` means in an image with these passwd and group files (undefined: the image has none), by Docker's rules: nothing or
 * `''` is uid 0; digits are always an id, which needs no entry, but takes gid, home and groups from one; without `:group` come the
 * supplementary groups that list the user's name, with it none. The primary group is a supplementary one as well (CVE-2022-36109).
 * Without an entry gid is 0 and home `/`.
 *
 * A name that is not there: `user_not_found`; ids beyond 2^31 - 1, control characters: `invalid_argument`; files of more than 10 MiB
 * or 65536 groups: `limit_exceeded`. The files are read here and by nothing of the image.
 *
 * @example
 * lookUpUser('www-data', passwd, group) // { uid: 33, gid: 33, groups: [33], home: '/var/www', name: 'www-data' }
 */
export function lookUpUser(spec: string | number | undefined, passwd: string | undefined, group: string | undefined): ContainerUser {
  const [user, groupName] = specOf(spec)
  const users = checked(passwd, '/etc/passwd')
  const groups = checked(group, '/etc/group')
  const uid = user === '' ? 0 : numeric(user)
  const entry = first(parsePasswd(users), (each) => (uid === undefined ? each.name === user : each.uid === uid))
  if (uid === undefined && !entry) throw notFound('user', user, '/etc/passwd', parsePasswd(users))
  const named = entry ? { name: entry.name } : {}
  const base = { uid: entry?.uid ?? uid ?? 0, home: homeOf(entry), ...named }
  if (groupName === '') {
    const gid = entry?.gid ?? 0
    return { ...base, gid, groups: [...new Set([gid, ...(entry ? supplementary(groups, entry.name) : [])])] }
  }
  const gid = numeric(groupName) ?? first(parseGroup(groups), (each) => each.name === groupName)?.gid
  if (gid === undefined) throw notFound('group', groupName, '/etc/group', parseGroup(groups))
  return { ...base, gid, groups: [gid] }
}
