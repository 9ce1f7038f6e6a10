/* The loop of a zygote or an agent: carries out what its owner asks for, starts children and tells how they end. */
#include "serve.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/time_types.h>
#include <linux/uio.h>

#include "agent.h"
#include "message.h"

uint8_t packet[MAX_MESSAGE] __attribute__((aligned(8)));
static struct machine own;

void copy_bytes(void *to, const void *from, size_t length) {
  for (size_t at = 0; at < length; at += 1) ((uint8_t *)to)[at] = ((const uint8_t *)from)[at];
}

void *map_memory(size_t length, int flags) {
  long memory = SYS6(mmap, 0, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  return memory < 0 && memory > -4096 ? NULL : (void *)memory;
}

/* Of the request that was received last: were there fds that RLIMIT_NOFILE left no room for? The kernel drops them (unix(7)). */
static int lost_fds;

long receive(int channel, struct request_header *header, int32_t *fds, size_t *fd_count) {
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
  lost_fds = (message.flags & FLAG_CONTROL_CUT) != 0;
  for (size_t at = 0; at + sizeof(struct control_header) <= message.control_length;) {
    struct control_header *part = (struct control_header *)(control.bytes + at);
    if (part->length < sizeof *part) break;
    if (part->level == LEVEL_SOCKET && part->type == CONTROL_RIGHTS) {
      size_t count = (part->length - sizeof *part) / sizeof(int32_t);
      const int32_t *given = (const int32_t *)(part + 1);
      /* The room for other control data could hold a few more than there are places. */
      for (size_t each = 0; each < count; each += 1) {
        if (*fd_count < MAX_FDS) fds[(*fd_count)++] = given[each];
        else SYS1(close, given[each]);
      }
    }
    at += CONTROL_ALIGN(part->length);
  }
  if ((size_t)length < sizeof *header) return -EPROTO;
  /* A payload is in the packet, whole, or in a memfd. */
  if (!(header->flags & FLAG_LARGE) && header->length != (size_t)length - sizeof *header) return -EPROTO;
  return length;
}

static void end_all(void) __attribute__((noreturn));
static void end_all(void) {
  kill_children();
  kill_spares();
  for (;;) SYS1(exit_group, 0);
}

void reply_or_end(uint32_t type, uint32_t id, int32_t value, uint32_t extra, const void *payload, size_t length) {
  if (reply_send(CHANNEL, type, id, value, extra, payload, length, -1, 0) < 0) end_all();
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
  if (result < 0) {
    reply_or_end(REPLY_FAILED, header->id, own.failed_errno ? own.failed_errno : -result, own.failed_index, NULL, 0);
  } else {
    /* Large results travel in a memfd, for which there may be no room. */
    int sent = reply_send(CHANNEL, REPLY_DONE, header->id, 0, 0, own.results.data, own.results.length, -1, 0);
    if (sent < 0) reply_or_end(REPLY_FAILED, header->id, -sent, ~0U, NULL, 0);
  }
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
  int32_t error = lost_fds ? EMFILE : 0;
  if (lost_fds) {
    payload = NULL;
  } else if (header->flags & FLAG_LARGE) {
    payload = NULL;
    error = EPROTO;
    if (fd_count > 0) {
      large = fds[0];
      fds += 1;
      fd_count -= 1;
      /* Reading beyond a file's end would be SIGBUS. */
      long memory = SYS3(lseek, large, 0, 2 /* SEEK_END */) < (long)length ? -EPROTO : SYS6(mmap, 0, length, PROT_READ, MAP_PRIVATE, large, 0);
      if (memory < 0 && memory > -4096) error = (int32_t)-memory;
      else payload = (const uint8_t *)memory;
    }
  }
  if (payload == NULL) {
    if (header->type == REQUEST_START) refuse_start(header->id, error);
    else reply_or_end(REPLY_FAILED, header->id, error, ~0U, NULL, 0);
  } else if (header->type == REQUEST_RUN) {
    run_here(header, payload, length, fds, fd_count);
    closes = 0;
  } else if (header->type == REQUEST_START) {
    start_child(header, payload, length, fds, fd_count);
  } else if (header->type == REQUEST_KILL && length >= sizeof(int32_t)) {
    int32_t signal;
    copy_bytes(&signal, payload, sizeof signal);
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

void serve(int channel) {
  uint64_t child_signal = 1ULL << (SIGNAL_CHILD - 1);
  uint64_t all = ~0ULL;
  /* A copy of another agent carries over what is not its own. */
  forget_children();
  forget_spares();
  machine_start(&own, CHANNEL, 0);
  own.serve = serve;
  if (channel != CHANNEL) SYS3(dup3, channel, CHANNEL, O_CLOEXEC);
  SYS3(fcntl, CHANNEL, F_SETFD, 1 /* FD_CLOEXEC */);
  SYS3(close_range, CHANNEL + 1, ~0U, 0);
  SYS4(rt_sigprocmask, 0 /* SIG_BLOCK */, &all, 0, sizeof all);
  int signals = (int)SYS4(signalfd4, -1, &child_signal, sizeof child_signal, O_CLOEXEC | O_NONBLOCK);
  reply_or_end(REPLY_HELLO, 0, 0, 0, NULL, 0);
  for (;;) {
    struct pollfd watched[2] = {{CHANNEL, POLLIN, 0}, {signals, POLLIN, 0}};
    struct __kernel_timespec at_once = {0, 0};
    long ready = SYS5(ppoll, watched, 2, wants_spare() ? &at_once : NULL, 0, 0);
    if (ready == -EINTR) continue;
    /* An op has lowered RLIMIT_NOFILE to less than these two: nobody would ever be heard, nor the owner's end be seen. */
    if (ready < 0) end_all();
    if (ready == 0) {
      make_spare();
      continue;
    }
    /* POLLNVAL: an op has closed it. Nobody would learn any more how a child ends. */
    if (watched[1].revents & POLLNVAL) end_all();
    if (watched[1].revents & POLLIN) {
      uint8_t info[128];
      SYS3(read, signals, info, sizeof info);
      reap_children();
    }
    /* POLLNVAL: an op has closed it, and nobody would ever be heard. */
    if (watched[0].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) {
      struct request_header header;
      int32_t fds[MAX_FDS];
      size_t fd_count;
      long length = receive(CHANNEL, &header, fds, &fd_count);
      if (length <= 0) end_all();
      dispatch(&header, fds, fd_count);
    }
  }
}
