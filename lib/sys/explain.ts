import { StrakeError } from '../errors/index.ts'
import { type ErrnoName, errnoName } from './errno.ts'
import { flatten, formatOp } from './format.ts'
import { flags, type Op } from './ops.gen.ts'

/** What can be done: a sentence, or what makes one of the op. */
type Hint = string | ((op: Op) => string | undefined)
type Reason = readonly [op: Op['op'], errno: ErrnoName, meaning: string, hint?: Hint]

/** The kernel module of a file system bears its name. */
function loadFileSystem(type: unknown): string | undefined {
  return typeof type === 'string' && /^[\w-]{1,40}$/.test(type)
    ? `Look for it in /proc/filesystems; if it is a module, load it as root: modprobe ${type}.`
    : undefined
}

const unmappedHint =
  'An ordinary user gets more ids by a line in /etc/subuid and /etc/subgid (`await doctor()` tells which); root has a range of its own, of 65536.'

/** What an errno means for a given op, where the general words would not help. */
const reasons: readonly Reason[] = [
  [
    'mount',
    'EPERM',
    'this user namespace may not mount that',
    'Run `await doctor()`: it tells what this machine forbids, and what mends it.',
  ],
  [
    'mount',
    'EINVAL',
    'the file system refuses these options, or the source and the target do not fit',
    'An overlay’s upper directory may not be on overlayfs itself: set STRAKE_ROOT to a directory on ext4, xfs, btrfs or tmpfs.',
  ],
  ['mount', 'ENOENT', 'the source or the target does not exist'],
  ['mount', 'ENODEV', 'this kernel has no such file system', (op) => (op.op === 'mount' ? loadFileSystem(op.type) : undefined)],
  ['fsopen', 'ENODEV', 'this kernel has no such file system', (op) => (op.op === 'fsopen' ? loadFileSystem(op.type) : undefined)],
  [
    'fsmount',
    'EPERM',
    'a fuller view of it than this mount would give is not allowed here: the one this process sees is partly covered',
    'Inside another container, start that one with its /proc unmasked (docker run --security-opt systempaths=unconfined).',
  ],
  ['pivotRoot', 'EINVAL', 'the new root is no mount point, or the current root cannot be moved'],
  [
    'attach',
    'EINVAL',
    'the image has a file where a directory must be for a mount, or the other way round',
    'A container needs /proc, /sys and /dev to be directories, and /etc/hosts, /etc/hostname and /etc/resolv.conf files, where the image has them.',
  ],
  ['attach', 'ELOOP', 'a symbolic link is in the way: the image has a link where a mount point must be'],
  ['attach', 'ENOENT', 'the mount point is missing from the image'],
  ['attach', 'ENOTDIR', 'the mount point is a file where a directory must be, or the other way round'],
  ['attach', 'EXDEV', 'the path leads out of the root directory'],
  ['chdir', 'ENOTDIR', 'it is not a directory'],
  ['chdir', 'ENOENT', 'it does not exist'],
  ['chdir', 'EACCES', 'this user may not enter it'],
  ['exec', 'ENOENT', 'the file does not exist, or the interpreter or loader that it names does not'],
  ['exec', 'EACCES', 'the file is not executable by this user, or its file system is mounted noexec'],
  [
    'exec',
    'EINVAL',
    'the program could not be laid out in memory: its file is damaged, or a resource limit is too small for it',
    'Look at `rlimits`: as, data and stack must leave room for the program itself.',
  ],
  ['exec', 'EAGAIN', 'the limit of processes is reached'],
  ['exec', 'ENOEXEC', 'the file is no program for this machine: of another architecture, or a script without a #! line'],
  [
    'exec',
    'E2BIG',
    'the arguments and the environment are too long',
    'One string may have 128 KB, all together a quarter of the stack limit (execve(2)); pass large data by stdin or a file.',
  ],
  ['setns', 'EPERM', 'the namespace belongs to a user namespace in which this process has no rights'],
  ['join', 'ESRCH', 'the container has ended'],
  ['openChild', 'ESRCH', 'the container has ended'],
  ['userns', 'EPERM', 'the id maps were refused'],
  ['setResUid', 'EINVAL', 'this uid is not mapped in the user namespace', unmappedHint],
  ['setResGid', 'EINVAL', 'this gid is not mapped in the user namespace', unmappedHint],
  ['setGroups', 'EINVAL', 'one of these gids is not mapped in the user namespace', unmappedHint],
  [
    'prlimit',
    'EPERM',
    'a hard limit cannot be raised above that of the caller',
    (op) =>
      op.op === 'prlimit' && op.resource === flags.RLIMIT.RLIMIT_NOFILE
        ? 'Give less: `ulimit -H -n` tells what this process has, and sysctl fs.nr_open what anyone can.'
        : 'Give less: prlimit(1) tells what this process has.',
  ],
  ['unshare', 'EPERM', 'namespaces of this kind are not allowed here'],
  [
    'unshare',
    'ENOSPC',
    'the limit of namespaces is reached',
    'Raise the limit: sysctl user.max_user_namespaces (and its siblings in /proc/sys/user).',
  ],
  ['fork', 'EAGAIN', 'the limit of processes is reached'],
  ['seccomp', 'EINVAL', 'the kernel rejects the filter'],
  ['writeFd', 'EBUSY', 'the cgroup takes no processes: it hands controllers to groups below it'],
  [
    'mountSetattr',
    'EINVAL',
    'this file system cannot be mounted with mapped ids',
    'Put STRAKE_ROOT on ext4, xfs, btrfs, or (Linux 6.3 and later) tmpfs: export STRAKE_ROOT=/var/tmp/strake',
  ],
  ['openTree', 'EINVAL', 'the mount cannot be copied: others are mounted inside it that may not be uncovered'],
]

