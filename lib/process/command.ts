import { posix } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { flags, type Op } from '../sys/index.ts'
import {
  capabilityMask,
  filterAllows,
  filterForbids,
  type Rlimit,
  type SeccompOptions,
  type SyscallName,
  seccompFilter,
} from './confinement/index.ts'
import type { CommandSpec, IdKind } from './spec.ts'

const { CLONE, CLOSE_RANGE, SECCOMP, O, RLIMIT } = flags
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What the ops between the filter and the command's own first instruction need. */
const callsAfterFilter: readonly SyscallName[] = [
  'wait4',
  'setsid',
  'dup3',
  'fcntl',
  'close_range',
  'prlimit64',
  'setgroups',
  'setresgid',
  'setresuid',
  'capset',
  'prctl',
  'chdir',
  'umask',
  'execve',
  'exit_group',
  'sendmsg',
  'rt_sigprocmask',
  'rt_sigtimedwait',
  'kill',
  'getpid',
  'getuid',
  'getgid',
  'ioctl',
]

/** Of these, what one who has a single id does not do: it is answered by the filter. */
const callsOfIds: readonly SyscallName[] = ['setgroups', 'setresgid', 'setresuid']

export function seccompOptions(command: CommandSpec, ids: IdKind, arch: 'x64' | 'arm64'): SeccompOptions {
  return {
    capabilities: command.capabilities,
    arch,
    fakeOwnership: ids === 'single',
    fakeIds: ids === 'single' && command.user.uid === 0,
    ...(typeof command.seccomp === 'object' ? { profile: command.seccomp } : {}),
  }
}

/** The paths at which execvpe(3) would look for the command, inside the container. */
export function searchPaths(argv0: string, env: readonly string[]): string[] {
  if (argv0.includes('/')) return [argv0]
  const path = env.find((each) => each.startsWith('PATH='))?.slice('PATH='.length) || defaultPath
  return path.split(':').map((directory) => (directory === '' ? `./${argv0}` : posix.join(directory, argv0)))
}

/** With one id mapped, another user is had by a user namespace inside, whose only id is that user's. Its maker has every capability there. */
function nestedUser({ user: { uid, gid }, capabilities }: CommandSpec): Op[] {
  const write = (path: string, text: string): Op => ({ op: 'write', path, flags: O.O_WRONLY, data: Buffer.from(text) })
  return [
    { op: 'unshare', flags: CLONE.CLONE_NEWUSER },
    write('/proc/self/setgroups', 'deny'),
    write('/proc/self/uid_map', `${uid} 0 1`),
    write('/proc/self/gid_map', `${gid} 0 1`),
    { op: 'capBounding', keep: capabilityMask(capabilities) },
  ]
}

function identity(command: CommandSpec): Op[] {
  const { uid, gid, groups } = command.user
  const mask = capabilityMask(command.capabilities)
  return [
    { op: 'setGroups', gids: groups },
    { op: 'setResGid', real: gid, effective: gid, saved: gid },
    { op: 'setResUid', real: uid, effective: uid, saved: uid },
    // A user other than root loses its capabilities with the change of uid; what is inheritable stays none (CVE-2022-24769).
    ...(uid === 0 ? ([{ op: 'capSet', effective: mask, permitted: mask, inheritable: 0 }] satisfies Op[]) : []),
  ]
}

function terminal(): Op[] {
  return [{ op: 'controlTerminal', fd: 'terminal' }, ...[0, 1, 2].map((to): Op => ({ op: 'dup2', fd: 'terminal', to }))]
}

const pipes: readonly Op[] = [
  { op: 'dup2', fd: 'stdin', to: 0 },
  { op: 'dup2', fd: 'stdout', to: 1 },
  { op: 'dup2', fd: 'stderr', to: 2 },
]

/** A working directory that is not there is made, as Docker does. */
export function makeDirectories(path: string): Op[] {
  const names = path.split('/').filter((name) => name !== '')
  return names.map(
    (_, index): Op => ({ op: 'mkdir', path: `/${names.slice(0, index + 1).join('/')}`, mode: 0o755, tolerate: ['EEXIST', 'EROFS'] }),
  )
}

/** Before any process of the container is there: what needs the rights of its first process. */
export function beforeCommand(command: CommandSpec): Op[] {
  const size = command.tty
  return [
    ...makeDirectories(command.cwd),
    ...(size
      ? ([
          { op: 'openPty', path: '/dev/pts/ptmx', master: 'master', slave: 'terminal' },
          { op: 'windowSize', fd: 'master', rows: size.rows, columns: size.columns },
          ...(command.user.uid === 0
            ? []
            : ([{ op: 'chown', path: '/dev/pts/0', uid: command.user.uid, gid: 5, tolerate: ['EINVAL', 'ENOENT'] }] satisfies Op[])),
          { op: 'sendFd', fd: 'master', name: 'terminal' },
          { op: 'close', fd: 'master' },
        ] satisfies Op[])
      : []),
  ]
}

const answers = new Map<string, boolean>()

