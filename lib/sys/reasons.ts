import type { ErrnoName } from './errno.ts'
import { flags, type Op } from './ops.gen.ts'

/** What can be done: a sentence, or what makes one of the op. */
type Hint = string | ((op: Op) => string | undefined)
type Reason = readonly [ops: Op['op'] | readonly Op['op'][], errno: ErrnoName, meaning: string, hint?: Hint]

/** The kernel module of a file system bears its name. */
function loadFileSystem(type: unknown): string | undefined {
  return typeof type === 'string' && /^[\w-]{1,40}$/.test(type)
    ? `Look for it in /proc/filesystems; if it is a module, load it as root: modprobe ${type}.`
    : undefined
}

const unmappedHint =
  'An ordinary user gets more ids by a line in /etc/subuid and /etc/subgid (`await doctor()` tells which); root has a range of its own, of 65536.'
const doctorHint = 'Run `await doctor()`: it tells what this machine forbids, and what mends it.'
const longName = 'the name is longer than 64 bytes'
const notOwned = 'this namespace belongs to a user namespace in which this process has no CAP_SYS_ADMIN'
const ownHint = (kind: string): string => `Make one that is yours: ns({ user: true, ${kind}: true }).`

/** What an errno means for a given op, where the general words would not help. From the man pages that native/ops.json names. */
export const reasons: readonly Reason[] = [
  ['mount', 'EPERM', 'this user namespace may not mount that', doctorHint],
  [
    'mount',
    'EINVAL',
    'the file system refuses these options, or the source and the target do not fit',
    'An overlay’s upper directory may not be on overlayfs itself: set STRAKE_ROOT to a directory on ext4, xfs, btrfs or tmpfs.',
  ],
  ['mount', 'ENOENT', 'the source or the target does not exist'],
  ['mount', 'ENODEV', 'this kernel has no such file system', (op) => (op.op === 'mount' ? loadFileSystem(op.type) : undefined)],
  ['umount', 'EINVAL', 'it is no mount point, or a mount that came along from the host, which nobody in here may take away'],
  [
    'umount',
    'EBUSY',
    'something in it is in use: an open file, a working directory, another mount',
    'MNT_DETACH takes it out of sight at once.',
  ],
  ['umount', 'EPERM', 'this user namespace may not unmount that'],
  ['fsopen', 'ENODEV', 'this kernel has no such file system', (op) => (op.op === 'fsopen' ? loadFileSystem(op.type) : undefined)],
  [['fsopen', 'fsconfig', 'openTree', 'moveMount', 'pivotRoot', 'chroot'], 'EPERM', 'this process has not the right to mount', doctorHint],
  ['fsconfig', 'EINVAL', 'the file system does not know that option, or not that value of it'],
  ['fsconfig', 'EBUSY', 'this context has made its file system already'],
  [
    'fsmount',
    'EPERM',
    'a fuller view of it than this mount would give is not allowed here: the one this process sees is partly covered',
    'Inside another container, start that one with its /proc unmasked (docker run --security-opt systempaths=unconfined).',
  ],
  ['moveMount', 'EINVAL', 'the mount cannot be moved there: it is no mount, a shared or a locked one, or a file onto a directory'],
  ['pivotRoot', 'EINVAL', 'the new root is no mount point, or the current root cannot be moved'],
  ['pivotRoot', 'EBUSY', 'the new root is on the mount of the current one'],
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
  ['exec', 'ELOOP', 'too many symbolic links, or scripts that name each other as interpreters'],
  ['exec', 'ELIBBAD', 'the loader that it names is no loader'],
  ['exec', 'EISDIR', 'the loader that it names is a directory'],
  ['exec', 'ETXTBSY', 'somebody has the file open for writing'],
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
  [
    'execFd',
    'ENOEXEC',
    'the helper of the package, strake-init, is damaged or of another processor',
    'Install the package anew; `await doctor()` tells the command that builds it.',
  ],
  ['setns', 'EPERM', 'the namespace belongs to a user namespace in which this process has no rights'],
  [
    'setns',
    'EINVAL',
    'the fd is no namespace of that kind, or one that cannot be entered from here: its own user namespace, a pid namespace above',
  ],
  ['join', 'ESRCH', 'the container has ended'],
  ['openChild', 'ESRCH', 'the container has ended'],
  ['userns', 'EPERM', 'the id maps were refused'],
  ['setResUid', 'EINVAL', 'this uid is not mapped in the user namespace', unmappedHint],
  ['setResGid', 'EINVAL', 'this gid is not mapped in the user namespace', unmappedHint],
  ['setGroups', 'EINVAL', 'one of these gids is not mapped in the user namespace', unmappedHint],
  ['setGroups', 'EPERM', 'it is forbidden where the one gid was mapped without a privilege (user_namespaces(7))', unmappedHint],
  [['setResUid', 'setResGid'], 'EPERM', 'another id needs CAP_SETUID or CAP_SETGID'],
  ['chown', 'EINVAL', 'one of these ids is not mapped in the user namespace', unmappedHint],
  ['chown', 'EPERM', 'the file belongs to an id that is not mapped in the user namespace, or this process has no CAP_CHOWN'],
  [
    'prlimit',
    'EPERM',
    'a hard limit cannot be raised above that of the caller',
    (op) =>
      op.op === 'prlimit' && op.resource === flags.RLIMIT.RLIMIT_NOFILE
        ? 'Give less: `ulimit -H -n` tells what this process has, and sysctl fs.nr_open what anyone can.'
        : 'Give less: prlimit(1) tells what this process has.',
  ],
  ['prlimit', 'EINVAL', 'there is no such resource, or the soft limit is above the hard one'],
  ['unshare', 'EPERM', 'namespaces of this kind are not allowed here', 'In a user namespace of its own a process may make the others.'],
  ['unshare', 'EINVAL', 'these namespaces cannot be made so, or this kernel does not have them'],
  [
    'unshare',
    'ENOSPC',
    'the limit of namespaces is reached',
    'Raise the limit: sysctl user.max_user_namespaces (and its siblings in /proc/sys/user).',
  ],
  [
    'fork',
    'EINVAL',
    'PID 1 of a pid namespace cannot make siblings, nor a process share memory with one in another time namespace (clone(2))',
    'After unshare(CLONE_NEWPID) the next child is PID 1 of the new namespace. ns({ pid: true }) gives an agent that is PID 1 itself.',
  ],
  [
    'fork',
    'ENOMEM',
    'out of memory, or PID 1 of the pid namespace has ended (pid_namespaces(7))',
    'A pid namespace ends with its PID 1. ns({ pid: true }) gives one whose PID 1 is the agent.',
  ],
  ['fork', 'EAGAIN', 'the limit of processes is reached'],
  [
    'started',
    'EINVAL',
    'this process’s uid or gid is not mapped in its user namespace (user_namespaces(7))',
    'After unshare(CLONE_NEWUSER) write its maps: /proc/self/uid_map and gid_map. ns({ user: true }) does it for you.',
  ],
  [['setHostname', 'setDomainname'], 'EINVAL', longName],
  [['setHostname', 'setDomainname'], 'EPERM', notOwned, ownHint('uts')],
  ['linkUp', 'ENODEV', 'there is no interface of that name here', 'A network namespace that is new has lo, and no other.'],
  ['linkUp', 'EPERM', 'this network namespace belongs to a user namespace in which this process has no CAP_NET_ADMIN', ownHint('network')],
  ['capSet', 'EPERM', 'a capability that was given up does not come back'],
  ['capAmbient', 'EPERM', 'what is to be ambient must be permitted and inheritable'],
  [['capBounding', 'setSecurebits'], 'EPERM', 'it needs CAP_SETPCAP, or is locked'],
  ['setDumpable', 'EINVAL', 'it can be 0 or 1'],
  [['setDeathSignal', 'pidfdSendSignal'], 'EINVAL', 'there is no such signal'],
  ['pidfdSendSignal', 'EPERM', 'that process is another user’s'],
  ['pidfdSendSignal', 'ESRCH', 'that process has ended'],
  ['pidfdOpen', 'ESRCH', 'there is no process of that pid in this pid namespace'],
  ['pidfdOpen', 'EINVAL', 'a pid is 1 or more, and of a process, not of a thread'],
  ['waitId', 'ECHILD', 'that process is no child of this one, or was waited for already'],
  ['waitId', 'EINVAL', 'it waits for WEXITED at least'],
  ['setSid', 'EPERM', 'this process leads a process group already'],
  ['seccomp', 'EINVAL', 'the kernel rejects the filter'],
  ['seccomp', 'EACCES', 'it needs no_new_privs first, or CAP_SYS_ADMIN', 'await sys.noNewPrivs() before it.'],
  ['mknod', 'EPERM', 'no device can be made in a user namespace', 'Make an empty file, and bind-mount the host’s device onto it.'],
  [['controlTerminal', 'windowSize'], 'ENOTTY', 'it is no terminal'],
  ['writeFd', 'EBUSY', 'the cgroup takes no processes: it hands controllers to groups below it'],
  [
    'mountSetattr',
    'EINVAL',
    'this file system cannot be mounted with mapped ids',
    'Put STRAKE_ROOT on ext4, xfs, btrfs, or (Linux 6.3 and later) tmpfs: export STRAKE_ROOT=/var/tmp/strake',
  ],
  [
    'mountSetattr',
    'EPERM',
    'the file system belongs to another user namespace, as all do that came along into a rootless container: its ids cannot be mapped here',
    'Run Node as an ordinary user in there; or mount a tmpfs in there, and set STRAKE_ROOT to it (Linux 6.3 and later).',
  ],
  ['openTree', 'EINVAL', 'the mount cannot be copied: others are mounted inside it that may not be uncovered'],
]

