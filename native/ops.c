#include "ops.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/pidfd.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/wait.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
#define VM_STACK 65536
#define EXIT_FAILED 127
#define SIGCHLD_NUMBER 17

/* <linux/if.h> and <linux/resource.h> pull in the libc's headers. */
struct interface_request {
  char name[16];
  union {
    short flags;
    uint8_t space[24];
  } value;
};

struct limit {
  uint64_t soft;
  uint64_t hard;
};

#define INTERFACE_UP 1
#define INTERFACE_RUNNING 64

/* What is left of one op's fields. */
struct fields {
  const uint8_t *at;
  const uint8_t *end;
  int bad;
  struct machine *machine;
};

static const uint8_t *take(struct fields *fields, size_t length) {
  if (fields->bad || (size_t)(fields->end - fields->at) < length) {
    fields->bad = 1;
    return NULL;
  }
  const uint8_t *from = fields->at;
  fields->at += length;
  return from;
}

static uint64_t take_number(struct fields *fields, size_t size) {
  const uint8_t *from = take(fields, size);
  uint64_t value = 0;
  if (from == NULL) return 0;
  for (size_t byte = 0; byte < size; byte += 1) value |= (uint64_t)from[byte] << (8 * byte);
  return value;
}

static uint32_t u32(struct fields *fields) { return (uint32_t)take_number(fields, 4); }
static int32_t i32(struct fields *fields) { return (int32_t)(uint32_t)take_number(fields, 4); }
static uint64_t u64(struct fields *fields) { return take_number(fields, 8); }

static const uint8_t *bytes(struct fields *fields, size_t *length) {
  *length = u32(fields);
  return take(fields, *length);
}

/* A string is sent with its length and a NUL. */
static const char *text(struct fields *fields) {
  size_t length = u32(fields);
  const uint8_t *from = take(fields, length + 1);
  if (from == NULL || from[length] != '\0') {
    fields->bad = 1;
    return "";
  }
  return (const char *)from;
}

/* An array of strings with NULL at its end, mapped; it is never unmapped: what takes one is about to exec. */
static const char **texts(struct fields *fields) {
  uint32_t count = u32(fields);
  if (fields->bad || count > (size_t)(fields->end - fields->at)) {
    fields->bad = 1;
    return NULL;
  }
  long memory = SYS6(mmap, 0, (count + 1UL) * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory < 0 && memory > -4096) {
    fields->bad = 1;
    return NULL;
  }
  const char **list = (const char **)memory;
  for (uint32_t at = 0; at < count; at += 1) list[at] = text(fields);
  return list;
}

/* A slot's file descriptor; -1 on the wire is AT_FDCWD. */
static int descriptor(struct fields *fields) {
  int32_t slot = i32(fields);
  if (slot == -1) return AT_FDCWD;
  if (slot < 0 || slot >= SLOTS || fields->machine->slots[slot] < 0) {
    fields->bad = 1;
    return -1;
  }
  return fields->machine->slots[slot];
}

static long fill(struct machine *machine, int32_t slot, long fd) {
  if (fd < 0) return fd;
  if (slot < 0 || slot >= SLOTS) {
    SYS1(close, fd);
    return -EINVAL;
  }
  if (machine->slots[slot] >= 0) SYS1(close, machine->slots[slot]);
  machine->slots[slot] = (int32_t)fd;
  return 0;
}

void machine_start(struct machine *machine, int channel, uint32_t id) {
  uint8_t *all = (uint8_t *)machine;
  for (size_t at = 0; at < sizeof *machine; at += 1) all[at] = 0;
  machine->channel = channel;
  machine->id = id;
  for (int at = 0; at < SLOTS; at += 1) machine->slots[at] = -1;
}

/* Tells the owner of a failure once, from wherever in the nesting it happened. */
static void report_failure(struct machine *machine) {
  if (machine->reported || machine->channel < 0) return;
  machine->reported = 1;
  reply_send(machine->channel, REPLY_FAILED, machine->id, machine->failed_errno, machine->failed_index, NULL, 0, -1, 0);
}

void ops_run_and_exit(struct machine *machine, const uint8_t *ops, size_t length) {
  int result = ops_run(machine, ops, length);
  if (result < 0) report_failure(machine);
  for (;;) SYS1(exit_group, result < 0 ? EXIT_FAILED : 0);
}

