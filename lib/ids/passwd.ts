/** A line of passwd(5), as much of it as matters here. */
export interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  /** As the file has it: it may be empty, relative or absurd. */
  readonly home: string
}

/** A line of group(5). */
export interface GroupEntry {
  readonly name: string
  readonly gid: number
  /** Names with commas between them. */
  readonly members: string
}

/** Docker takes ids up to here. */
export const maxUserId = 2 ** 31 - 1

const longestPasswdLine = 64 * 1024
const passwdFields = 7

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id <= maxUserId ? id : undefined
}

/** Has the text a control character? */
export function hasControl(text: string): boolean {
  return /[\u0000-\u001f\u007f]/.test(text)
}

/** The lines that are neither empty nor comments nor NIS entries, split at the colons; nothing is copied that is not looked at. */
function* lines(text: string, longest: number): Generator<string[]> {
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    if (end > at && end - at <= longest) {
      const fields = text.slice(at, end).trim().split(':', passwdFields)
      const name = fields[0] ?? ''
      if (name !== '' && !'#+-'.includes(name.charAt(0)) && !hasControl(name)) yield fields
    }
    at = end + 1
  }
}

/**
 * The users of a passwd file. The file is an image's and may hold anything: a line whose uid or gid is no number from 0 to 2^31 - 1
 * is left out (others read it as root's), and so is one of more than 64 KiB.
 */
export function* parsePasswd(text: string): Generator<PasswdEntry> {
  for (const [name, , uid, gid, , home] of lines(text, longestPasswdLine)) {
    const [user, group] = [idOf(uid), idOf(gid)]
    if (name !== undefined && user !== undefined && group !== undefined) yield { name, uid: user, gid: group, home: home ?? '' }
  }
}

/** The groups of a group file, by the same rules; a group may have any number of members. */
export function* parseGroup(text: string): Generator<GroupEntry> {
  for (const [name, , gid, members] of lines(text, Number.POSITIVE_INFINITY)) {
    const group = idOf(gid)
    if (name !== undefined && group !== undefined) yield { name, gid: group, members: members ?? '' }
  }
}

/** Is `user` among the members of the group? */
export function isMember(group: GroupEntry, user: string): boolean {
  return `,${group.members},`.includes(`,${user},`)
}
