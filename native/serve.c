/* The loop of a zygote or an agent: carries out what its owner asks for, starts children and tells how they end. */
#include "serve.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/time_types.h>

#include "message.h"
#include "ops.h"

#define CHANNEL 3
#define SIGNAL_KILL 9
#define SIGNAL_CHILD 17
#define WAIT_NO_HANG 1
#define MAX_SPARES 8
#define PAGE 4096

struct child {
  uint32_t id;
  int32_t pid;          /* 0: a free place */
  int32_t other_pid;    /* what it handed over to, once it has ended itself */
  int32_t early_status; /* of the one handed to, when that ended first */
  uint8_t runs_init;
  uint8_t ended_early;
  struct shared *shared;
  uint64_t early_usage[3];
};

struct spare {
  int32_t pid;
  int32_t socket;
  struct shared *shared;
};

struct kernel_usage {
  int64_t user_seconds, user_micros, system_seconds, system_micros;
  int64_t peak;
  int64_t rest[13];
};

static struct {
  struct child *children;
  size_t capacity;
  struct spare spares[MAX_SPARES];
  int spare_count;
  int spares_wanted;
  int spares_fail;
  uint8_t *recipe; /* a program of prepared ops */
  size_t recipe_length;
  int signals;
} state;

static uint8_t packet[MAX_MESSAGE] __attribute__((aligned(8)));
static struct machine own;

static void copy(void *to, const void *from, size_t length) {
  for (size_t at = 0; at < length; at += 1) ((uint8_t *)to)[at] = ((const uint8_t *)from)[at];
}

static int same(const uint8_t *one, const uint8_t *other, size_t length) {
  for (size_t at = 0; at < length; at += 1)
    if (one[at] != other[at]) return 0;
  return 1;
}