struct vm_child {
  struct machine *machine;
  const uint8_t *ops;
  size_t length;
};

static void run_vm_child(void *argument) {
  struct vm_child *child = argument;
  child->machine->in_vm_child = 1;
  ops_run_and_exit(child->machine, child->ops, child->length);
}

static long op_fork(struct machine *machine, uint64_t flags, int is_main, const uint8_t *ops, size_t length) {
  static uint8_t stack[VM_STACK] __attribute__((aligned(16)));
  struct clone_args arguments = {.flags = flags, .exit_signal = (flags & CLONE_PARENT) ? 0 : SIGCHLD_NUMBER};
  long pid;
  if (flags & CLONE_VM) {
    if (!(flags & CLONE_VFORK) || machine->in_vm_child || flags >> 32 != 0) return -EINVAL;
    struct vm_child child = {machine, ops, length};
    pid = old_clone_on_stack(flags | arguments.exit_signal, stack + sizeof stack, run_vm_child, &child);
    machine->in_vm_child = 0;
    /* The child shares this memory: what failed there is known here. */
    if (pid > 0 && machine->failed_errno != 0) return -ECANCELED;
  } else {
    pid = SYS2(clone3, &arguments, sizeof arguments);
    if (pid == 0) ops_run_and_exit(machine, ops, length);
  }
  if (pid < 0) return pid;
  if (is_main) {
    machine->main_pid = (int32_t)pid;
    if ((flags & CLONE_PARENT) && machine->shared != NULL) machine->shared->handoff = (int32_t)pid;
  } else if ((flags & CLONE_VFORK) && !(flags & CLONE_PARENT)) {
    SYS4(wait4, pid, 0, 0, 0);
  }
  return 0;
}

static void unblock_signals(void) {
  uint64_t none = 0;
  SYS4(rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, sizeof none);
}

static long op_exec(const char **paths, const char **argv, const char **env) {
  long result = -ENOENT;
  long denied = 0;
  unblock_signals();
  for (size_t at = 0; paths[at] != NULL; at += 1) {
    result = SYS3(execve, paths[at], argv, env);
    if (result == -EACCES) denied = result;
    else if (result != -ENOENT && result != -ENOTDIR) return result;
  }
  return denied != 0 ? denied : result;
}

static long op_attach(int from, const char *from_path, int root, const char *path, uint64_t resolve) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
  long to = SYS4(openat2, root, path, &how, sizeof how);
  if (to < 0) return to;
  uint32_t flags = MOVE_MOUNT_T_EMPTY_PATH | (from_path[0] == '\0' ? MOVE_MOUNT_F_EMPTY_PATH : 0);
  long result = SYS5(move_mount, from, from_path, to, "", flags);
  SYS1(close, to);
  return result;
}

