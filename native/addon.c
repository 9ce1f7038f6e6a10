/* The addon: what Node itself must do. It makes processes in new namespaces, talks to agents, and watches file descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decoder.h"
#include "descriptors.h"
#include "directory.h"
#include "ops.h"
#include "ring.h"
#include "sync.h"
#include "values.h"
#include "watch.h"
#include "xattrs.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#define STACK_SIZE 131072

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
  if (pid > 0 && machine->failed_errno == 0) watch_own_child(env, pidfd);
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
      {"spawn", spawn},
      {"reap", reap},
      {"run", run},
      {"channel", descriptor_channel},
      {"pipe", descriptor_pipe},
      {"memfd", descriptor_memfd},
      {"read", descriptor_read},
      {"write", descriptor_write},
      {"flock", descriptor_lock},
      {"send", descriptor_send},
      {"receive", descriptor_receive},
      {"opTable", op_table},
      {"watch", watch_start},
      {"rewatch", watch_change},
      {"unwatch", watch_stop},
      {"hold", watch_hold},
      {"close", watch_close},
      {"dup", descriptor_duplicate},
      {"ring", ring_make},
      {"releaseRing", ring_release},
      {"decoder", decoder_make},
      {"decode", decoder_run},
      {"digest", decoder_digest},
      {"syncFs", sync_filesystem},
      {"xattrs", xattrs_of},
      {"listDirectory", directory_list},
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
