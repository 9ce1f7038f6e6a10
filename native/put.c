/* Files whose content is in a ring that the agent shares with its owner: what is untrusted in them was judged there, here are bounds only. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "ops.h"

#define UNCHANGED 0xffffffffU
#define PLAIN_MODE 0777U

long ring_map(struct machine *machine, int fd, uint64_t length) {
  /* Another process ends with its program, and Node would keep it for ever. */
  if (machine->serve == NULL) return -EPERM;
  /* Reading beyond a file's end would be SIGBUS. */
  long size = SYS3(lseek, fd, 0, 2 /* SEEK_END */);
  if (size < 0) return size;
  if (length == 0 || length > (uint64_t)size) return -EINVAL;
  long memory = SYS6(mmap, 0, length, PROT_READ, MAP_SHARED, fd, 0);
  if (memory < 0 && memory > -4096) return memory;
  if (machine->ring != NULL) SYS2(munmap, machine->ring, machine->ring_length);
  machine->ring = (const uint8_t *)memory;
  machine->ring_length = length;
  return 0;
}

static long make_file(const char *path, uint32_t mode) {
  long flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  long fd = SYS4(openat, AT_FDCWD, path, flags, mode & PLAIN_MODE);
  if (fd != -EEXIST) return fd;
  long removed = SYS3(unlinkat, AT_FDCWD, path, 0);
  return removed < 0 ? removed : SYS4(openat, AT_FDCWD, path, flags, mode & PLAIN_MODE);
}

static long write_from_ring(const struct machine *machine, int fd, const struct put *put) {
  if (put->offset > machine->ring_length || put->length > machine->ring_length - put->offset) return -EFAULT;
  for (uint32_t done = 0; done < put->length;) {
    long written = SYS4(pwrite64, fd, machine->ring + put->offset + done, put->length - done, put->at + done);
    if (written == -EINTR) continue;
    if (written < 0) return written;
    done += (uint32_t)written;
  }
  return 0;
}

/* Owner before mode, which chown(2) takes setuid and setgid off; the time last, which writing changes. */
static long end_file(int fd, const struct put *put) {
  int64_t times[4] = {put->mtime, put->nanoseconds, put->mtime, put->nanoseconds};
  long result = 0;
  if (put->size > put->at + put->length) {
    result = SYS2(ftruncate, fd, put->size);
    if (result == -EINVAL) result = -EFBIG;
  }
  if (result >= 0 && (put->uid != UNCHANGED || put->gid != UNCHANGED)) result = SYS3(fchown, fd, put->uid, put->gid);
  if (result >= 0 && put->mode > PLAIN_MODE) result = SYS2(fchmod, fd, put->mode);
  if (result >= 0) result = SYS4(utimensat, fd, NULL, times, 0);
  return result;
}

long file_put(struct machine *machine, const struct put *put) {
  if (put->begins) {
    if (machine->file >= 0) SYS1(close, machine->file);
    machine->file = (int32_t)make_file(put->path, put->mode);
  }
  int fd = machine->file;
  if (fd < 0) {
    machine->file = -1;
    return put->begins ? fd : -EBADF;
  }
  long result = put->length == 0 ? 0 : write_from_ring(machine, fd, put);
  if (result >= 0 && put->ends) result = end_file(fd, put);
  if (result >= 0 && !put->ends) return 0;
  machine->file = -1;
  long closed = SYS1(close, fd);
  return result < 0 ? result : closed;
}
