import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { delimiter, join } from 'node:path'

/** How the user that runs the tests gets ids into a user namespace; the words of `IdRange.kind`. */
export type IdKind = 'root' | 'subid' | 'single'

export const isRoot = process.getuid?.() === 0

/** The user's name, or its uid in digits where it has none. */
export const userName = (() => {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 0)
  }
})()

/** Whether a command is on the PATH, or in the directories of system programs that an ordinary user's PATH lacks. */
export function has(command: string): boolean {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function hasRange(file: string): boolean {
  if (!existsSync(file)) return false
  const owners = [userName, String(process.getuid?.())]
  return readFileSync(file, 'utf8')
    .split('\n')
    .some((line) => owners.includes(line.split(':')[0] ?? ''))
}

/** Found out apart from the library, so that a test can compare the library's answer with it. */
export const idKind: IdKind = isRoot
  ? 'root'
  : hasRange('/etc/subuid') && hasRange('/etc/subgid') && has('newuidmap') && has('newgidmap')
    ? 'subid'
    : 'single'

/** 2 where the unified hierarchy is mounted at /sys/fs/cgroup, 1 where controllers are mounted apart, 0 where there are none. */
export const cgroupVersion: 0 | 1 | 2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
  ? 2
  : existsSync('/proc/cgroups') && existsSync('/sys/fs/cgroup')
    ? 1
    : 0

export const isLinux = process.platform === 'linux'
export const nodeMajor = Number(process.versions.node.split('.')[0])

/** With CI=true nothing may be skipped. */
export const isCI = process.env.CI === 'true'

/**
 * The mounts that this process sees (proc_pid_mountinfo(5)), without those that other engines of this machine make and undo meanwhile in places
 * where only they work.
 */
export function mounts(): string[] {
  const isOthers = (line: string): boolean => /^\S+ \S+ \S+ \S+ \/(var|run|tmp|mnt)\//.test(line) && !line.includes('strake')
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => !isOthers(line))
}
