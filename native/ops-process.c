/* Ops on processes and namespaces. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <linux/time_types.h>

#include "fields.h"

#define VM_STACK 65536
#define SIGCHLD_NUMBER 17
#define JOIN_TRIES 2000 /* of a millisecond */

/* <linux/if.h> pulls in the libc's headers. */
struct interface_request {
  char name[16];
  union {
    short flags;
    uint8_t space[24];
  } value;
};

/* What a nested child may share or have anew. Not a thread group, or signal handlers: its end would be this process's. */
#define FORK_FLAGS (0x7e020080ULL | CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | CLONE_PARENT | CLONE_CLEAR_SIGHAND)
#define INTERFACE_UP 1
#define INTERFACE_RUNNING 64

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
  if (flags & ~FORK_FLAGS) return -EINVAL;
  if (flags & CLONE_VM) {
    if (!(flags & CLONE_VFORK) || machine->in_vm_child || flags >> 32 != 0) return -EINVAL;
    struct vm_child child = {machine, ops, length};
    int32_t *handoff = is_main && (flags & CLONE_PARENT) && machine->shared != NULL ? &machine->shared->handoff : NULL;
    /* The agent must know the child before it runs: this process may be killed while it waits for the child's exec. */
    if (handoff != NULL) flags |= CLONE_PARENT_SETTID;
    pid = old_clone_on_stack(flags | arguments.exit_signal, stack + sizeof stack, handoff, run_vm_child, &child);
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
    if ((flags & CLONE_PARENT) && !(flags & CLONE_VM) && machine->shared != NULL) machine->shared->handoff = (int32_t)pid;
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

static long op_link_up(const char *name) {
  struct interface_request request = {0};
  if (text_length(name) >= sizeof request.name) return -ENODEV;
  for (size_t at = 0; name[at] != '\0'; at += 1) request.name[at] = name[at];
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

static long op_wait_id(struct machine *machine, int fd, uint32_t options) {
  int info[32] = {0}; /* siginfo_t: signo, errno, code, _, pid, uid, status */
  long result = SYS5(waitid, 3 /* P_PIDFD */, fd, info, options, 0);
  if (result < 0) return result;
  uint64_t status = info[2] == 1 /* CLD_EXITED */ ? (uint64_t)(uint32_t)info[6] << 8 : (uint64_t)(uint32_t)info[6];
  return buffer_append(&machine->results, &status, sizeof status);
}

/* A pidfd of a child of the agent that this process is a copy of. */
static long open_child(struct machine *machine, uint32_t child) {
  int32_t pid = machine->find_child == NULL ? -1 : machine->find_child(child);
  return pid <= 0 ? -ESRCH : SYS2(pidfd_open, pid, 0);
}

static long op_userns(const struct machine *machine) {
  if (machine->shared == NULL) return -EINVAL;
  int32_t *users = &machine->shared->users;
  for (;;) {
    int32_t state = __atomic_load_n(users, __ATOMIC_ACQUIRE);
    if (state != 0) return state < 0 ? state : 0;
    SYS6(futex, users, FUTEX_WAIT, 0, 0, 0, 0);
  }
}

static long op_join(struct machine *machine, uint32_t child, uint64_t flags) {
  long fd = open_child(machine, child);
  if (fd < 0) return fd;
  long result = SYS2(setns, fd, flags);
  /* A container that has only just started lets itself be entered once its PID 1 has given up what it had (reap.c). */
  for (int tries = 0; result == -EPERM && tries < JOIN_TRIES; tries += 1) {
    struct __kernel_timespec pause = {0, 1000000};
    SYS2(nanosleep, &pause, 0);
    result = SYS2(setns, fd, flags);
  }
  SYS1(close, fd);
  return result;
}

/* The kernel translates the pid in a message's credentials for the owner. */
static long op_started(const struct machine *machine) {
  int32_t self = (int32_t)SYS0(getpid);
  int32_t pid = machine->main_pid > 0 ? machine->main_pid : self;
  long result = reply_send(machine->channel, REPLY_STARTED, machine->id, 0, 0, NULL, 0, -1, pid);
  /* A sibling that has ended and was reaped already has no pid to tell. */
  if (result == -ESRCH) result = reply_send(machine->channel, REPLY_STARTED, machine->id, 0, 0, NULL, 0, -1, self);
  /* Who has no rights in its pid namespace may not name another; it is the owner's namespace then, and the number the same. */
  if (result == -EPERM) result = reply_send(machine->channel, REPLY_STARTED, machine->id, pid, 0, NULL, 0, -1, 0);
  return result;
}

long run_process_op(struct machine *machine, uint16_t code, struct fields *fields) {
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
      return machine->channel < 0 ? 0 : op_started(machine);
    case OP_JOIN: {
      uint32_t child = u32(fields);
      uint64_t flags = u64(fields);
      return CHECKED(op_join(machine, child, flags));
    }
    case OP_OPEN_CHILD: {
      uint32_t child = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, open_child(machine, child)));
    }
    case OP_USERNS:
      return op_userns(machine);
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