const generalWords: Partial<Record<ErrnoName, string>> = {
  EPERM: 'not permitted',
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EEXIST: 'it exists already',
  ENOTDIR: 'not a directory',
  EISDIR: 'it is a directory',
  EINVAL: 'invalid argument',
  ENOSPC: 'no space left',
  EROFS: 'the file system is read-only',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENOMEM: 'out of memory',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in the system',
  EBUSY: 'it is in use',
  ENOSYS: 'this kernel does not have that call',
  EDQUOT: 'the quota is used up',
  EAGAIN: 'a limit is reached, try again',
  ENOTEMPTY: 'the directory is not empty',
  EIO: 'input or output failed',
}

/** What the kernel meant by `errno` when it refused `op`; `failed` is the op with its fields. */
export function explain(op: Op['op'] | 'clone3', errno: string, failed?: Op): { meaning: string; hint?: string } {
  const special = reasons.find(([name, code]) => name === op && code === errno)
  if (special) {
    const [, , meaning, given] = special
    const hint = typeof given === 'function' ? failed && given(failed) : given
    return hint === undefined ? { meaning } : { meaning, hint }
  }
  if (op === 'clone3' && errno === 'EPERM')
    return { meaning: 'user namespaces are not allowed here', hint: 'Run `await doctor()`: it tells the command that allows them.' }
  if ((op === 'clone3' || op === 'fork' || op === 'unshare') && errno === 'ENOSPC')
    return {
      meaning: 'the limit of namespaces is reached',
      hint: 'Raise it: sysctl user.max_user_namespaces, or its sibling in /proc/sys/user for the kind; `await doctor()` tells which.',
    }
  if (op === 'clone3' && errno === 'EAGAIN') return { meaning: 'the limit of processes is reached' }
  return { meaning: generalWords[errno as ErrnoName] ?? 'the kernel refused' }
}

/** Errors are logged: of a command's variables, which may be secrets, they tell the names only, and of what is written, the length. */
function withoutValues(op: Op): Op {
  if (op.op === 'write' || op.op === 'writeFd') return { ...op, data: new Uint8Array(op.data.length) }
  if (op.op !== 'exec') return op
  const nameOnly = (each: string): string => (each.includes('=') ? `${each.slice(0, each.indexOf('='))}=…` : each)
  return { ...op, env: op.env.map(nameOnly) }
}

/**
 * The error for an op that failed: names it, its arguments and what errno means there. `index` counts every op of the
 * program in order, those inside a `fork` after it; one that is out of range stands for the clone3(2) before all ops.
 */
export function kernelRefused(ops: readonly Op[], index: number, errno: number): StrakeError {
  const name = errnoName(errno)
  let at = 0
  let failed: Op | undefined
  for (const op of flatten(ops)) {
    if (at === index) failed = op
    at += 1
  }
  failed = failed && withoutValues(failed)
  const { meaning, hint } = explain(failed?.op ?? 'clone3', name, failed)
  const what = failed ? formatOp(failed) : 'clone3'
  const short = what.length > 400 ? `${what.slice(0, 400)}…` : what
  return new StrakeError('kernel_refused', `${short}: ${name}, ${meaning}.`, {
    hint,
    details: { op: failed?.op ?? 'clone3', index, errno: name, ...(failed ? { arguments: failed } : {}) },
  })
}
