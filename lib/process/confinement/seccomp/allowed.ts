import type { CapabilityName } from '../capabilities.ts'
import type { SyscallName } from './architectures.ts'

/**
 * What Docker's default profile lets every container call (github.com/moby/profiles, seccomp/default.json, of May 2026), sorted by
 * what it is for. A name that an architecture does not have is left out there.
 */
// biome-ignore format: a table
export const allowedCalls = [
  // files: names and attributes
  'access', 'chdir', 'chmod', 'chown', 'chown32', 'creat', 'faccessat', 'faccessat2', 'fchdir', 'fchmod', 'fchmodat', 'fchmodat2', 'fchown',
  'fchown32', 'fchownat', 'fgetxattr', 'flistxattr', 'fremovexattr', 'fsetxattr', 'fstat', 'fstat64', 'fstatat64', 'fstatfs', 'fstatfs64',
  'futimesat', 'getcwd', 'getxattr', 'getxattrat', 'lchown', 'lchown32', 'lgetxattr', 'link', 'linkat', 'listmount', 'listxattr',
  'listxattrat', 'llistxattr', 'lremovexattr', 'lsetxattr', 'lstat', 'lstat64', 'mkdir', 'mkdirat', 'mknod', 'mknodat', 'name_to_handle_at',
  'newfstatat', 'open', 'openat', 'openat2', 'readlink', 'readlinkat', 'removexattr', 'removexattrat', 'rename', 'renameat', 'renameat2',
  'rmdir', 'setxattr', 'setxattrat', 'stat', 'stat64', 'statfs', 'statfs64', 'statmount', 'statx', 'symlink', 'symlinkat', 'truncate',
  'truncate64', 'umask', 'unlink', 'unlinkat', 'utime', 'utimensat', 'utimensat_time64', 'utimes',

  // files: contents
  '_llseek', 'arm_fadvise64_64', 'arm_sync_file_range', 'cachestat', 'close', 'close_range', 'copy_file_range', 'dup', 'dup2', 'dup3',
  'fadvise64', 'fadvise64_64', 'fallocate', 'fcntl', 'fcntl64', 'fdatasync', 'flock', 'fsync', 'ftruncate', 'ftruncate64', 'getdents',
  'getdents64', 'ioctl', 'lseek', 'pipe', 'pipe2', 'pread64', 'preadv', 'preadv2', 'pwrite64', 'pwritev', 'pwritev2', 'read', 'readahead',
  'readv', 'sendfile', 'sendfile64', 'splice', 'sync', 'sync_file_range', 'syncfs', 'tee', 'vmsplice', 'write', 'writev',

  // waiting for files, timers and asynchronous input
  '_newselect', 'epoll_create', 'epoll_create1', 'epoll_ctl', 'epoll_ctl_old', 'epoll_pwait', 'epoll_pwait2', 'epoll_wait',
  'epoll_wait_old', 'eventfd', 'eventfd2', 'fanotify_mark', 'inotify_add_watch', 'inotify_init', 'inotify_init1', 'inotify_rm_watch',
  'io_cancel', 'io_destroy', 'io_getevents', 'io_pgetevents', 'io_pgetevents_time64', 'io_setup', 'io_submit', 'poll', 'ppoll',
  'ppoll_time64', 'pselect6', 'pselect6_time64', 'select', 'signalfd', 'signalfd4', 'timerfd_create', 'timerfd_gettime',
  'timerfd_gettime64', 'timerfd_settime', 'timerfd_settime64',

  // memory
  'brk', 'madvise', 'map_shadow_stack', 'memfd_create', 'memfd_secret', 'mincore', 'mlock', 'mlock2', 'mlockall', 'mmap', 'mmap2',
  'mprotect', 'mremap', 'mseal', 'msync', 'munlock', 'munlockall', 'munmap', 'pkey_alloc', 'pkey_free', 'pkey_mprotect',
  'process_mrelease', 'remap_file_pages',

  // processes and threads
  'arch_prctl', 'breakpoint', 'cacheflush', 'capget', 'capset', 'execve', 'execveat', 'exit', 'exit_group', 'fork', 'futex',
  'futex_requeue', 'futex_time64', 'futex_wait', 'futex_waitv', 'futex_wake', 'get_robust_list', 'get_thread_area', 'getcpu', 'getpgid',
  'getpgrp', 'getpid', 'getppid', 'getpriority', 'getrandom', 'getrlimit', 'getrusage', 'getsid', 'gettid', 'ioprio_get', 'ioprio_set',
  'landlock_add_rule', 'landlock_create_ruleset', 'landlock_restrict_self', 'membarrier', 'modify_ldt', 'pidfd_open', 'prctl', 'prlimit64',
  'process_vm_readv', 'process_vm_writev', 'ptrace', 'rseq', 'sched_get_priority_max', 'sched_get_priority_min', 'sched_getaffinity',
  'sched_getattr', 'sched_getparam', 'sched_getscheduler', 'sched_rr_get_interval', 'sched_rr_get_interval_time64', 'sched_setaffinity',
  'sched_setattr', 'sched_setparam', 'sched_setscheduler', 'sched_yield', 'seccomp', 'set_robust_list', 'set_thread_area',
  'set_tid_address', 'set_tls', 'setpgid', 'setpriority', 'setrlimit', 'setsid', 'ugetrlimit', 'uretprobe', 'vfork', 'wait4', 'waitid',
  'waitpid',

  // users and groups
  'getegid', 'getegid32', 'geteuid', 'geteuid32', 'getgid', 'getgid32', 'getgroups', 'getgroups32', 'getresgid', 'getresgid32',
  'getresuid', 'getresuid32', 'getuid', 'getuid32', 'setfsgid', 'setfsgid32', 'setfsuid', 'setfsuid32', 'setgid', 'setgid32', 'setgroups',
  'setgroups32', 'setregid', 'setregid32', 'setresgid', 'setresgid32', 'setresuid', 'setresuid32', 'setreuid', 'setreuid32', 'setuid',
  'setuid32',

  // signals
  'kill', 'pause', 'pidfd_send_signal', 'restart_syscall', 'rt_sigaction', 'rt_sigpending', 'rt_sigprocmask', 'rt_sigqueueinfo',
  'rt_sigreturn', 'rt_sigsuspend', 'rt_sigtimedwait', 'rt_sigtimedwait_time64', 'rt_tgsigqueueinfo', 'sigaltstack', 'sigprocmask',
  'sigreturn', 'tgkill', 'tkill',

  // clocks and timers; adjtimex and its kin set nothing without CAP_SYS_TIME
  'adjtimex', 'alarm', 'clock_adjtime', 'clock_adjtime64', 'clock_getres', 'clock_getres_time64', 'clock_gettime', 'clock_gettime64',
  'clock_nanosleep', 'clock_nanosleep_time64', 'getitimer', 'gettimeofday', 'nanosleep', 'setitimer', 'sysinfo', 'time', 'timer_create',
  'timer_delete', 'timer_getoverrun', 'timer_gettime', 'timer_gettime64', 'timer_settime', 'timer_settime64', 'times', 'uname',

  // sockets (`socket` itself: conditionalCalls); the i386 multiplexer socketcall hides its arguments, as in Docker
  'accept', 'accept4', 'bind', 'connect', 'getpeername', 'getsockname', 'getsockopt', 'listen', 'recv', 'recvfrom', 'recvmmsg',
  'recvmmsg_time64', 'recvmsg', 'send', 'sendmmsg', 'sendmsg', 'sendto', 'setsockopt', 'shutdown', 'socketcall', 'socketpair',

  // System V and POSIX message passing
  'ipc', 'mq_getsetattr', 'mq_notify', 'mq_open', 'mq_timedreceive', 'mq_timedreceive_time64', 'mq_timedsend', 'mq_timedsend_time64',
  'mq_unlink', 'msgctl', 'msgget', 'msgrcv', 'msgsnd', 'semctl', 'semget', 'semop', 'semtimedop', 'semtimedop_time64', 'shmat', 'shmctl',
  'shmdt', 'shmget',
] as const satisfies readonly SyscallName[]

/** What a capability of the container lets it call besides. */
// biome-ignore format: a table
export const capabilityCalls: Partial<Record<CapabilityName, readonly SyscallName[]>> = {
  CAP_BPF: ['bpf'],
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_PERFMON: ['perf_event_open'],
  CAP_SYSLOG: ['syslog'],
  CAP_SYS_ADMIN: [
    'bpf', 'clone', 'clone3', 'fanotify_init', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'lookup_dcookie', 'lsm_get_self_attr',
    'lsm_list_modules', 'lsm_set_self_attr', 'mount', 'mount_setattr', 'move_mount', 'open_tree', 'perf_event_open', 'quotactl',
    'quotactl_fd', 'setdomainname', 'sethostname', 'setns', 'syslog', 'umount', 'umount2', 'unshare',
  ],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'finit_module', 'init_module'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: ['kcmp', 'pidfd_getfd', 'process_madvise', 'process_vm_readv', 'process_vm_writev', 'ptrace'],
  CAP_SYS_RAWIO: ['ioperm', 'iopl'],
  CAP_SYS_TIME: ['clock_settime', 'clock_settime64', 'settimeofday', 'stime'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
}
