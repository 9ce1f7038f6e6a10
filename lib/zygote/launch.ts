import { fchmodSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { binding, closeFd, initPath, type NativeBinding } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { type IdRange, idMapArguments, idMapText } from '../ids/index.ts'
import { encodeProgram, flags, kernelRefused, type Op, type Program } from '../sys/index.ts'
import { Connection } from './connection.ts'

/** Every capability of this decade's kernels: 0 (CAP_CHOWN) to 40 (CAP_CHECKPOINT_RESTORE). */
export const allCapabilities = 2 ** 41 - 1

const initFds = new Map<number, number>()

/**
 * strake-init in a sealed memfd: whatever runs from it cannot change it (CVE-2019-5736).
 *
 * One that cannot be read makes the kernel count its memory to the user namespace in which the file's owner is known, this
 * process's (execve(2), ptrace(2)): then CAP_SYS_PTRACE in the containers' namespace gives nobody a look into the zygote's copies,
 * PID 1 and the first moments of each exec. With one id the owner is known inside as well, and /proc/self/uid_map has to stay writable.
 */
function initProgram(native: NativeBinding, hasOneId: boolean): number {
  const mode = hasOneId ? 0o555 : 0o111
  const known = initFds.get(mode)
  if (known !== undefined) return known
  const fd = native.memfd('strake-init', readFileSync(initPath()), true)
  if (fd < 0) throw kernelRefused([], -1, -fd)
  fchmodSync(fd, mode)
  initFds.set(mode, fd)
  return fd
}

/** Starts a program from Node itself, without copying its page tables. Throws `kernel_refused`. */
function spawnProgram(program: Program, fds: Readonly<Record<string, number>>): { pid: number; pidfd: number } {
  const [pid, other] = binding().spawn(encodeProgram(program, Object.keys(fds)), Object.values(fds))
  if (pid < 0) throw kernelRefused(program.ops, other, -pid)
  return { pid, pidfd: other }
}

/** Resolves once a process that this one started has ended, and reaps it. */
export function whenEnded(pidfd: number): Promise<{ code: number; signal: number }> {
  const native = binding()
  return new Promise((resolve) => {
    const watcher = native.watch(pidfd, 1, () => {
      const exit = native.reap(pidfd)
      if (!exit) return
      native.unwatch(watcher)
      closeFd(pidfd)
      resolve({ code: exit[0], signal: exit[1] })
    })
  })
}

/** Runs newuidmap(1) or newgidmap(1). */
async function runMapper(command: string, args: readonly string[]): Promise<void> {
  const nothing = openSync('/dev/null', 'r+')
  const [readEnd, writeEnd] = binding().pipe(0)
  let exit: { code: number; signal: number }
  let words = ''
  try {
    const ops: Op[] = [
      { op: 'dup2', fd: 'null', to: 0 },
      { op: 'dup2', fd: 'null', to: 1 },
      { op: 'dup2', fd: 'errors', to: 2 },
      { op: 'exec', paths: [command], argv: [command, ...args], env: [] },
    ]
    exit = await whenEnded(spawnProgram({ clone: 0, ops }, { null: nothing, errors: writeEnd }).pidfd)
    const bytes = Buffer.alloc(4096)
    const count = binding().read(readEnd, bytes)
    if (count > 0) words = bytes.toString('utf8', 0, count).trim()
  } finally {
    closeFd(nothing)
    closeFd(readEnd)
    closeFd(writeEnd)
  }
  if (exit.code === 0) return
  throw new StrakeError('kernel_refused', `${command} refused the map: ${words || `exit code ${exit.code}`}.`, {
    hint: 'Run `await doctor()`: it looks at /etc/subuid, /etc/subgid and the rights of newuidmap and newgidmap, and tells the command that mends them.',
    details: { op: 'idMap', errno: 'EPERM', exitCode: exit.code },
  })
}

/** Writes the id maps of a process that is in a fresh user namespace. Rejects with `kernel_refused`. */
export async function writeIdMaps(pid: number, range: IdRange): Promise<void> {
  if (range.kind === 'subid' && range.commands) {
    await runMapper(range.commands.uid, idMapArguments(pid, range.uidMap))
    await runMapper(range.commands.gid, idMapArguments(pid, range.gidMap))
    return
  }
  try {
    writeFileSync(`/proc/${pid}/uid_map`, idMapText(range.uidMap))
    if (range.kind === 'single') writeFileSync(`/proc/${pid}/setgroups`, 'deny')
    writeFileSync(`/proc/${pid}/gid_map`, idMapText(range.gidMap))
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'EPERM'
    throw new StrakeError('kernel_refused', `The id map of the user namespace was refused: ${errno}.`, {
      hint: 'Run `await doctor()`: it tells what forbids user namespaces here, and the command that allows them.',
      cause,
      details: { op: 'idMap', errno },
    })
  }
}

/** Lets the owner write its id maps: the files in /proc of what is not dumpable belong to the host's root. */
const dumpable: Op = { op: 'setDumpable', value: 1 }

/** What makes the agent uid 0 of its user namespace, once ids are mapped. */
const becomeRoot: readonly Op[] = [
  { op: 'setGroups', gids: [], tolerate: ['EPERM'] },
  { op: 'setResGid', real: 0, effective: 0, saved: 0 },
  { op: 'setResUid', real: 0, effective: 0, saved: 0 },
  { op: 'capAmbient', set: 0 },
  { op: 'capSet', effective: allCapabilities, permitted: allCapabilities, inheritable: 0 },
  // The change of ids took away what its own files in /proc need.
  dumpable,
]

export interface LaunchOptions {
  /** Flags of clone3(2): the namespaces that the agent is in. */
  readonly clone: number
  /** The ids of its user namespace, when `clone` makes one. */
  readonly ids?: IdRange | undefined
}

/**
 * Starts an agent from this process, in namespaces of its own. It ends with its socket, so not later than this process;
 * as PID 1 of a pid namespace it takes everything in there along. Rejects with `kernel_refused`.
 */
export async function launchAgent(options: LaunchOptions): Promise<Connection> {
  const native = binding()
  const [here, there] = native.channel()
  if (here < 0) throw kernelRefused([], -1, -here)
  const nothing = openSync('/dev/null', 'r+')
  const hasUser = (options.clone & flags.CLONE.CLONE_NEWUSER) !== 0
  const ops: Op[] = [
    // The agent's uid is not mapped yet when it execs: only ambient capabilities survive that.
    ...(hasUser
      ? ([
          { op: 'capSet', effective: allCapabilities, permitted: allCapabilities, inheritable: allCapabilities },
          { op: 'capAmbient', set: allCapabilities },
        ] satisfies Op[])
      : []),
    { op: 'setSid' },
    { op: 'dup2', fd: 'null', to: 0 },
    { op: 'dup2', fd: 'null', to: 1 },
    { op: 'dup2', fd: 'null', to: 2 },
    { op: 'dup2', fd: 'channel', to: 3 },
    { op: 'execFd', fd: 'program', argv: ['strake-init'], env: [] },
  ]
  let spawned: { pid: number; pidfd: number }
  try {
    spawned = spawnProgram(
      { clone: options.clone, ops },
      { null: nothing, channel: there, program: initProgram(native, options.ids?.kind === 'single') },
    )
  } catch (error) {
    closeFd(here)
    throw error
  } finally {
    closeFd(there)
    closeFd(nothing)
  }
  const connection = new Connection(here)
  reapQuietly(spawned.pidfd)
  try {
    const pid = await connection.ready
    if (hasUser) await connection.run([dumpable])
    if (hasUser && options.ids) await writeIdMaps(pid, options.ids)
    if (hasUser) await connection.run(becomeRoot)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

/** The agent's end is told by its socket; its zombie is reaped without keeping the event loop alive. */
function reapQuietly(pidfd: number): void {
  const native = binding()
  const watcher = native.watch(pidfd, 1, () => {
    if (!native.reap(pidfd)) return
    native.unwatch(watcher)
    closeFd(pidfd)
  })
  native.hold(watcher, false)
}