export const generalWords: Partial<Record<ErrnoName, string>> = {
  EPERM: 'not permitted',
  ENOENT: 'no such file or directory',
  ESRCH: 'there is no such process',
  EBADF: 'no file is open in that slot, or not for this',
  ECHILD: 'there is no such child',
  EACCES: 'permission denied',
  EFAULT: 'bad address',
  EEXIST: 'it exists already',
  EXDEV: 'it is on another mount or file system',
  ENODEV: 'there is no such device',
  ENXIO: 'there is no such device',
  ENOTDIR: 'a part of the path is not a directory',
  EISDIR: 'it is a directory',
  EINVAL: 'invalid argument',
  ENOTTY: 'it is no terminal',
  ETXTBSY: 'a program is run from it',
  EFBIG: 'the file would be too large',
  ENOSPC: 'no space left',
  EROFS: 'the file system is read-only',
  EMLINK: 'too many links',
  EPIPE: 'the other end is closed',
  ERANGE: 'too large',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENOMEM: 'out of memory',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in the system',
  EBUSY: 'it is in use',
  ENODATA: 'there is no such attribute',
  ENOTSUP: 'the file system does not have that',
  ENOSYS: 'this kernel does not have that call',
  EDQUOT: 'the quota is used up',
  EAGAIN: 'a limit is reached, try again',
  ENOTEMPTY: 'the directory is not empty',
  EIO: 'input or output failed',
}
