/* The interpreter: carries out the ops of native/ops.json, one system call or a few each. No policy. */
#ifndef STRAKE_OPS_H
#define STRAKE_OPS_H

#include <stdint.h>

#include "ops.gen.h"
#include "protocol.h"
#include "sys.h"

/* A page that a child shares with the agent that started it. */
struct shared {
  int32_t handoff;       /* a child made with CLONE_PARENT, which the agent watches in its stead */
  int32_t status_known;  /* `init` wrote how the main child ended */
  int32_t status;        /* as wait4(2) tells it */
  int32_t users;         /* the agent wrote the id maps: 1, or -errno */
};

struct buffer {
  uint8_t *data;
  size_t length;
  size_t capacity;
};

struct machine {
  int channel;           /* to the owner: failures, starts and fds go there; -1: kept in the machine */
  uint32_t id;
  int32_t slots[SLOTS];
  int32_t main_pid;      /* of the latest `fork` with `main` */
  struct shared *shared; /* or NULL */
  struct buffer results;
  uint32_t failed_index;
  int failed_errno;
  int reported;          /* the failure was told to the owner */
  int in_vm_child;
  uint32_t fault_index;
  uint32_t fault_errno;
  int keep_fds;          /* `sendFd` notes the slot's fd here instead of sending */
  int kept[MAX_FDS];
  int kept_count;
  int32_t (*find_child)(uint32_t id);
  void (*serve)(int fd);
  const uint8_t *ring; /* what `mapRing` has mapped, or NULL */
  size_t ring_length;
  int32_t file; /* the one that `put` writes, or -1 */
};

void machine_start(struct machine *machine, int channel, uint32_t id);

/* 0, or -errno of the first op that failed (failed_index, failed_errno tell which). */
int ops_run(struct machine *machine, const uint8_t *ops, size_t length);

/* Runs ops as a child does: never returns. A failure is reported; the end of the ops is exit 0. */
void ops_run_and_exit(struct machine *machine, const uint8_t *ops, size_t length) __attribute__((noreturn));

int buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_free(struct buffer *buffer);

/* Sends one reply; `fd` is -1 for none, `pid` 0 for the sender's own credentials. 0 or -errno. */
int reply_send(int channel, uint32_t type, uint32_t id, int32_t value, uint32_t extra, const void *payload, size_t length, int fd,
               int32_t pid);

/* files.c */
long file_write(int directory, const char *path, uint64_t flags, uint32_t mode, const uint8_t *data, size_t length);
long write_all(int fd, const uint8_t *data, size_t length);
long file_remove_tree(const char *path);
long file_stat(const char *path, struct buffer *out);
long file_read_directory(const char *path, struct buffer *out);
/* The records where they take at most `most` bytes, else a u32 that is 0 and the names, each with its NUL. */
long file_list_directory(const char *path, size_t most, struct buffer *out);
long file_chmod(const char *path, uint32_t mode);

/* put.c */
struct put {
  const char *path;
  uint32_t begins, ends;
  uint64_t at, offset;
  uint32_t length;
  uint64_t size;
  uint32_t mode, uid, gid;
  int64_t mtime;
  uint32_t nanoseconds;
};
long ring_map(struct machine *machine, int fd, uint64_t length);
long file_put(struct machine *machine, const struct put *put);

/* reap.c */
void reap_as_init(struct machine *machine) __attribute__((noreturn));

#define SIGNAL_FORWARD 64 /* SIGRTMAX: its value is the signal that `init` passes on … */
#define SIGNAL_TO_ALL 256 /* … to every process of the pid namespace (of a child without init: of its process group), where this is added */

#endif
