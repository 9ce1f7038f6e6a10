#include "fields.h"

#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/openat2.h>

#define OPEN_ATTEMPTS 10000

const uint8_t *take(struct fields *fields, size_t length) {
  if (fields->bad || (size_t)(fields->end - fields->at) < length) {
    fields->bad = 1;
    return NULL;
  }
  const uint8_t *from = fields->at;
  fields->at += length;
  return from;
}

static uint64_t take_number(struct fields *fields, size_t size) {
  const uint8_t *from = take(fields, size);
  uint64_t value = 0;
  if (from == NULL) return 0;
  for (size_t byte = 0; byte < size; byte += 1) value |= (uint64_t)from[byte] << (8 * byte);
  return value;
}

uint32_t u32(struct fields *fields) { return (uint32_t)take_number(fields, 4); }
int32_t i32(struct fields *fields) { return (int32_t)(uint32_t)take_number(fields, 4); }
uint64_t u64(struct fields *fields) { return take_number(fields, 8); }

const uint8_t *bytes(struct fields *fields, size_t *length) {
  *length = u32(fields);
  return take(fields, *length);
}

/* A string is sent with its length and a NUL. */
const char *text(struct fields *fields) {
  size_t length = u32(fields);
  const uint8_t *from = take(fields, length + 1);
  if (from == NULL || from[length] != '\0') {
    fields->bad = 1;
    return "";
  }
  return (const char *)from;
}

/* An array of strings with NULL at its end, mapped; it is never unmapped: what takes one is about to exec. */
const char **texts(struct fields *fields) {
  uint32_t count = u32(fields);
  if (fields->bad || count > (size_t)(fields->end - fields->at)) {
    fields->bad = 1;
    return NULL;
  }
  long memory = SYS6(mmap, 0, (count + 1UL) * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory < 0 && memory > -4096) {
    fields->bad = 1;
    return NULL;
  }
  const char **list = (const char **)memory;
  for (uint32_t at = 0; at < count; at += 1) list[at] = text(fields);
  return list;
}

/* A slot's file descriptor; -1 on the wire is AT_FDCWD. */
int descriptor(struct fields *fields) {
  int32_t slot = i32(fields);
  if (slot == -1) return AT_FDCWD;
  if (slot < 0 || slot >= SLOTS || fields->machine->slots[slot] < 0) {
    fields->bad = 1;
    return -1;
  }
  return fields->machine->slots[slot];
}

long fill(struct machine *machine, int32_t slot, long fd) {
  if (fd < 0) return fd;
  if (slot < 0 || slot >= SLOTS) {
    SYS1(close, fd);
    return -EINVAL;
  }
  if (machine->slots[slot] >= 0) SYS1(close, machine->slots[slot]);
  machine->slots[slot] = (int32_t)fd;
  return 0;
}

uint64_t open_flags(uint64_t flags) {
#ifdef __aarch64__
  uint64_t others = flags & ~0x30000ULL;
  return others | (flags & 0x10000 ? O_DIRECTORY : 0) | (flags & 0x20000 ? O_NOFOLLOW : 0);
#else
  return flags;
#endif
}

/* A `..` of a path that is kept below its root cannot be followed safely while anything anywhere is renamed or mounted: EAGAIN then asks to
 * be called again. Several hundred starts a second do both all the time. */
long open_resolved(int fd, const char *path, void *how, size_t size) {
  const struct open_how *given = how;
  int may_race = (given->resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) != 0 && (given->resolve & RESOLVE_CACHED) == 0;
  for (int attempt = 1;; attempt += 1) {
    long opened = SYS4(openat2, fd, path, how, size);
    if (opened != -EAGAIN || !may_race || attempt >= OPEN_ATTEMPTS) return opened;
  }
}
