/* Ops on files; what takes more than a call or two is in files.c. */
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "fields.h"

/* The length of bytes that follow stands before them. */
static long result_ends(struct machine *machine, size_t length_at, long result) {
  if (result < 0) return result;
  uint32_t length = (uint32_t)(machine->results.length - length_at - sizeof length);
  for (int byte = 0; byte < 4; byte += 1) machine->results.data[length_at + byte] = (uint8_t)(length >> (8 * byte));
  return 0;
}

static long result_bytes(struct machine *machine, long (*produce)(const char *, struct buffer *), const char *path) {
  size_t length_at = machine->results.length;
  uint32_t length = 0;
  int failed = buffer_append(&machine->results, &length, sizeof length);
  return failed ? failed : result_ends(machine, length_at, produce(path, &machine->results));
}

static long op_list_dir(struct machine *machine, const char *path, size_t most) {
  size_t length_at = machine->results.length;
  uint32_t length = 0;
  int failed = buffer_append(&machine->results, &length, sizeof length);
  return failed ? failed : result_ends(machine, length_at, file_list_directory(path, most, &machine->results));
}

static long op_sync_fs(const char *path) {
  long fd = SYS3(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  long result = SYS1(syncfs, fd);
  SYS1(close, fd);
  return result;
}

static uint64_t device_number(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | ((uint64_t)(major & 0xfff) << 8) | ((uint64_t)(minor & ~0xffU) << 12);
}

long run_file_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_MKDIR: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      return CHECKED(SYS3(mkdirat, fd, path, mode));
    }
    case OP_MKNOD: {
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      uint32_t major = u32(fields);
      uint32_t minor = u32(fields);
      return CHECKED(SYS4(mknodat, AT_FDCWD, path, mode, device_number(major, minor)));
    }
    case OP_SYMLINK: {
      const char *target = text(fields);
      const char *path = text(fields);
      return CHECKED(SYS3(symlinkat, target, AT_FDCWD, path));
    }
    case OP_LINK: {
      const char *from = text(fields);
      const char *path = text(fields);
      return CHECKED(SYS5(linkat, AT_FDCWD, from, AT_FDCWD, path, 0));
    }
    case OP_RENAME: {
      const char *from = text(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS5(renameat2, AT_FDCWD, from, AT_FDCWD, path, flags));
    }
    case OP_UNLINK: {
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS3(unlinkat, AT_FDCWD, path, flags));
    }
    case OP_REMOVE_TREE: {
      const char *path = text(fields);
      return CHECKED(file_remove_tree(path));
    }
    case OP_WRITE: {
      const char *path = text(fields);
      uint64_t flags = open_flags(u64(fields));
      uint32_t mode = u32(fields);
      size_t length;
      const uint8_t *data = bytes(fields, &length);
      return CHECKED(file_write(AT_FDCWD, path, flags, mode, data, length));
    }
    case OP_TRUNCATE: {
      const char *path = text(fields);
      uint64_t size = u64(fields);
      return CHECKED(SYS2(truncate, path, size));
    }
    case OP_CHMOD: {
      const char *path = text(fields);
      uint32_t mode = u32(fields);
      return CHECKED(file_chmod(path, mode));
    }
    case OP_CHOWN: {
      const char *path = text(fields);
      uint32_t uid = u32(fields);
      uint32_t gid = u32(fields);
      return CHECKED(SYS5(fchownat, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW));
    }
    case OP_SET_TIMES: {
      const char *path = text(fields);
      int64_t times[4];
      times[0] = (int64_t)u64(fields);
      times[1] = u32(fields);
      times[2] = (int64_t)u64(fields);
      times[3] = u32(fields);
      return CHECKED(SYS4(utimensat, AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
    }
    case OP_SET_XATTR: {
      const char *path = text(fields);
      const char *name = text(fields);
      size_t length;
      const uint8_t *value = bytes(fields, &length);
      return CHECKED(SYS5(lsetxattr, path, name, value, length, 0));
    }
    case OP_REMOVE_XATTR: {
      const char *path = text(fields);
      const char *name = text(fields);
      return CHECKED(SYS2(lremovexattr, path, name));
    }
    case OP_SYNC_FS: {
      const char *path = text(fields);
      return CHECKED(op_sync_fs(path));
    }
    case OP_STAT: {
      const char *path = text(fields);
      return CHECKED(result_bytes(machine, file_stat, path));
    }
    case OP_READ_DIR: {
      const char *path = text(fields);
      return CHECKED(result_bytes(machine, file_read_directory, path));
    }
    case OP_LIST_DIR: {
      const char *path = text(fields);
      uint32_t most = u32(fields);
      return CHECKED(op_list_dir(machine, path, most));
    }
    case OP_MAP_RING: {
      int fd = descriptor(fields);
      uint64_t length = u64(fields);
      return CHECKED(ring_map(machine, fd, length));
    }
    case OP_PUT: {
      struct put put = {.path = text(fields)};
      put.begins = u32(fields);
      put.ends = u32(fields);
      put.at = u64(fields);
      put.offset = u64(fields);
      put.length = u32(fields);
      put.size = u64(fields);
      put.mode = u32(fields);
      put.uid = u32(fields);
      put.gid = u32(fields);
      put.mtime = (int64_t)u64(fields);
      put.nanoseconds = u32(fields);
      return CHECKED(file_put(machine, &put));
    }
    default:
      return run_descriptor_op(machine, code, fields);
  }
}
