/* The children of an agent: started, signalled, and reported when they end. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "agent.h"
#include "serve.h"

#define WAIT_NO_HANG 1
#define WAIT_STOPPED 2

struct child {
  uint32_t id;
  int32_t pid;          /* 0: a free place */
  int32_t other_pid;    /* what it handed over to, once it has ended itself */
  int32_t early_status; /* of the one handed to, when that ended first */
  uint8_t runs_init;
  uint8_t ended_early;
  uint64_t early_signals; /* sent before the one that it hands over to was there */
  struct shared *shared;
  uint64_t early_usage[3];
};

struct kernel_usage {
  int64_t user_seconds, user_micros, system_seconds, system_micros;
  int64_t peak;
  int64_t rest[13];
};

static struct child *children;
static size_t capacity;

void keep_from_others(struct shared *shared) { SYS3(madvise, shared, PAGE, MADV_DONTFORK); }

/* What a child says that it handed over to. It is believed no more than that: of a container's own processes one may have written it. */
static int32_t handed_to(const struct child *child) {
  int32_t pid = child->runs_init ? 0 : child->shared->handoff;
  return pid > 1 ? pid : 0;
}

int32_t find_child(uint32_t id) {
  for (size_t at = 0; at < capacity; at += 1) {
    struct child *child = &children[at];
    if (child->pid != 0 && child->id == id) return child->other_pid != 0 ? child->other_pid : child->pid;
  }
  return -1;
}

static struct child *new_child(void) {
  for (size_t at = 0; at < capacity; at += 1)
    if (children[at].pid == 0) return &children[at];
  size_t larger_capacity = capacity == 0 ? PAGE / sizeof(struct child) : capacity * 2;
  struct child *larger = map_memory(larger_capacity * sizeof(struct child), MAP_PRIVATE);
  if (larger == NULL) return NULL;
  copy_bytes(larger, children, capacity * sizeof(struct child));
  if (capacity > 0) SYS2(munmap, children, capacity * sizeof(struct child));
  struct child *found = &larger[capacity];
  children = larger;
  capacity = larger_capacity;
  return found;
}

void become_child(struct machine *machine, uint32_t id, struct shared *shared, const int32_t *fds, size_t fd_count) {
  machine_start(machine, CHANNEL, id);
  machine->shared = shared;
  machine->find_child = find_child;
  machine->serve = serve;
  for (size_t at = 0; at < fd_count; at += 1) machine->slots[FIRST_GIVEN_SLOT + at] = fds[at];
}

void refuse_start(uint32_t id, int32_t error) {
  struct exit_report report = {.code = 127};
  reply_or_end(REPLY_FAILED, id, error, ~0U, NULL, 0);
  reply_or_end(REPLY_EXIT, id, 0, 0, &report, sizeof report);
}

void start_child(const struct request_header *header, const uint8_t *payload, size_t size, const int32_t *fds,
                        size_t fd_count) {
  static struct machine machine;
  struct program_header program;
  struct child *child = new_child();
  if (size < sizeof program || child == NULL) {
    refuse_start(header->id, child == NULL ? ENOMEM : EPROTO);
    return;
  }
  copy_bytes(&program, payload, sizeof program);
  const uint8_t *ops = payload + sizeof program;
  size_t length = size - sizeof program;
  struct shared *shared = NULL;
  long pid = use_spare(header, &program, ops, length, fds, fd_count, &shared);
  if (pid == 0) {
    shared = map_memory(PAGE, MAP_SHARED);
    pid = shared == NULL ? -ENOMEM : clone_child(&program, ops, length, shared);
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
  keep_from_others(shared);
  *child = (struct child){.id = header->id, .pid = (int32_t)pid, .shared = shared, .runs_init = (header->flags & FLAG_INIT) != 0};
}

/* Of a child that is no container `to all` is its process group. */
static void signal_group(int32_t pid, int32_t signal) {
  SYS2(kill, -pid, signal);
  SYS2(kill, pid, signal);
}

void signal_child(uint32_t id, int32_t asked) {
  int32_t signal = asked;
  for (size_t at = 0; at < capacity; at += 1) {
    struct child *child = &children[at];
    if (child->pid == 0 || child->id != id) continue;
    int32_t pid = child->other_pid != 0 ? child->other_pid : child->pid;
    if (child->ended_early) continue;
    if (!child->runs_init) signal = asked & (SIGNAL_TO_ALL - 1);
    if (!child->runs_init || signal == SIGNAL_KILL) {
      if (handed_to(child) != 0) pid = handed_to(child);
      /* It may be making its other at this very moment, which is not to be missed by the signal. */
      if (pid == child->pid && signal > 0 && signal <= 64) child->early_signals |= 1ULL << (signal - 1);
      if (asked != signal) signal_group(pid, signal);
      else SYS2(kill, pid, signal);
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
  reply_or_end(REPLY_EXIT, child->id, 0, 0, &report, sizeof report);
  SYS2(munmap, child->shared, PAGE);
  child->pid = 0;
}

static void child_ended(int32_t pid, int32_t status, const uint64_t *usage) {
  if (spare_ended(pid)) return;
  for (size_t at = 0; at < capacity; at += 1) {
    struct child *child = &children[at];
    if (child->pid == 0) continue;
    if (child->pid == pid && child->other_pid == 0) {
      int32_t handoff = handed_to(child);
      if (handoff == 0) {
        report_exit(child, status, usage);
      } else if (child->ended_early) {
        report_exit(child, child->early_status, child->early_usage);
      } else {
        child->other_pid = handoff;
        for (int signal = 1; signal <= 64; signal += 1)
          if (child->early_signals >> (signal - 1) & 1) SYS2(kill, handoff, signal);
      }
      return;
    }
    if (child->other_pid == pid) {
      report_exit(child, status, usage);
      return;
    }
    if (child->other_pid == 0 && handed_to(child) == pid) {
      child->ended_early = 1;
      child->early_status = status;
      copy_bytes(child->early_usage, usage, sizeof child->early_usage);
      return;
    }
  }
}

/* PID 1 of a container ignores what stops a process, except when one of its own traces it and goes away: then it would stay stopped, and
 * nobody would learn of the container's end. */
static void child_stopped(int32_t pid) {
  for (size_t at = 0; at < capacity; at += 1) {
    struct child *child = &children[at];
    if (child->pid != 0 && child->runs_init && (child->pid == pid || child->other_pid == pid)) SYS2(kill, pid, SIGNAL_CONTINUE);
  }
}

void reap_children(void) {
  struct kernel_usage usage;
  for (;;) {
    int32_t status = 0;
    long pid = SYS4(wait4, -1, &status, WAIT_NO_HANG | WAIT_STOPPED | (int)0x40000000 /* __WALL */, &usage);
    if (pid == -EINTR) continue;
    if (pid <= 0) return;
    if ((status & 0xff) == 0x7f) {
      child_stopped((int32_t)pid);
      continue;
    }
    uint64_t figures[3] = {(uint64_t)(usage.user_seconds * 1000000 + usage.user_micros),
                           (uint64_t)(usage.system_seconds * 1000000 + usage.system_micros), (uint64_t)usage.peak};
    child_ended((int32_t)pid, status, figures);
  }
}

void kill_children(void) {
  for (size_t at = 0; at < capacity; at += 1)
    if (children[at].pid != 0) SYS2(kill, children[at].pid, SIGNAL_KILL);
}

/* In a copy of another agent: the children of that one are not its own. */
void forget_children(void) {
  children = NULL;
  capacity = 0;
}
