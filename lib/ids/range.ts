import { accessSync, constants } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type IdMap, mapOnto, parseIdMap } from './map.ts'
import { parseGroup, parsePasswd } from './passwd.ts'
import { chooseRootRange } from './root-range.ts'
import { allSubidRanges, findSubids, type Range, textOf } from './subid.ts'

/**
 * The ids that the containers of this process can have.
 * - `root`: a range of the host's ids that nobody else has; the maps are written by this process.
 * - `subid`: 0 is the caller, 1 and up are its subordinate ids; the maps are written by newuidmap(1) and newgidmap(1).
 * - `single`: 0 is the caller, and nothing else; setgroups(2) must be denied before the gid_map is written.
 */
export interface IdRange {
  readonly kind: 'root' | 'subid' | 'single'
  readonly uidMap: IdMap
  readonly gidMap: IdMap
  /** `root`: what is to be remembered in the store, and given as `recorded` from then on. */
  readonly range?: Range
  /** `subid`: the two commands, as absolute paths. */
  readonly commands?: { readonly uid: string; readonly gid: string }
  /** Why it is not a better one, a sentence each. */
  readonly problems: readonly string[]
}

/** What the choice depends on. Everything has a default that asks this machine. */
export interface IdRangeOptions {
  /** The range that an earlier call chose and the store has recorded. */
  readonly recorded?: Range | undefined
  /** Ranges in use that no file of the machine tells of: those of `userns: 'private'` containers. */
  readonly taken?: readonly Range[] | undefined
  readonly machine?: Partial<IdMachine> | undefined
}

/** The answers of the machine, apart so that tests can give them. */
export interface IdMachine {
  readonly uid: number
  readonly gid: number
  readonly name: string | undefined
  /** A file's text; undefined where there is none. */
  readonly read: (file: string) => Promise<string | undefined>
  readonly subids: (kind: 'uid' | 'gid', uid: number, name: string | undefined) => Promise<readonly Range[]>
  /** The absolute path of an executable, or undefined. */
  readonly which: (command: string) => string | undefined
}