static void *map_memory(size_t length, int flags) {
  long memory = SYS6(mmap, 0, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  return memory < 0 && memory > -4096 ? NULL : (void *)memory;
}

static int32_t find_child(uint32_t id) {
  for (size_t at = 0; at < state.capacity; at += 1) {
    struct child *child = &state.children[at];
    if (child->pid != 0 && child->id == id) return child->other_pid != 0 ? child->other_pid : child->pid;
  }
  return -1;
}

static struct child *new_child(void) {
  for (size_t at = 0; at < state.capacity; at += 1)
    if (state.children[at].pid == 0) return &state.children[at];
  size_t capacity = state.capacity == 0 ? PAGE / sizeof(struct child) : state.capacity * 2;
  struct child *larger = map_memory(capacity * sizeof(struct child), MAP_PRIVATE);
  if (larger == NULL) return NULL;
  copy(larger, state.children, state.capacity * sizeof(struct child));
  if (state.capacity > 0) SYS2(munmap, state.children, state.capacity * sizeof(struct child));
  struct child *found = &larger[state.capacity];
  state.children = larger;
  state.capacity = capacity;
  return found;
}

/* ---- in a child ---- */

static void become_child(struct machine *machine, uint32_t id, struct shared *shared, const int32_t *fds, size_t fd_count) {
  machine_start(machine, CHANNEL, id);
  machine->shared = shared;
  machine->find_child = find_child;
  machine->serve = serve;
  for (size_t at = 0; at < fd_count; at += 1) machine->slots[FIRST_GIVEN_SLOT + at] = fds[at];
}

static long receive(int channel, struct request_header *header, int32_t *fds, size_t *fd_count) {
  union {
    struct control_header header;
    uint8_t bytes[CONTROL_SPACE(MAX_FDS * sizeof(int32_t)) + 64];
  } control;
  struct iovec parts[2] = {{header, sizeof *header}, {packet, sizeof packet}};
  struct message_header message = {
      .parts = parts, .part_count = 2, .control = control.bytes, .control_length = sizeof control.bytes};
  long length;
  *fd_count = 0;
  do length = SYS3(recvmsg, channel, &message, CLOSE_ON_EXEC_RIGHTS);
  while (length == -EINTR);
  if (length <= 0) return length;
  for (size_t at = 0; at + sizeof(struct control_header) <= message.control_length;) {
    struct control_header *part = (struct control_header *)(control.bytes + at);
    if (part->length < sizeof *part) break;
    if (part->level == LEVEL_SOCKET && part->type == CONTROL_RIGHTS) {
      *fd_count = (part->length - sizeof *part) / sizeof(int32_t);
      copy(fds, part + 1, *fd_count * sizeof(int32_t));
    }
    at += CONTROL_ALIGN(part->length);
  }
  if ((size_t)length < sizeof *header) return -EPROTO;
  return length;
}

/* A spare: carries out the prepared ops, then waits to learn which container it is. */
static void run_spare(int socket, struct shared *shared) __attribute__((noreturn));
static void run_spare(int socket, struct shared *shared) {
  static struct machine machine;
  struct request_header header;
  int32_t fds[MAX_FDS];
  size_t fd_count;
  become_child(&machine, 0, shared, fds, 0);
  machine.channel = -1;
  const uint8_t *ops = state.recipe + sizeof(struct program_header);
  if (ops_run(&machine, ops, state.recipe_length - sizeof(struct program_header)) < 0)
    for (;;) SYS1(exit_group, 1);
  long length = receive(socket, &header, fds, &fd_count);
  if (length <= 0)
    for (;;) SYS1(exit_group, 0);
  machine.channel = CHANNEL;
  machine.id = header.id;
  machine.fault_index = header.fault_index;
  machine.fault_errno = header.fault_errno;
  for (size_t at = 0; at < fd_count; at += 1) machine.slots[FIRST_GIVEN_SLOT + at] = fds[at];
  ops_run_and_exit(&machine, packet, header.length);
}

/* ---- in the agent ---- */

static void make_spare(void) {
  int32_t pair[2];
  struct program_header program;
  struct shared *shared = map_memory(PAGE, MAP_SHARED);
  copy(&program, state.recipe, sizeof program);
  if (shared == NULL || SYS4(socketpair, 1, 5 /* SOCK_SEQPACKET */ | O_CLOEXEC, 0, pair) < 0) {
    if (shared != NULL) SYS2(munmap, shared, PAGE);
    state.spares_fail = 1;
    return;
  }
  struct clone_args arguments = {.flags = program.clone, .exit_signal = SIGNAL_CHILD};
  long pid = SYS2(clone3, &arguments, sizeof arguments);
  if (pid == 0) run_spare(pair[1], shared);
  SYS1(close, pair[1]);
  if (pid < 0) {
    SYS1(close, pair[0]);
    SYS2(munmap, shared, PAGE);
    state.spares_fail = 1;
    return;
  }
  state.spares[state.spare_count++] = (struct spare){(int32_t)pid, pair[0], shared};
}

static void drop_spare(int at) {
  SYS1(close, state.spares[at].socket);
  SYS2(munmap, state.spares[at].shared, PAGE);
  state.spare_count -= 1;
  for (int next = at; next < state.spare_count; next += 1) state.spares[next] = state.spares[next + 1];
}

static void keep_spares(const struct request_header *header, const uint8_t *payload) {
  while (state.spare_count > 0) drop_spare(0);
  if (state.recipe != NULL) SYS2(munmap, state.recipe, state.recipe_length);
  state.recipe = NULL;
  state.spares_wanted = 0;
  state.spares_fail = 0;
  if (header->count == 0 || header->length < sizeof(struct program_header)) return;
  state.recipe = map_memory(header->length, MAP_PRIVATE);
  if (state.recipe == NULL) return;
  copy(state.recipe, payload, header->length);
  state.recipe_length = header->length;
  state.spares_wanted = header->count < MAX_SPARES ? (int)header->count : MAX_SPARES;
}

/* Hands the program to a spare that has carried out its prepared ops; 0 when there is none. */
static int32_t use_spare(const struct request_header *header, const struct program_header *program, const uint8_t *ops,
                         size_t length, const int32_t *fds, size_t fd_count, struct shared **shared) {
  struct program_header recipe;
  size_t prepared = program->prepared;
  if (prepared == 0 || state.spare_count == 0 || (header->flags & FLAG_LARGE)) return 0;
  if (header->fault_errno != 0) return 0;
  copy(&recipe, state.recipe, sizeof recipe);
  if (recipe.clone != program->clone || state.recipe_length - sizeof recipe != prepared) return 0;
  if (!same(state.recipe + sizeof recipe, ops, prepared)) return 0;
  struct request_header forwarded = *header;
  forwarded.length = (uint32_t)(length - prepared);
  struct iovec parts[2] = {{&forwarded, sizeof forwarded}, {(void *)(uintptr_t)(ops + prepared), length - prepared}};
  while (state.spare_count > 0) {
    struct spare spare = state.spares[0];
    long sent = message_send(spare.socket, parts, 2, fds, fd_count, 0);
    if (sent == 0) {
      *shared = spare.shared;
      SYS1(close, spare.socket);
      state.spare_count -= 1;
      for (int next = 0; next < state.spare_count; next += 1) state.spares[next] = state.spares[next + 1];
      return spare.pid;
    }
    drop_spare(0);
  }
  return 0;
}

/* No op failed, so the index is none: the child itself could not be made. */
static void refuse_start(uint32_t id, int32_t error) {
  struct exit_report report = {.code = 127};
  reply_send(CHANNEL, REPLY_FAILED, id, error, ~0U, NULL, 0, -1, 0);
  reply_send(CHANNEL, REPLY_EXIT, id, 0, 0, &report, sizeof report, -1, 0);
}

static void start_child(const struct request_header *header, const uint8_t *payload, size_t size, const int32_t *fds,
                        size_t fd_count) {
  static struct machine machine;
  struct program_header program;
  struct child *child = new_child();
  if (size < sizeof program || child == NULL) {
    refuse_start(header->id, child == NULL ? ENOMEM : EPROTO);
    return;
  }
  copy(&program, payload, sizeof program);
  const uint8_t *ops = payload + sizeof program;
  size_t length = size - sizeof program;
  struct shared *shared = NULL;
  long pid = use_spare(header, &program, ops, length, fds, fd_count, &shared);
  if (pid == 0) {
    shared = map_memory(PAGE, MAP_SHARED);
    struct clone_args arguments = {.flags = program.clone, .exit_signal = SIGNAL_CHILD};
    pid = shared == NULL ? -ENOMEM : SYS2(clone3, &arguments, sizeof arguments);
    if (pid == 0) {
      become_child(&machine, header->id, shared, fds, fd_count);
      machine.fault_index = header->fault_index;
      machine.fault_errno = header->fault_errno;
      ops_run_and_exit(&machine, ops, length);
    }
  }
  if (pid < 0) {
    if (shared != NULL) SYS2(munmap, shared, PAGE);
    refuse_start(header->id, (int32_t)-pid);
    return;
  }
  *child = (struct child){.id = header->id, .pid = (int32_t)pid, .shared = shared, .runs_init = (header->flags & FLAG_INIT) != 0};
}

static void signal_child(uint32_t id, int32_t signal) {
  for (size_t at = 0; at < state.capacity; at += 1) {
    struct child *child = &state.children[at];
    if (child->pid == 0 || child->id != id) continue;
    int32_t pid = child->other_pid != 0 ? child->other_pid : child->pid;
    if (!child->runs_init || signal == SIGNAL_KILL) {
      if (!child->runs_init && child->shared->handoff != 0) pid = child->shared->handoff;
      SYS2(kill, pid, signal);
    } else {
      int32_t info[32] = {SIGNAL_FORWARD, 0, -1 /* SI_QUEUE */, 0, 0, 0, signal};
      SYS3(rt_sigqueueinfo, pid, SIGNAL_FORWARD, info);
    }
  }
}

static void report_exit(struct child *child, int32_t status, const uint64_t *usage) {
  if (child->shared->status_known) status = child->shared->status;
  int32_t signal = status & 0x7f;
  struct exit_report report = {.code = signal == 0 ? (status >> 8) & 0xff : -1,
                               .signal = signal,
                               .user_micros = usage[0],
                               .system_micros = usage[1],
                               .peak_kilobytes = usage[2]};
  reply_send(CHANNEL, REPLY_EXIT, child->id, 0, 0, &report, sizeof report, -1, 0);
  SYS2(munmap, child->shared, PAGE);
  child->pid = 0;
}

static void child_ended(int32_t pid, int32_t status, const uint64_t *usage) {
  for (int at = 0; at < state.spare_count; at += 1) {
    if (state.spares[at].pid != pid) continue;
    /* It failed in the prepared ops: a start without a spare will tell how. */
    drop_spare(at);
    state.spares_fail = 1;
    return;
  }
  for (size_t at = 0; at < state.capacity; at += 1) {
    struct child *child = &state.children[at];
    if (child->pid == 0) continue;
    if (child->pid == pid && child->other_pid == 0) {
      int32_t handoff = child->runs_init ? 0 : child->shared->handoff;
      if (handoff == 0) {
        report_exit(child, status, usage);
      } else if (child->ended_early) {
        report_exit(child, child->early_status, child->early_usage);
      } else {
        child->other_pid = handoff;
      }
      return;
    }
    if (child->other_pid == pid) {
      report_exit(child, status, usage);
      return;
    }
    if (!child->runs_init && child->other_pid == 0 && child->shared->handoff == pid) {
      child->ended_early = 1;
      child->early_status = status;
      copy(child->early_usage, usage, sizeof child->early_usage);
      return;
    }
  }
}

static void reap_children(void) {
  struct kernel_usage usage;
  for (;;) {
    int32_t status = 0;
    long pid = SYS4(wait4, -1, &status, WAIT_NO_HANG | (int)0x40000000 /* __WALL */, &usage);
    if (pid == -EINTR) continue;
    if (pid <= 0) return;
    uint64_t figures[3] = {(uint64_t)(usage.user_seconds * 1000000 + usage.user_micros),
                           (uint64_t)(usage.system_seconds * 1000000 + usage.system_micros), (uint64_t)usage.peak};
    child_ended((int32_t)pid, status, figures);
  }
}

static void run_here(const struct request_header *header, const uint8_t *payload, size_t length, const int32_t *fds,
                     size_t fd_count) {
  int keeps = (header->flags & FLAG_KEEP) != 0;
  own.id = header->id;
  own.channel = CHANNEL;
  own.find_child = find_child;
  own.failed_errno = 0;
  own.fault_index = header->fault_index;
  own.fault_errno = header->fault_errno;
  own.main_pid = 0;
  for (size_t at = 0; at < fd_count; at += 1) {
    int32_t *slot = &own.slots[FIRST_GIVEN_SLOT + at];
    if (*slot >= 0) SYS1(close, *slot);
    *slot = fds[at];
  }
  int result = ops_run(&own, payload, length);
  if (result < 0)
    reply_send(CHANNEL, REPLY_FAILED, header->id, own.failed_errno ? own.failed_errno : -result, own.failed_index, NULL, 0, -1, 0);
  else
    reply_send(CHANNEL, REPLY_DONE, header->id, 0, 0, own.results.data, own.results.length, -1, 0);
  buffer_free(&own.results);
  for (int at = 0; at < SLOTS && !keeps; at += 1) {
    if (own.slots[at] >= 0) SYS1(close, own.slots[at]);
    own.slots[at] = -1;
  }
}

static void dispatch(struct request_header *header, const int32_t *fds, size_t fd_count) {
  const uint8_t *payload = packet;
  size_t length = header->length;
  int32_t large = -1;
  int closes = 1;
  if ((header->flags & FLAG_LARGE) && fd_count > 0) {
    large = fds[0];
    long memory = SYS6(mmap, 0, length, PROT_READ, MAP_PRIVATE, large, 0);
    fds += 1;
    fd_count -= 1;
    payload = memory < 0 && memory > -4096 ? NULL : (const uint8_t *)memory;
  }
  if (payload == NULL) {
    reply_send(CHANNEL, REPLY_FAILED, header->id, ENOMEM, ~0U, NULL, 0, -1, 0);
  } else if (header->type == REQUEST_RUN) {
    run_here(header, payload, length, fds, fd_count);
    closes = 0;
  } else if (header->type == REQUEST_START) {
    start_child(header, payload, length, fds, fd_count);
  } else if (header->type == REQUEST_KILL && length >= sizeof(int32_t)) {
    int32_t signal;
    copy(&signal, payload, sizeof signal);
    signal_child(header->id, signal);
  } else if (header->type == REQUEST_SPARES) {
    keep_spares(header, payload);
  }
  for (size_t at = 0; closes && at < fd_count; at += 1) SYS1(close, fds[at]);
  if (large >= 0) {
    if (payload != NULL) SYS2(munmap, payload, length);
    SYS1(close, large);
  } else {
    /* What was asked for one container (its environment, say) is not for the next, which is a copy of this process. */
    for (size_t at = 0; at < length && at < sizeof packet; at += 1) packet[at] = 0;
  }
}

static void end_all(void) {
  for (size_t at = 0; at < state.capacity; at += 1)
    if (state.children[at].pid != 0) SYS2(kill, state.children[at].pid, SIGNAL_KILL);
  for (int at = 0; at < state.spare_count; at += 1) SYS2(kill, state.spares[at].pid, SIGNAL_KILL);
  for (;;) SYS1(exit_group, 0);
}

/* What a copy of another agent carries over is not its own. */
static void forget(void) {
  for (size_t at = 0; at < sizeof state; at += 1) ((uint8_t *)&state)[at] = 0;
  machine_start(&own, CHANNEL, 0);
  own.serve = serve;
}

void serve(int channel) {
  uint64_t child_signal = 1ULL << (SIGNAL_CHILD - 1);
  uint64_t all = ~0ULL;
  forget();
  if (channel != CHANNEL) SYS3(dup3, channel, CHANNEL, O_CLOEXEC);
  SYS3(fcntl, CHANNEL, F_SETFD, 1 /* FD_CLOEXEC */);
  SYS3(close_range, CHANNEL + 1, ~0U, 0);
  SYS4(rt_sigprocmask, 0 /* SIG_BLOCK */, &all, 0, sizeof all);
  state.signals = (int)SYS4(signalfd4, -1, &child_signal, sizeof child_signal, O_CLOEXEC | O_NONBLOCK);
  reply_send(CHANNEL, REPLY_HELLO, 0, 0, 0, NULL, 0, -1, 0);
  for (;;) {
    struct pollfd watched[2] = {{CHANNEL, POLLIN, 0}, {state.signals, POLLIN, 0}};
    struct __kernel_timespec at_once = {0, 0};
    int makes_spares = state.spare_count < state.spares_wanted && !state.spares_fail;
    long ready = SYS5(ppoll, watched, 2, makes_spares ? &at_once : NULL, 0, 0);
    if (ready == -EINTR) continue;
    if (ready == 0) {
      make_spare();
      continue;
    }
    if (watched[1].revents & POLLIN) {
      uint8_t info[128];
      SYS3(read, state.signals, info, sizeof info);
      reap_children();
    }
    if (watched[0].revents & (POLLIN | POLLHUP | POLLERR)) {
      struct request_header header;
      int32_t fds[MAX_FDS];
      size_t fd_count;
      long length = receive(CHANNEL, &header, fds, &fd_count);
      if (length <= 0) end_all();
      dispatch(&header, fds, fd_count);
    }
  }
}