static long op_link_up(const char *name) {
  struct interface_request request = {0};
  for (size_t at = 0; name[at] != '\0' && at < sizeof request.name - 1; at += 1) request.name[at] = name[at];
  long fd = SYS3(socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */ | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  long result = SYS3(ioctl, fd, SIOCGIFFLAGS, &request);
  if (result == 0) {
    request.value.flags |= INTERFACE_UP | INTERFACE_RUNNING;
    result = SYS3(ioctl, fd, SIOCSIFFLAGS, &request);
  }
  SYS1(close, fd);
  return result;
}

static long op_cap_set(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
      {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
  };
  return SYS2(capset, &header, data);
}

static long op_cap_ambient(uint64_t set) {
  long result = SYS5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (uint32_t cap = 0; result >= 0 && cap < 64; cap += 1) {
    if (!(set >> cap & 1)) continue;
    if (SYS5(prctl, PR_CAPBSET_READ, cap, 0, 0, 0) < 0) break; /* a capability that this kernel does not have */
    result = SYS5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
  }
  return result;
}

static long op_cap_bounding(uint64_t keep) {
  for (uint32_t cap = 0; cap < 64; cap += 1) {
    long has = SYS5(prctl, PR_CAPBSET_READ, cap, 0, 0, 0);
    if (has < 0) return 0;
    if (has == 0 || (keep >> cap & 1)) continue;
    long result = SYS5(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (result < 0) return result;
  }
  return 0;
}

static long op_open_pty(struct machine *machine, const char *path, int32_t master_slot, int32_t slave_slot) {
  long master = SYS4(openat, AT_FDCWD, path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
  if (master < 0) return master;
  int locked = 0;
  long result = SYS3(ioctl, master, TIOCSPTLCK, &locked);
  long slave = result < 0 ? result : SYS3(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) {
    SYS1(close, master);
    return slave;
  }
  result = fill(machine, master_slot, master);
  long other = fill(machine, slave_slot, slave);
  return result < 0 ? result : other;
}

static long op_dup2(int fd, int to) {
  if (fd == to) return SYS3(fcntl, fd, F_SETFD, 0);
  return SYS3(dup3, fd, to, 0);
}

static long op_send_fd(struct machine *machine, int fd, const char *name) {
  if (machine->keep_fds) {
    if (machine->kept_count >= MAX_FDS) return -EMFILE;
    machine->kept[machine->kept_count++] = fd;
    return 0;
  }
  return reply_send(machine->channel, REPLY_FD, machine->id, 0, 0, name, text_length(name), fd, 0);
}

static long op_wait_id(struct machine *machine, int fd, uint32_t options) {
  int info[32] = {0}; /* siginfo_t: signo, errno, code, _, pid, uid, status */
  long result = SYS5(waitid, 3 /* P_PIDFD */, fd, info, options, 0);
  if (result < 0) return result;
  uint64_t status = info[2] == 1 /* CLD_EXITED */ ? (uint64_t)(uint32_t)info[6] << 8 : (uint64_t)(uint32_t)info[6];
  return buffer_append(&machine->results, &status, sizeof status);
}

static long result_bytes(struct machine *machine, long (*produce)(const char *, struct buffer *), const char *path) {
  size_t length_at = machine->results.length;
  uint32_t length = 0;
  int failed = buffer_append(&machine->results, &length, sizeof length);
  if (failed) return failed;
  long result = produce(path, &machine->results);
  if (result < 0) return result;
  length = (uint32_t)(machine->results.length - length_at - sizeof length);
  for (int byte = 0; byte < 4; byte += 1) machine->results.data[length_at + byte] = (uint8_t)(length >> (8 * byte));
  return 0;
}

static long op_join(struct machine *machine, uint32_t child, uint64_t flags) {
  int32_t pid = machine->find_child == NULL ? -1 : machine->find_child(child);
  if (pid <= 0) return -ESRCH;
  long fd = SYS2(pidfd_open, pid, 0);
  if (fd < 0) return fd;
  long result = SYS2(setns, fd, flags);
  SYS1(close, fd);
  return result;
}

static long op_set_groups(struct fields *fields) {
  uint32_t count = u32(fields);
  const uint8_t *gids = take(fields, (size_t)count * 4);
  return gids == NULL ? -EINVAL : SYS2(setgroups, count, gids);
}

static long op_seccomp(const uint8_t *filter, size_t length, uint32_t flags) {
  struct sock_fprog program = {.len = (unsigned short)(length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter};
  return SYS3(seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static long op_sync_fs(const char *path) {
  long fd = SYS3(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  long result = SYS1(syncfs, fd);
  SYS1(close, fd);
  return result;
}

static uint64_t device_number(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | ((uint64_t)(major & 0xfff) << 8) | ((uint64_t)(minor & ~0xffU) << 12);
}

/* Fields are taken in their order, each into a variable, before the call that uses them. */
#define CHECKED(call) (fields->bad ? -EINVAL : (call))

static long run_process_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_UNSHARE: {
      uint64_t flags = u64(fields);
      return CHECKED(SYS1(unshare, flags));
    }
    case OP_SETNS: {
      int fd = descriptor(fields);
      uint64_t flags = u64(fields);
      return CHECKED(SYS2(setns, fd, flags));
    }
    case OP_FORK: {
      uint64_t flags = u64(fields);
      uint32_t is_main = u32(fields);
      size_t length;
      const uint8_t *ops = bytes(fields, &length);
      return CHECKED(op_fork(machine, flags, is_main != 0, ops, length));
    }
    case OP_STARTED:
      if (machine->channel < 0) return 0;
      return reply_send(machine->channel, REPLY_STARTED, machine->id, 0, 0, NULL, 0, -1,
                        machine->main_pid > 0 ? machine->main_pid : (int32_t)SYS0(getpid));
    case OP_JOIN: {
      uint32_t child = u32(fields);
      uint64_t flags = u64(fields);
      return CHECKED(op_join(machine, child, flags));
    }
    case OP_INIT:
      reap_as_init(machine);
    case OP_SERVE: {
      int fd = descriptor(fields);
      if (fields->bad || machine->serve == NULL) return -EINVAL;
      machine->serve(fd);
      return 0;
    }
    case OP_EXEC: {
      const char **paths = texts(fields);
      const char **argv = texts(fields);
      const char **env = texts(fields);
      return CHECKED(op_exec(paths, argv, env));
    }
    case OP_EXEC_FD: {
      int fd = descriptor(fields);
      const char **argv = texts(fields);
      const char **env = texts(fields);
      if (fields->bad) return -EINVAL;
      unblock_signals();
      return SYS5(execveat, fd, "", argv, env, AT_EMPTY_PATH);
    }
    case OP_SET_HOSTNAME: {
      const char *name = text(fields);
      return CHECKED(SYS2(sethostname, name, text_length(name)));
    }
    case OP_SET_DOMAINNAME: {
      const char *name = text(fields);
      return CHECKED(SYS2(setdomainname, name, text_length(name)));
    }
    case OP_LINK_UP: {
      const char *name = text(fields);
      return CHECKED(op_link_up(name));
    }
    case OP_SET_SID:
      return SYS0(setsid);
    case OP_PIDFD_OPEN: {
      uint32_t pid = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS2(pidfd_open, pid, 0)));
    }
    case OP_PIDFD_SEND_SIGNAL: {
      int fd = descriptor(fields);
      uint32_t signal = u32(fields);
      return CHECKED(SYS4(pidfd_send_signal, fd, signal, 0, 0));
    }
    case OP_WAIT_ID: {
      int fd = descriptor(fields);
      uint32_t options = u32(fields);
      return CHECKED(op_wait_id(machine, fd, options));
    }
    case OP_GET_PID: {
      uint64_t pid = (uint64_t)SYS0(getpid);
      return buffer_append(&machine->results, &pid, sizeof pid);
    }
    default:
      return -ENOSYS;
  }
}

static long run_mount_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_MOUNT: {
      const char *source = text(fields);
      const char *target = text(fields);
      const char *type = text(fields);
      uint64_t flags = u64(fields);
      const char *data = text(fields);
      return CHECKED(SYS5(mount, source, target, type[0] ? type : NULL, flags, data[0] ? data : NULL));
    }
    case OP_UMOUNT: {
      const char *target = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS2(umount2, target, flags));
    }
    case OP_PIVOT_ROOT: {
      const char *new_root = text(fields);
      const char *put_old = text(fields);
      return CHECKED(SYS2(pivot_root, new_root, put_old));
    }
    case OP_CHROOT: {
      const char *path = text(fields);
      return CHECKED(SYS1(chroot, path));
    }
    case OP_CHDIR: {
      const char *path = text(fields);
      return CHECKED(SYS1(chdir, path));
    }
    case OP_FCHDIR: {
      int fd = descriptor(fields);
      return CHECKED(SYS1(fchdir, fd));
    }
    case OP_FSOPEN: {
      const char *type = text(fields);
      uint32_t flags = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS2(fsopen, type, flags)));
    }
    case OP_FSCONFIG: {
      int fd = descriptor(fields);
      uint32_t command = u32(fields);
      const char *key = text(fields);
      const char *value = text(fields);
      return CHECKED(SYS5(fsconfig, fd, command, key[0] ? key : NULL, command == FSCONFIG_SET_STRING ? value : NULL, 0));
    }
    case OP_FSMOUNT: {
      int fd = descriptor(fields);
      uint32_t flags = u32(fields);
      uint32_t attributes = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS3(fsmount, fd, flags, attributes)));
    }
    case OP_OPEN_TREE: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS3(open_tree, fd, path, flags)));
    }
    case OP_MOVE_MOUNT: {
      int from = descriptor(fields);
      const char *from_path = text(fields);
      int to = descriptor(fields);
      const char *to_path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS5(move_mount, from, from_path, to, to_path, flags));
    }
    case OP_MOUNT_SETATTR: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      struct mount_attr attributes = {0};
      attributes.attr_set = u64(fields);
      attributes.attr_clr = u64(fields);
      attributes.propagation = u64(fields);
      int userns = descriptor(fields);
      if (userns >= 0) attributes.userns_fd = (uint64_t)userns;
      return CHECKED(SYS5(mount_setattr, fd, path, flags, &attributes, sizeof attributes));
    }
    case OP_ATTACH: {
      int from = descriptor(fields);
      const char *from_path = text(fields);
      int root = descriptor(fields);
      const char *path = text(fields);
      uint64_t resolve = u64(fields);
      return CHECKED(op_attach(from, from_path, root, path, resolve));
    }
    default:
      return run_process_op(machine, code, fields);
  }
}