/** The absolute path of a command on PATH or in the places for system commands, which a user's PATH may lack. */
export function which(command: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/bin', '/usr/sbin', '/sbin']
  return directories
    .filter((directory) => path.isAbsolute(directory))
    .map((directory) => path.join(directory, command))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

function loginName(): string | undefined {
  try {
    return os.userInfo().username
  } catch {
    return undefined
  }
}

/** This machine and the user that this process runs as. */
export function thisMachine(): IdMachine {
  const uid = process.geteuid?.()
  const gid = process.getegid?.()
  if (uid === undefined || gid === undefined) {
    throw new StrakeError('unsupported_platform', 'user ids are Linux’s', {
      hint: 'run it in a Linux virtual machine: Lima on macOS, WSL 2 on Windows',
    })
  }
  return { uid, gid, name: loginName(), read: textOf, subids: (kind, owner, name) => findSubids(kind, owner, name), which }
}

const setuidBits = 0b1100_0000n

function ownIds(text: string | undefined): readonly Range[] | undefined {
  return text === undefined ? undefined : parseIdMap(text).map(({ inside, count }) => ({ first: inside, count }))
}

function contains(ids: readonly Range[] | undefined, range: Range): boolean {
  return ids?.some(({ first, count }) => range.first >= first && range.first + range.count <= first + count) ?? true
}

async function takenRanges(machine: IdMachine): Promise<readonly Range[]> {
  const [subuid, subgid, passwd, group] = await Promise.all(['/etc/subuid', '/etc/subgid', '/etc/passwd', '/etc/group'].map(machine.read))
  const users = [...parsePasswd(passwd ?? '')].map((user) => ({ first: user.uid, count: 1 }))
  const groups = [...parseGroup(group ?? '')].map((each) => ({ first: each.gid, count: 1 }))
  return [...allSubidRanges(subuid ?? ''), ...allSubidRanges(subgid ?? ''), ...users, ...groups]
}

async function rootRange(machine: IdMachine, options: IdRangeOptions): Promise<IdRange> {
  const [status, uidText, gidText] = await Promise.all(['/proc/self/status', '/proc/self/uid_map', '/proc/self/gid_map'].map(machine.read))
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? '')?.[1] ?? 'ffffffffff'}`)
  if ((effective & setuidBits) !== setuidBits)
    return single(machine, ['this process is uid 0 without CAP_SETUID and CAP_SETGID, so it can map no other id'])
  const [uids, gids] = [ownIds(uidText), ownIds(gidText)]
  const fits = (range: Range): boolean => contains(uids, range) && contains(gids, range)
  const recorded = options.recorded && fits(options.recorded) ? options.recorded : undefined
  const range = recorded ?? chooseRootRange([...(await takenRanges(machine)), ...(options.taken ?? [])], commonIds(uids, gids))
  if (!range) return single(machine, ['the user namespace of this process has one id only'])
  const problems = range.count < 65_536 ? [`the user namespace of this process has few ids: containers have ${range.count}`] : []
  const map: IdMap = [{ inside: 0, outside: range.first, count: range.count }]
  return { kind: 'root', uidMap: map, gidMap: map, range, problems }
}

/** The ids that are both uids and gids of this process's user namespace. */
function commonIds(uids: readonly Range[] | undefined, gids: readonly Range[] | undefined): readonly Range[] | undefined {
  if (!uids || !gids) return uids ?? gids
  return uids.flatMap((a) =>
    gids.flatMap((b) => {
      const first = Math.max(a.first, b.first)
      const count = Math.min(a.first + a.count, b.first + b.count) - first
      return count > 0 ? [{ first, count }] : []
    }),
  )
}

function single(machine: IdMachine, problems: readonly string[]): IdRange {
  const one = (outside: number): IdMap => [{ inside: 0, outside, count: 1 }]
  return { kind: 'single', uidMap: one(machine.uid), gidMap: one(machine.gid), problems }
}

async function userRange(machine: IdMachine): Promise<IdRange> {
  const [status, uidText, gidText] = await Promise.all(['/proc/self/status', '/proc/self/uid_map', '/proc/self/gid_map'].map(machine.read))
  const [subuids, subgids] = await Promise.all([
    machine.subids('uid', machine.uid, machine.name),
    machine.subids('gid', machine.uid, machine.name),
  ])
  const [uid, gid] = [machine.which('newuidmap'), machine.which('newgidmap')]
  const owner = machine.name ?? String(machine.uid)
  const problems: string[] = []
  if (subuids.length === 0) problems.push(`/etc/subuid gives no ids to ${owner}`)
  if (subgids.length === 0) problems.push(`/etc/subgid gives no ids to ${owner}`)
  if (machine.name === undefined) problems.push(`uid ${machine.uid} has no name in /etc/passwd, without which newuidmap maps nothing`)
  if (!uid || !gid) problems.push('newuidmap and newgidmap are not installed')
  if (/^NoNewPrivs:\s*1$/m.test(status ?? '')) problems.push('this process runs with no_new_privs, so newuidmap has no privileges')
  const uidMap = mapOnto(
    machine.uid,
    subuids.filter((range) => contains(ownIds(uidText), range)),
  )
  const gidMap = mapOnto(
    machine.gid,
    subgids.filter((range) => contains(ownIds(gidText), range)),
  )
  if (problems.length === 0 && (uidMap.length < 2 || gidMap.length < 2))
    problems.push(`the ids of /etc/subuid and /etc/subgid for ${owner} cannot be mapped here`)
  if (problems.length > 0 || !uid || !gid) return single(machine, problems)
  return { kind: 'subid', uidMap, gidMap, commands: { uid, gid }, problems: [] }
}

/**
 * The ids that containers get: the widest that this process may map. Never rejects for lack of ids: the least is `single`, and
 * `problems` says why. Root with every range taken: `limit_exceeded`. Not Linux: `unsupported_platform`. See user_namespaces(7).
 */
export async function idRange(options: IdRangeOptions = {}): Promise<IdRange> {
  const machine: IdMachine = { ...thisMachine(), ...options.machine }
  return machine.uid === 0 ? rootRange(machine, options) : userRange(machine)
}
