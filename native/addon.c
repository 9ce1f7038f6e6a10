/* The addon: what Node itself must do. It makes processes in new namespaces, talks to agents, and watches file descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"
#include "watch.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#define STACK_SIZE 131072

static napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

static napi_value pair_of(napi_env env, double one, double other) {
  napi_value result;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, number(env, one));
  napi_set_element(env, result, 1, number(env, other));
  return result;
}

static size_t arguments_of(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  size_t count = wanted;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  return count;
}

static int32_t int_of(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

static int bytes_of(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  bool is_typed = false;
  napi_is_typedarray(env, value, &is_typed);
  if (!is_typed) {
    napi_throw_type_error(env, NULL, "a Uint8Array is needed");
    return -1;
  }
  napi_typedarray_type type;
  void *memory;
  napi_get_typedarray_info(env, value, &type, length, &memory, NULL, NULL);
  *data = memory;
  return 0;
}

static size_t fds_of(napi_env env, napi_value value, int32_t *fds) {
  uint32_t count = 0;
  bool is_array = false;
  napi_is_array(env, value, &is_array);
  if (!is_array) return 0;
  napi_get_array_length(env, value, &count);
  if (count > MAX_FDS) count = MAX_FDS;
  for (uint32_t at = 0; at < count; at += 1) {
    napi_value each;
    napi_get_element(env, value, at, &each);
    fds[at] = int_of(env, each);
  }
  return count;
}

/* ---- processes ---- */

struct spawned {
  struct machine *machine;
  const uint8_t *ops;
  size_t length;
};

static void run_spawned(void *argument) {
  struct spawned *spawned = argument;
  ops_run_and_exit(spawned->machine, spawned->ops, spawned->length);
}

/*
 * spawn(program, fds) → [pid, pidfd], or [-errno, index of the op]. The child shares this process's memory until it execs
 * (no page table is copied, however large Node has grown), and this thread waits until then. So the program must be short,
 * and must not change ids: that would make Node itself non-dumpable.
 */
static napi_value spawn(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  int32_t fds[MAX_FDS];
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[0], &data, &length) < 0) return NULL;
  size_t fd_count = fds_of(env, arguments[1], fds);
  struct program_header program;
  if (length < sizeof program) return pair_of(env, -EPROTO, -1);
  memcpy(&program, data, sizeof program);
  struct machine *machine = malloc(sizeof *machine);
  void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (machine == NULL || stack == MAP_FAILED) {
    free(machine);
    return pair_of(env, -ENOMEM, -1);
  }
  machine_start(machine, -1, 0);
  machine->in_vm_child = 1;
  for (size_t at = 0; at < fd_count; at += 1) machine->slots[FIRST_GIVEN_SLOT + at] = fds[at];
  struct spawned spawned = {machine, data + sizeof program, length - sizeof program};
  int pidfd = -1;
  struct clone_args clone = {.flags = program.clone | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
                             .pidfd = (uint64_t)(uintptr_t)&pidfd,
                             .exit_signal = SIGCHLD,
                             .stack = (uint64_t)(uintptr_t)stack,
                             .stack_size = STACK_SIZE};
  /* No handler of Node's may run in the child: it would find the parent's memory. */
  uint64_t all = ~0ULL;
  uint64_t before = 0;
  SYS4(rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
  long pid = clone_on_stack(&clone, sizeof clone, run_spawned, &spawned);
  SYS4(rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before);
  munmap(stack, STACK_SIZE);
  double first = (double)pid;
  double second = pidfd;
  if (pid > 0 && machine->failed_errno == 0) watch_own(env, pidfd);
  if (pid > 0 && machine->failed_errno != 0) {
    siginfo_t status;
    first = -machine->failed_errno;
    second = machine->failed_index;
    SYS5(waitid, P_PIDFD, pidfd, &status, WEXITED, 0);
    close(pidfd);
  } else if (pid < 0) {
    second = -1;
  }
  free(machine);
  return pair_of(env, first, second);
}

/* reap(pidfd) → [exit code or -1, signal or 0], or undefined while it runs. */
static napi_value reap(napi_env env, napi_callback_info info) {
  napi_value argument;
  arguments_of(env, info, 1, &argument);
  siginfo_t status = {0};
  long result = SYS5(waitid, P_PIDFD, int_of(env, argument), &status, WEXITED | WNOHANG, 0);
  if (result < 0) return pair_of(env, -1, 0);
  if (status.si_pid == 0) return NULL;
  return status.si_code == CLD_EXITED ? pair_of(env, status.si_status, 0) : pair_of(env, -1, status.si_status);
}