static long run_rights_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_SET_RES_UID:
    case OP_SET_RES_GID: {
      uint32_t real = u32(fields);
      uint32_t effective = u32(fields);
      uint32_t saved = u32(fields);
      if (fields->bad) return -EINVAL;
      return code == OP_SET_RES_UID ? SYS3(setresuid, real, effective, saved) : SYS3(setresgid, real, effective, saved);
    }
    case OP_SET_GROUPS:
      return op_set_groups(fields);
    case OP_CAP_SET: {
      uint64_t effective = u64(fields);
      uint64_t permitted = u64(fields);
      uint64_t inheritable = u64(fields);
      return CHECKED(op_cap_set(effective, permitted, inheritable));
    }
    case OP_CAP_AMBIENT: {
      uint64_t set = u64(fields);
      return CHECKED(op_cap_ambient(set));
    }
    case OP_CAP_BOUNDING: {
      uint64_t keep = u64(fields);
      return CHECKED(op_cap_bounding(keep));
    }
    case OP_SET_SECUREBITS: {
      uint32_t bits = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_SECUREBITS, bits, 0, 0, 0));
    }
    case OP_NO_NEW_PRIVS:
      return SYS5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case OP_SET_DUMPABLE: {
      uint32_t value = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_DUMPABLE, value, 0, 0, 0));
    }
    case OP_SET_DEATH_SIGNAL: {
      uint32_t signal = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0));
    }
    case OP_PRLIMIT: {
      uint32_t resource = u32(fields);
      struct limit limit;
      limit.soft = u64(fields);
      limit.hard = u64(fields);
      return CHECKED(SYS4(prlimit64, 0, resource, &limit, 0));
    }
    case OP_SECCOMP: {
      size_t length;
      const uint8_t *filter = bytes(fields, &length);
      uint32_t flags = u32(fields);
      return CHECKED(op_seccomp(filter, length, flags));
    }
    case OP_UMASK: {
      uint32_t mask = u32(fields);
      if (!fields->bad) SYS1(umask, mask);
      return CHECKED(0);
    }
    default:
      return run_mount_op(machine, code, fields);
  }
}

