/* A child in a user namespace of its own: cloned by the namespace's owner, its id maps written from here, where the rights for it are. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "agent.h"
#include "fields.h"

#define RESOURCE_PROCESSES 6 /* RLIMIT_NPROC; <linux/resource.h> pulls in the libc's headers */
#define UNCHANGED 0xffffffffU

struct users {
  const char *uid_map;
  const char *gid_map;
  uint32_t owner;
  uint64_t processes;
};

struct limit {
  uint64_t soft, hard;
};

/* The first op of a program whose clone makes a user namespace. Without one the namespace stays unmapped. */
static int read_users(const uint8_t *ops, size_t length, struct users *users) {
  struct op_header header;
  if (length < sizeof header) return 0;
  copy_bytes(&header, ops, sizeof header);
  if (header.code != OP_USERNS || header.length > length - sizeof header) return 0;
  struct fields fields = {.at = ops + sizeof header, .end = ops + sizeof header + header.length};
  users->uid_map = text(&fields);
  users->gid_map = text(&fields);
  users->owner = u32(&fields);
  users->processes = u64(&fields);
  return !fields.bad;
}

/* Becomes the owner, for the clone. The kernel counts a namespace's processes to its owner in the namespace around it, whoever they are
 * inside, and remembers the RLIMIT_NPROC of its maker as the bound of that count (user_namespaces(7), the kernel's ucount.c). */
static long become_owner(const struct users *users, const struct limit *before) {
  long result = 0;
  if (users->processes != 0) {
    struct limit limit = {users->processes < before->hard ? users->processes : before->hard, before->hard};
    result = SYS4(prlimit64, 0, RESOURCE_PROCESSES, &limit, 0);
  }
  if (result == 0 && users->owner != 0) result = SYS3(setresuid, UNCHANGED, users->owner, UNCHANGED);
  /* The maps of what is not dumpable belong to the root of the host. */
  return result < 0 ? result : SYS5(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void become_self(const struct users *users, const struct limit *before, long dumpable) {
  if (users->owner != 0) SYS3(setresuid, UNCHANGED, 0, UNCHANGED);
  if (users->processes != 0) SYS4(prlimit64, 0, RESOURCE_PROCESSES, before, 0);
  SYS5(prctl, PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

static long write_map(int32_t pid, const char *name, const char *map) {
  char path[40] = "/proc/";
  char digits[12];
  size_t count = 0;
  size_t at = 6;
  for (uint32_t rest = (uint32_t)pid; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
  while (count > 0) path[at++] = digits[--count];
  for (size_t each = 0; name[each] != '\0'; each += 1) path[at++] = name[each];
  return file_write(AT_FDCWD, path, O_WRONLY, 0, (const uint8_t *)map, text_length(map));
}

long clone_child(const struct program_header *program, const uint8_t *ops, size_t length, struct shared *shared) {
  struct clone_args arguments = {.flags = program->clone, .exit_signal = SIGNAL_CHILD};
  struct users users;
  struct limit before = {0, 0};
  if (program->clone & ~NEW_NAMESPACES) return -EINVAL;
  if (!(program->clone & CLONE_NEWUSER) || !read_users(ops, length, &users)) return SYS2(clone3, &arguments, sizeof arguments);
  long dumpable = SYS5(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
  if (users.processes != 0) SYS4(prlimit64, 0, RESOURCE_PROCESSES, 0, &before);
  long pid = become_owner(&users, &before);
  if (pid == 0) {
    pid = SYS2(clone3, &arguments, sizeof arguments);
    if (pid == 0) return 0;
  }
  become_self(&users, &before, dumpable);
  if (pid < 0) return pid;
  long result = write_map((int32_t)pid, "/uid_map", users.uid_map);
  if (result >= 0) result = write_map((int32_t)pid, "/gid_map", users.gid_map);
  __atomic_store_n(&shared->users, result < 0 ? (int32_t)result : 1, __ATOMIC_RELEASE);
  SYS6(futex, &shared->users, FUTEX_WAKE, 1, 0, 0, 0);
  return pid;
}
