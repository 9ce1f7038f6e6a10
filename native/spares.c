/* Spares: children that have carried out the ops which are the same for all containers, and wait to learn which one they are. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/uio.h>

#include "agent.h"
#include "message.h"

#define MAX_SPARES 8

struct spare {
  int32_t pid;
  int32_t socket;
  struct shared *shared;
};

static struct {
  struct spare spares[MAX_SPARES];
  int count;
  int wanted;
  int fails;
  uint8_t *recipe; /* a program of prepared ops */
  size_t recipe_length;
} state;

static int same(const uint8_t *one, const uint8_t *other, size_t length) {
  for (size_t at = 0; at < length; at += 1)
    if (one[at] != other[at]) return 0;
  return 1;
}

/* A spare: carries out the prepared ops, then waits to learn which container it is. */
static void run_spare(int socket, struct shared *shared) __attribute__((noreturn));
static void run_spare(int socket, struct shared *shared) {
  static struct machine machine;
  struct request_header header;
  int32_t fds[MAX_FDS];
  size_t fd_count;
  become_child(&machine, 0, shared, NULL, 0);
  machine.channel = -1;
  /* The other spares' sockets: a copy that stayed open would keep them waiting when they are dropped. */
  for (int at = 0; at < state.count; at += 1) SYS1(close, state.spares[at].socket);
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

void make_spare(void) {
  int32_t pair[2];
  struct program_header program;
  struct shared *shared = map_memory(PAGE, MAP_SHARED);
  copy_bytes(&program, state.recipe, sizeof program);
  if (shared == NULL || SYS4(socketpair, 1, 5 /* SOCK_SEQPACKET */ | O_CLOEXEC, 0, pair) < 0) {
    if (shared != NULL) SYS2(munmap, shared, PAGE);
    state.fails = 1;
    return;
  }
  long pid = clone_child(&program, state.recipe + sizeof program, state.recipe_length - sizeof program, shared);
  if (pid == 0) run_spare(pair[1], shared);
  SYS1(close, pair[1]);
  if (pid < 0) {
    SYS1(close, pair[0]);
    SYS2(munmap, shared, PAGE);
    state.fails = 1;
    return;
  }
  keep_from_others(shared);
  state.spares[state.count++] = (struct spare){(int32_t)pid, pair[0], shared};
}

static void forget_spare(int at) {
  SYS1(close, state.spares[at].socket);
  SYS2(munmap, state.spares[at].shared, PAGE);
  state.count -= 1;
  for (int next = at; next < state.count; next += 1) state.spares[next] = state.spares[next + 1];
}

static void drop_spare(int at) {
  SYS2(kill, state.spares[at].pid, SIGNAL_KILL);
  forget_spare(at);
}

void keep_spares(const struct request_header *header, const uint8_t *payload) {
  while (state.count > 0) drop_spare(0);
  if (state.recipe != NULL) SYS2(munmap, state.recipe, state.recipe_length);
  state.recipe = NULL;
  state.wanted = 0;
  state.fails = 0;
  if (header->count == 0 || header->length < sizeof(struct program_header)) return;
  state.recipe = map_memory(header->length, MAP_PRIVATE);
  if (state.recipe == NULL) return;
  copy_bytes(state.recipe, payload, header->length);
  state.recipe_length = header->length;
  state.wanted = header->count < MAX_SPARES ? (int)header->count : MAX_SPARES;
}

/* Hands the program to a spare that has carried out its prepared ops; 0 when there is none. */
int32_t use_spare(const struct request_header *header, const struct program_header *program, const uint8_t *ops,
                         size_t length, const int32_t *fds, size_t fd_count, struct shared **shared) {
  struct program_header recipe;
  size_t prepared = program->prepared;
  if (prepared == 0 || prepared > length || state.count == 0 || (header->flags & FLAG_LARGE)) return 0;
  if (header->fault_errno != 0) return 0;
  copy_bytes(&recipe, state.recipe, sizeof recipe);
  if (recipe.clone != program->clone || state.recipe_length - sizeof recipe != prepared) return 0;
  if (!same(state.recipe + sizeof recipe, ops, prepared)) return 0;
  struct request_header forwarded = *header;
  forwarded.length = (uint32_t)(length - prepared);
  struct iovec parts[2] = {{&forwarded, sizeof forwarded}, {(void *)(uintptr_t)(ops + prepared), length - prepared}};
  while (state.count > 0) {
    struct spare spare = state.spares[0];
    long sent = message_send(spare.socket, parts, 2, fds, fd_count, 0);
    if (sent == 0) {
      *shared = spare.shared;
      SYS1(close, spare.socket);
      state.count -= 1;
      for (int next = 0; next < state.count; next += 1) state.spares[next] = state.spares[next + 1];
      return spare.pid;
    }
    drop_spare(0);
  }
  return 0;
}

int wants_spare(void) { return state.count < state.wanted && !state.fails; }

int spare_ended(int32_t pid) {
  for (int at = 0; at < state.count; at += 1) {
    if (state.spares[at].pid != pid) continue;
    /* It failed in the prepared ops: a start without a spare will tell how. */
    forget_spare(at);
    state.fails = 1;
    return 1;
  }
  return 0;
}

void kill_spares(void) {
  for (int at = 0; at < state.count; at += 1) SYS2(kill, state.spares[at].pid, SIGNAL_KILL);
}

void forget_spares(void) {
  for (size_t at = 0; at < sizeof state; at += 1) ((uint8_t *)&state)[at] = 0;
}
