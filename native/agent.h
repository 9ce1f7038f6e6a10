/* What the parts of an agent share: its children, its spares, its messages. */
#ifndef STRAKE_AGENT_H
#define STRAKE_AGENT_H

#include "ops.h"

#define CHANNEL 3
#define SIGNAL_KILL 9
#define SIGNAL_CONTINUE 18
#define SIGNAL_CHILD 17
#define PAGE 4096
/* CLONE_NEWTIME, NS, CGROUP, UTS, IPC, USER, PID and NET: a child that shared memory or a thread group with the agent would end it. */
#define NEW_NAMESPACES 0x7e020080ULL

void copy_bytes(void *to, const void *from, size_t length);
/* Zeroed memory; `flags`: MAP_PRIVATE or MAP_SHARED. NULL when there is none. */
void *map_memory(size_t length, int flags);

/* The latest message's payload. */
extern uint8_t packet[MAX_MESSAGE];

/* Waits for a message: its length, 0 at the end of the socket, or -errno. */
long receive(int channel, struct request_header *header, int32_t *fds, size_t *fd_count);

/* Sends the owner a reply that it waits for. Where that cannot be done the agent ends, and everything of its with it: the owner learns of that by
 * the socket's end, and would wait for the reply for ever. */
void reply_or_end(uint32_t type, uint32_t id, int32_t value, uint32_t extra, const void *payload, size_t length);

/* private-users.c: clone3(2) for a program; 0 in the child, else its pid or -errno. */
long clone_child(const struct program_header *program, const uint8_t *ops, size_t length, struct shared *shared);

/* children.c */
void start_child(const struct request_header *header, const uint8_t *payload, size_t size, const int32_t *fds, size_t fd_count);
/* Tells the owner that a child could not be made: no op failed, so the index is none. */
void refuse_start(uint32_t id, int32_t error);
void become_child(struct machine *machine, uint32_t id, struct shared *shared, const int32_t *fds, size_t fd_count);
void signal_child(uint32_t id, int32_t signal);
/* What the agent shares with one child is that one's alone: those made later have no such page (madvise(2), MADV_DONTFORK). PID 1 of a
 * container may be looked into and written to by whoever is root in there. */
void keep_from_others(struct shared *shared);
void reap_children(void);
void kill_children(void);
void forget_children(void);
int32_t find_child(uint32_t id);

/* spares.c */
void keep_spares(const struct request_header *header, const uint8_t *payload);
int wants_spare(void);
void make_spare(void);
/* Whether the process that ended was a spare. */
int spare_ended(int32_t pid);
int32_t use_spare(const struct request_header *header, const struct program_header *program, const uint8_t *ops, size_t length,
                  const int32_t *fds, size_t fd_count, struct shared **shared);
void kill_spares(void);
void forget_spares(void);

#endif
