import { execFile } from 'node:child_process'
import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import os from 'node:os'
import { which } from '../ids/index.ts'

/** What checks ask this machine, in one place so that tests can answer for machines that are not there. */
export interface Machine {
  readonly platform: NodeJS.Platform
  readonly arch: string
  /** As uname(2) gives it: `6.1.0-18-amd64`. */
  readonly release: string
  readonly uid: number
  readonly gid: number
  /** undefined for a uid that passwd(5) has no name for. */
  readonly user: string | undefined
  /** The program that this process runs: Node's. */
  readonly execPath: string
  /** The text of a file; undefined where it cannot be read. */
  read(path: string): Promise<string | undefined>
  /** Mode and owner; undefined where there is no such file. */
  stat(path: string): Promise<{ readonly mode: number; readonly uid: number } | undefined>
  /** The magic number of the file system (statfs(2)); undefined where there is no such file. */
  fileSystem(path: string): Promise<number | undefined>
  /** May this process read and write the file, or use the directory and make files in it? */
  isWritable(path: string): Promise<boolean>
  which(command: string): string | undefined
  /** What a command prints; empty where it fails. */
  output(file: string, args: readonly string[]): Promise<string>
}

async function orNothing<T>(value: Promise<T>): Promise<T | undefined> {
  try {
    return await value
  } catch {
    return undefined
  }
}

function userName(): string | undefined {
  try {
    return os.userInfo().username
  } catch {
    return undefined
  }
}

export function thisMachine(): Machine {
  return {
    platform: process.platform,
    arch: process.arch,
    release: os.release(),
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    user: userName(),
    execPath: process.execPath,
    read: (path) => orNothing(readFile(path, 'utf8')),
    stat: (path) => orNothing(stat(path)),
    fileSystem: async (path) => (await orNothing(statfs(path)))?.type,
    isWritable: async (path) => {
      const needed = constants.R_OK | constants.W_OK | ((await orNothing(stat(path)))?.isDirectory() === true ? constants.X_OK : 0)
      return (await orNothing(access(path, needed).then(() => true))) ?? false
    },
    which,
    output: (file, args) =>
      new Promise((resolve) => void execFile(file, args, { timeout: 5000 }, (error, stdout) => resolve(error ? '' : stdout))),
  }
}

/** `sudo ` for whoever needs it. */
export function sudo(machine: Machine): string {
  return machine.uid === 0 ? '' : 'sudo '
}

/** The command that sets a sysctl now and for every boot to come. */
export function sysctlFix(machine: Machine, key: string, value: number): string {
  const file = `/etc/sysctl.d/60-strake-${key.split('.').at(-1)}.conf`
  return `echo '${key}=${value}' | ${sudo(machine)}tee ${file} && ${sudo(machine)}sysctl -p ${file}`
}

/** Is the kernel of this release or a later one? */
export function isKernel(machine: Machine, major: number, minor: number): boolean {
  const [, have = '0', haveMinor = '0'] = /^(\d+)\.(\d+)/.exec(machine.release) ?? []
  return Number(have) > major || (Number(have) === major && Number(haveMinor) >= minor)
}

/** A line of /proc/self/mountinfo, proc_pid_mountinfo(5). */
export interface Mount {
  /** The directory of the file system that is mounted. */
  readonly root: string
  readonly target: string
  readonly type: string
  /** Those of this mount: `rw`, `nosuid`, … */
  readonly options: readonly string[]
}

export async function mountsOf(machine: Machine): Promise<readonly Mount[]> {
  const decode = (text: string): string =>
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
  const text = (await machine.read('/proc/self/mountinfo')) ?? ''
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ')
    const [root, target, type] = [fields[3], fields[4], fields[fields.indexOf('-', 6) + 1]]
    if (root === undefined || target === undefined || type === undefined) return []
    return [{ root: decode(root), target: decode(target), type, options: fields[5]?.split(',') ?? [] }]
  })
}