/** `filterAllows`, asked once for each kind of container: it looks through the whole policy. */
function allowsAll(calls: readonly SyscallName[], options: SeccompOptions): boolean {
  if (options.profile) return filterAllows(calls, options)
  const key = JSON.stringify([options.arch, options.fakeOwnership, options.fakeIds, options.capabilities])
  const known = answers.get(key)
  if (known !== undefined) return known
  const answer = filterAllows(calls, options)
  answers.set(key, answer)
  return answer
}

export interface Confinement {
  /** Carried out by the first process, and so by all it starts. */
  readonly early: readonly Op[]
  /** Carried out by the command just before its exec. */
  readonly inCommand: readonly Op[]
  /** Carried out by the first process once the command is made. */
  readonly late: readonly Op[]
}

/**
 * Who loads the seccomp filter, and when. (The bounding set is dropped before: see `preparedOps`.) A filter that allows what is still to do is loaded once, by the first process;
 * any other by the command as its last act, and then by the first process for itself.
 */
export function confinementOf(command: CommandSpec, ids: IdKind, arch: 'x64' | 'arm64'): Confinement {
  const closed: Op[] = command.noNewPrivileges ? [{ op: 'noNewPrivs' }] : []
  if (command.seccomp === 'unconfined') return { early: closed, inCommand: [], late: [] }
  const options = seccompOptions(command, ids, arch)
  const filter: Op = { op: 'seccomp', filter: seccompFilter(options), flags: SECCOMP.SECCOMP_FILTER_FLAG_SPEC_ALLOW }
  const isNested = ids === 'single' && command.user.uid !== 0
  // The default profile allows clone(2) with the flags of our `fork`; of another nobody knows.
  const calls = ids === 'single' ? callsAfterFilter.filter((name) => !callsOfIds.includes(name)) : callsAfterFilter
  const needed: readonly SyscallName[] = options.profile ? [...calls, 'clone'] : calls
  const fitsEarly = !isNested && allowsAll(needed, options)
  if (fitsEarly) return { early: [...closed, filter], inCommand: [], late: [] }
  if (!command.noNewPrivileges && (command.user.uid !== 0 || !command.capabilities.includes('CAP_SYS_ADMIN'))) {
    throw new StrakeError(
      'invalid_argument',
      'noNewPrivileges: false needs a seccomp filter that can be loaded before the command is there.',
      {
        hint: isNested
          ? "With a single id that is so for root only; or take seccomp: 'unconfined'."
          : 'The profile must allow what a start needs (chdir, setresuid, capset, …); or add CAP_SYS_ADMIN.',
      },
    )
  }
  if (!options.profile) return { early: closed, inCommand: [filter], late: [filter] }
  if (filterForbids('execve', options)) {
    throw new StrakeError('invalid_argument', 'The seccomp profile allows execve(2) to nobody: no command can be started.', {
      hint: "Add a rule: { names: ['execve'], action: 'SCMP_ACT_ALLOW' }.",
    })
  }
  // The first process has work of its own to do, which another profile may forbid: it has the default one.
  const { profile: _, ...standard } = options
  return { early: closed, inCommand: [filter], late: [{ ...filter, filter: seccompFilter(standard) }] }
}

function limit({ resource, soft, hard }: Rlimit): Op {
  return { op: 'prlimit', resource, soft, hard }
}

/**
 * RLIMIT_NPROC for all processes of a container with one user, and for each user's in any other. In the container's own namespace, but before
 * one inside that is made for another user: what is in there is counted to PID 1's user as well. Where the hard limit is lower already it stays.
 */
export function processLimit(processes: number | undefined): Op[] {
  if (processes === undefined) return []
  return [{ op: 'prlimit', resource: RLIMIT.RLIMIT_NPROC, soft: processes, hard: processes, tolerate: ['EPERM'] }]
}

/** What the command's own process carries out, up to its exec. */
export function commandOps(command: CommandSpec, ids: IdKind, confinement: Confinement): Op[] {
  const { uid } = command.user
  const isSingle = ids === 'single'
  const limits = command.rlimits.map(limit)
  return [
    { op: 'setSid' },
    ...(command.tty ? terminal() : pipes),
    { op: 'closeRange', first: 3, flags: CLOSE_RANGE.CLOSE_RANGE_CLOEXEC },
    // Limits hold in a namespace inside from its making on: what makes it opens files, and RLIMIT_NPROC set before it would count what all
    // containers have.
    ...(isSingle ? [...(uid === 0 ? [] : nestedUser(command)), ...limits] : [...limits, ...identity(command)]),
    ...(isSingle && uid === 0
      ? ([
          {
            op: 'capSet',
            effective: capabilityMask(command.capabilities),
            permitted: capabilityMask(command.capabilities),
            inheritable: 0,
          },
        ] satisfies Op[])
      : []),
    { op: 'umask', mask: command.umask },
    { op: 'chdir', path: command.cwd },
    ...confinement.inCommand,
    { op: 'exec', paths: searchPaths(command.argv[0] ?? '', command.env), argv: command.argv, env: command.env },
  ]
}
