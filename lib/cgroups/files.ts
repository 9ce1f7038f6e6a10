import { accessSync, closeSync, constants, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { StrakeError } from '../errors/error.ts'

/** The errno's name of a failed call of node:fs, '' of anything else. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** The text of a control file; undefined where this kernel or this group does not have it. */
export function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP', 'ENOTDIR', 'EACCES', 'ESRCH'].includes(errnoOf(error))) return undefined
    throw error
  }
}

/** A number from a control file that holds only it. */
export function readNumber(path: string): number | undefined {
  const text = read(path)
  return text === undefined ? undefined : Number.parseInt(text, 10)
}

/** A flat keyed file ("oom_kill 3" a line) as numbers by key. */
export function readKeyed(path: string): Readonly<Record<string, number>> | undefined {
  const text = read(path)
  if (text === undefined) return undefined
  return Object.fromEntries(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(/\s+/))
      .map(([key = '', value = '']) => [key, Number(value)]),
  )
}

/** Writes a control file, which is never made by it: O_CREAT on cgroupfs answers EPERM for a file that is merely not there. */
export function writeRaw(path: string, value: string): void {
  const fd = openSync(path, constants.O_WRONLY)
  try {
    writeSync(fd, value)
  } finally {
    closeSync(fd)
  }
}

/** Writes a control file; true, or false where the kernel said one of `tolerate`. Throws `kernel_refused` for the rest. */
export function write(path: string, value: string, tolerate: readonly string[] = []): boolean {
  try {
    writeRaw(path, value)
    return true
  } catch (cause) {
    const errno = errnoOf(cause)
    if (tolerate.includes(errno)) return false
    throw refused('write', path, errno, cause, ` "${value}"`)
  }
}

const meanings: Readonly<Record<string, string>> = {
  EBUSY: 'more than that is in use already, or processes are in a group that must be empty for this',
  EINVAL: 'this kernel does not take that value; a list of CPUs may name one that is not there',
  ERANGE: 'the value is out of the range that this kernel takes',
  ENOENT: 'the controller is not enabled for this group',
  EACCES: 'the group does not belong to this user',
  EPERM: 'the group does not belong to this user',
  EROFS: 'the cgroup file system is mounted read-only',
  ENOSPC: 'the machine has no more cgroups to give, or the CPUs are taken exclusively by another group',
}

export function refused(op: string, path: string, errno: string, cause: unknown, what = ''): StrakeError {
  return new StrakeError('kernel_refused', `cgroup: ${op}${what} ${path}: ${errno || String(cause)}`, {
    hint: meanings[errno],
    cause,
    details: { op, path, errno },
  })
}

export function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The pids in a group, as this process sees them: those of another pid namespace (listed as 0) are left out. */
export function pidsIn(directory: string): number[] {
  const text = read(`${directory}/cgroup.procs`) ?? ''
  return text
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0)
}

/** The groups inside a group, by name. */
export function groupsIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}
