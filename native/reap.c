/* PID 1 of a container: reaps whatever ends, passes signals on to the main child, and ends as that does. */
#include <linux/errno.h>
#include <linux/prctl.h>

#include "ops.h"

#define SIGNAL_CHILD 17
#define SIGNAL_STOPPED_READING 21
#define SIGNAL_STOPPED_WRITING 22
#define WAIT_NO_HANG 1

struct signal_info {
  int32_t number;
  int32_t error;
  int32_t code;
  int32_t padding;
  int32_t pid;
  uint32_t uid;
  int32_t value;
  int32_t rest[25];
};

static int exit_code_of(int32_t status) {
  int32_t signal = status & 0x7f;
  return signal == 0 ? (status >> 8) & 0xff : 128 + signal;
}

/* Returns once nothing more has ended; exits when the main child has. */
static void reap(struct machine *machine) {
  for (;;) {
    int32_t status = 0;
    long pid = SYS4(wait4, -1, &status, WAIT_NO_HANG, 0);
    if (pid == -EINTR) continue;
    if (pid <= 0) return;
    if (pid != machine->main_pid) continue;
    if (machine->shared != NULL) {
      machine->shared->status = status;
      machine->shared->status_known = 1;
    }
    for (;;) SYS1(exit_group, exit_code_of(status));
  }
}

void reap_as_init(struct machine *machine) {
  uint64_t all = ~0ULL;
  /* No fd of the engine's stays open in a process that the container can see. */
  SYS3(close_range, 0, ~0U, 0);
  /* Nothing is left to find here, and setns(2) into the namespaces of a process wants one that may be looked into. */
  SYS5(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
  SYS4(rt_sigprocmask, 0 /* SIG_BLOCK */, &all, 0, sizeof all);
  for (;;) {
    struct signal_info info;
    reap(machine);
    long signal = SYS4(rt_sigtimedwait, &all, &info, 0, sizeof all);
    if (signal <= 0 || signal == SIGNAL_CHILD) continue;
    if (signal == SIGNAL_STOPPED_READING || signal == SIGNAL_STOPPED_WRITING) continue;
    /* Whoever is outside shows as pid 0. */
    int32_t target = machine->main_pid;
    if (signal == SIGNAL_FORWARD && info.pid == 0) {
      signal = info.value & (SIGNAL_TO_ALL - 1);
      if (info.value & SIGNAL_TO_ALL) target = -1;
    }
    SYS2(kill, target, signal);
  }
}