/* run(ops, fds) → [errno, index, results, fds]: carries ops out in this thread; only such as change nothing of the thread's. */
static napi_value run(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  int32_t fds[MAX_FDS];
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[0], &data, &length) < 0) return NULL;
  size_t fd_count = fds_of(env, arguments[1], fds);
  struct machine *machine = malloc(sizeof *machine);
  if (machine == NULL) return pair_of(env, ENOMEM, -1);
  machine_start(machine, -1, 0);
  machine->keep_fds = 1;
  for (size_t at = 0; at < fd_count; at += 1) machine->slots[FIRST_GIVEN_SLOT + at] = fds[at];
  int result = ops_run(machine, data, length);
  napi_value answer;
  napi_value results;
  napi_value kept;
  napi_create_array_with_length(env, 4, &answer);
  napi_create_buffer_copy(env, machine->results.length, machine->results.data, NULL, &results);
  napi_create_array(env, &kept);
  for (int at = 0; at < machine->kept_count && result == 0; at += 1) {
    napi_set_element(env, kept, (uint32_t)at, number(env, machine->kept[at]));
    watch_own(env, machine->kept[at]);
    for (int slot = 0; slot < SLOTS; slot += 1)
      if (machine->slots[slot] == machine->kept[at]) machine->slots[slot] = -1;
  }
  for (int slot = 0; slot < FIRST_GIVEN_SLOT; slot += 1)
    if (machine->slots[slot] >= 0) close(machine->slots[slot]);
  napi_set_element(env, answer, 0, number(env, result < 0 ? (machine->failed_errno ? machine->failed_errno : -result) : 0));
  napi_set_element(env, answer, 1, number(env, machine->failed_index));
  napi_set_element(env, answer, 2, results);
  napi_set_element(env, answer, 3, kept);
  buffer_free(&machine->results);
  free(machine);
  return answer;
}

/* ---- file descriptors ---- */

/* channel() → [this side: non-blocking, told of the sender's pid; the other side]. */
static napi_value channel(napi_env env, napi_callback_info info) {
  (void)info;
  int pair[2];
  int one = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return pair_of(env, -errno, 0);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  watch_own(env, pair[0]);
  watch_own(env, pair[1]);
  return pair_of(env, pair[0], pair[1]);
}

/* pipe(nonBlockingSide) → [read, write]; the side given (0 or 1) does not block. */
static napi_value make_pipe(napi_env env, napi_callback_info info) {
  napi_value argument;
  int pair[2];
  arguments_of(env, info, 1, &argument);
  int side = int_of(env, argument);
  if (pipe2(pair, O_CLOEXEC) < 0) return pair_of(env, -errno, 0);
  if (side == 0 || side == 1) fcntl(pair[side], F_SETFL, O_NONBLOCK);
  watch_own(env, pair[0]);
  watch_own(env, pair[1]);
  return pair_of(env, pair[0], pair[1]);
}

/* dup(fd) → another fd of the same file, or -errno: one fd cannot be watched twice. */
static napi_value duplicate(napi_env env, napi_callback_info info) {
  napi_value argument;
  arguments_of(env, info, 1, &argument);
  int fd = fcntl(int_of(env, argument), F_DUPFD_CLOEXEC, 3);
  watch_own(env, fd);
  return number(env, fd < 0 ? -errno : fd);
}

/* memfd(name, bytes, sealed) → fd or -errno. */
static napi_value make_memfd(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  char name[64] = "";
  uint8_t *data;
  size_t length;
  size_t copied;
  bool sealed = false;
  arguments_of(env, info, 3, arguments);
  napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &copied);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  napi_get_value_bool(env, arguments[2], &sealed);
  int fd = memfd_create(name, MFD_CLOEXEC | (sealed ? MFD_ALLOW_SEALING : 0));
  if (fd < 0) return number(env, -errno);
  long written = write_all(fd, data, length);
  if (written == 0 && sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) written = -errno;
  if (written < 0) {
    close(fd);
    return number(env, (double)written);
  }
  watch_own(env, fd);
  return number(env, fd);
}

/* read(fd, bytes) → count, 0 at the end, or -errno. */
static napi_value read_some(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  ssize_t count = read(int_of(env, arguments[0]), data, length);
  return number(env, count < 0 ? -errno : (double)count);
}