static long run_descriptor_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_CONTROL_TERMINAL: {
      int fd = descriptor(fields);
      return CHECKED(SYS3(ioctl, fd, TIOCSCTTY, 0));
    }
    case OP_OPEN_PTY: {
      const char *path = text(fields);
      int32_t master = i32(fields);
      int32_t slave = i32(fields);
      return CHECKED(op_open_pty(machine, path, master, slave));
    }
    case OP_WINDOW_SIZE: {
      int fd = descriptor(fields);
      struct winsize size = {0};
      size.ws_row = (unsigned short)u32(fields);
      size.ws_col = (unsigned short)u32(fields);
      return CHECKED(SYS3(ioctl, fd, TIOCSWINSZ, &size));
    }
    case OP_DUP2: {
      int fd = descriptor(fields);
      int32_t to = i32(fields);
      return CHECKED(op_dup2(fd, to));
    }
    case OP_CLOSE: {
      int fd = descriptor(fields);
      if (fields->bad) return -EINVAL;
      for (int at = 0; at < SLOTS; at += 1)
        if (machine->slots[at] == fd) machine->slots[at] = -1;
      return SYS1(close, fd);
    }
    case OP_CLOSE_RANGE: {
      uint32_t first = u32(fields);
      uint32_t last = u32(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS3(close_range, first, last, flags));
    }
    case OP_SEND_FD: {
      int fd = descriptor(fields);
      const char *name = text(fields);
      return CHECKED(op_send_fd(machine, fd, name));
    }
    case OP_OPEN: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      struct open_how how = {0};
      how.flags = u64(fields) | O_CLOEXEC;
      how.mode = u32(fields);
      how.resolve = u64(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS4(openat2, fd, path, &how, sizeof how)));
    }
    case OP_WRITE_FD: {
      int fd = descriptor(fields);
      size_t length;
      const uint8_t *data = bytes(fields, &length);
      return CHECKED(write_all(fd, data, length));
    }
    default:
      return run_rights_op(machine, code, fields);
  }
}