/* write(fd, bytes) → count or -errno. */
static napi_value write_some(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  ssize_t count = write(int_of(env, arguments[0]), data, length);
  return number(env, count < 0 ? -errno : (double)count);
}

/* flock(fd, operation) → 0 or errno. */
static napi_value lock(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  arguments_of(env, info, 2, arguments);
  int result = flock(int_of(env, arguments[0]), int_of(env, arguments[1]));
  return number(env, result < 0 ? errno : 0);
}

/* send(channel, bytes, fds) → 0 or errno. */
static napi_value send_message(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  uint8_t *data;
  size_t length;
  int32_t fds[MAX_FDS];
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof fds)];
  } control = {0};
  arguments_of(env, info, 3, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  size_t fd_count = fds_of(env, arguments[2], fds);
  struct iovec part = {data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd_count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int32_t));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int32_t));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int32_t));
  }
  ssize_t result = sendmsg(int_of(env, arguments[0]), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return number(env, result < 0 ? errno : 0);
}

/* receive(channel) → [type, id, flags, length, value, extra, payload, pid, fds], undefined when there is none, null at the end. */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct reply_header header;
  uint8_t payload[MAX_MESSAGE];
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(MAX_FDS * sizeof(int32_t)) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  arguments_of(env, info, 1, &argument);
  struct iovec parts[2] = {{&header, sizeof header}, {payload, sizeof payload}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length = recvmsg(int_of(env, argument), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return NULL;
  napi_value result;
  if (length < (ssize_t)sizeof header) {
    napi_get_null(env, &result);
    return result;
  }
  napi_create_array_with_length(env, 9, &result);
  napi_set_element(env, result, 0, number(env, header.type));
  napi_set_element(env, result, 1, number(env, header.id));
  napi_set_element(env, result, 2, number(env, header.flags));
  napi_set_element(env, result, 3, number(env, header.length));
  napi_set_element(env, result, 4, number(env, header.value));
  napi_set_element(env, result, 5, number(env, header.extra));
  size_t rest = (size_t)length - sizeof header;
  if (rest > 0) {
    napi_value bytes;
    napi_create_buffer_copy(env, rest, payload, NULL, &bytes);
    napi_set_element(env, result, 6, bytes);
  }
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof sender);
      napi_set_element(env, result, 7, number(env, sender.pid));
    } else if (part->cmsg_type == SCM_RIGHTS) {
      size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t);
      napi_value list;
      napi_create_array(env, &list);
      for (size_t at = 0; at < count; at += 1) {
        int32_t fd;
        memcpy(&fd, CMSG_DATA(part) + at * sizeof fd, sizeof fd);
        napi_set_element(env, list, (uint32_t)at, number(env, fd));
        watch_own(env, fd);
      }
      napi_set_element(env, result, 8, list);
    }
  }
  return result;
}

/* opTable() → [[name, types of the fields], …] in the order of their codes. */
static napi_value op_table(napi_env env, napi_callback_info info) {
  static const char *const rows[][2] = {
#define ROW(code, name, types) {name, types},
      STRAKE_OPS(ROW)
#undef ROW
  };
  (void)info;
  napi_value result;
  napi_create_array(env, &result);
  for (uint32_t at = 0; at < sizeof rows / sizeof rows[0]; at += 1) {
    napi_value row;
    napi_create_array_with_length(env, 2, &row);
    for (uint32_t column = 0; column < 2; column += 1) {
      napi_value text;
      napi_create_string_utf8(env, rows[at][column], NAPI_AUTO_LENGTH, &text);
      napi_set_element(env, row, column, text);
    }
    napi_set_element(env, result, at, row);
  }
  return result;
}

static napi_value initialize(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"spawn", spawn},         {"reap", reap},           {"run", run},           {"channel", channel},
      {"pipe", make_pipe},      {"memfd", make_memfd},    {"read", read_some},    {"write", write_some},
      {"flock", lock},          {"send", send_message},   {"receive", receive},   {"opTable", op_table},
      {"watch", watch_start},   {"rewatch", watch_change}, {"unwatch", watch_stop}, {"hold", watch_hold},
      {"close", watch_close},   {"dup", duplicate},
  };
  for (size_t at = 0; at < sizeof functions / sizeof functions[0]; at += 1) {
    napi_value function;
    napi_create_function(env, functions[at].name, NAPI_AUTO_LENGTH, functions[at].function, NULL, &function);
    napi_set_named_property(env, exports, functions[at].name, function);
  }
  watch_initialize(env);
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, initialize)