static long run_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_MKDIR: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      return CHECKED(SYS3(mkdirat, fd, path, mode));
    }
    case OP_MKNOD: {
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      uint32_t major = u32(fields);
      uint32_t minor = u32(fields);
      return CHECKED(SYS4(mknodat, AT_FDCWD, path, mode, device_number(major, minor)));
    }
    case OP_SYMLINK: {
      const char *target = text(fields);
      const char *path = text(fields);
      return CHECKED(SYS3(symlinkat, target, AT_FDCWD, path));
    }
    case OP_LINK: {
      const char *from = text(fields);
      const char *path = text(fields);
      return CHECKED(SYS5(linkat, AT_FDCWD, from, AT_FDCWD, path, 0));
    }
    case OP_RENAME: {
      const char *from = text(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS5(renameat2, AT_FDCWD, from, AT_FDCWD, path, flags));
    }
    case OP_UNLINK: {
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS3(unlinkat, AT_FDCWD, path, flags));
    }
    case OP_REMOVE_TREE: {
      const char *path = text(fields);
      return CHECKED(file_remove_tree(path));
    }
    case OP_WRITE: {
      const char *path = text(fields);
      uint64_t flags = u64(fields);
      uint32_t mode = u32(fields);
      size_t length;
      const uint8_t *data = bytes(fields, &length);
      return CHECKED(file_write(AT_FDCWD, path, flags, mode, data, length));
    }
    case OP_TRUNCATE: {
      const char *path = text(fields);
      uint64_t size = u64(fields);
      return CHECKED(SYS2(truncate, path, size));
    }
    case OP_CHMOD: {
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      return CHECKED(file_chmod(path, mode));
    }
    case OP_CHOWN: {
      const char *path = text(fields);
      uint32_t uid = u32(fields);
      uint32_t gid = u32(fields);
      return CHECKED(SYS5(fchownat, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW));
    }
    case OP_SET_TIMES: {
      const char *path = text(fields);
      int64_t times[4];
      times[0] = (int64_t)u64(fields);
      times[1] = u32(fields);
      times[2] = (int64_t)u64(fields);
      times[3] = u32(fields);
      return CHECKED(SYS4(utimensat, AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
    }
    case OP_SET_XATTR: {
      const char *path = text(fields);
      const char *name = text(fields);
      size_t length;
      const uint8_t *value = bytes(fields, &length);
      return CHECKED(SYS5(lsetxattr, path, name, value, length, 0));
    }
    case OP_REMOVE_XATTR: {
      const char *path = text(fields);
      const char *name = text(fields);
      return CHECKED(SYS2(lremovexattr, path, name));
    }
    case OP_SYNC_FS: {
      const char *path = text(fields);
      return CHECKED(op_sync_fs(path));
    }
    case OP_STAT: {
      const char *path = text(fields);
      return CHECKED(result_bytes(machine, file_stat, path));
    }
    case OP_READ_DIR: {
      const char *path = text(fields);
      return CHECKED(result_bytes(machine, file_read_directory, path));
    }
    default:
      return run_descriptor_op(machine, code, fields);
  }
}

static int is_tolerated(const struct op_header *header, long error) {
  return header->tolerate[0] == (uint16_t)error || header->tolerate[1] == (uint16_t)error;
}

int ops_run(struct machine *machine, const uint8_t *ops, size_t length) {
  const uint8_t *end = ops + length;
  while (ops < end) {
    struct op_header header;
    if ((size_t)(end - ops) < sizeof header) return -EINVAL;
    for (size_t at = 0; at < sizeof header; at += 1) ((uint8_t *)&header)[at] = ops[at];
    ops += sizeof header;
    if ((size_t)(end - ops) < header.length) return -EINVAL;
    struct fields fields = {.at = ops, .end = ops + header.length, .machine = machine};
    ops += header.length;
    long result = machine->fault_errno != 0 && machine->fault_index == header.index ? -(long)machine->fault_errno
                                                                                     : run_op(machine, header.code, &fields);
    if (result >= 0 || is_tolerated(&header, -result)) continue;
    if (machine->failed_errno == 0) {
      machine->failed_errno = (int)-result;
      machine->failed_index = header.index;
    }
    return (int)result;
  }
  return 0;
}
