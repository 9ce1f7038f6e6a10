/* Ops on files: written for an agent whose root directory is the tree it works on, so that no path leads out of it. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "ops.h"

#define NAME_SPACE 256
#define DIRECTORY_BUFFER 32768
#define XATTR_SPACE 65536

struct directory_entry {
  uint64_t ino;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

long write_all(int fd, const uint8_t *data, size_t length) {
  size_t done = 0;
  while (done < length) {
    long written = SYS3(write, fd, data + done, length - done);
    if (written == -EINTR) continue;
    if (written < 0) return written;
    done += (size_t)written;
  }
  return 0;
}

long file_write(int directory, const char *path, uint64_t flags, uint32_t mode, const uint8_t *data, size_t length) {
  long fd = SYS4(openat, directory, path, flags | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) return fd;
  long result = write_all((int)fd, data, length);
  long closed = SYS1(close, fd);
  return result < 0 ? result : closed;
}

long file_chmod(const char *path, uint32_t mode) {
  struct statx about;
  long result = SYS5(statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &about);
  if (result < 0) return result;
  /* fchmodat(2) follows links, and a link's own mode means nothing. */
  if ((about.stx_mode & S_IFMT) == S_IFLNK) return -EOPNOTSUPP;
  return SYS3(fchmodat, AT_FDCWD, path, mode);
}

static int append_u32(struct buffer *out, uint32_t value) { return buffer_append(out, &value, sizeof value); }

static int append_text(struct buffer *out, const void *data, size_t length) {
  int failed = append_u32(out, (uint32_t)length);
  return failed ? failed : buffer_append(out, data, length);
}

static long append_xattrs(const char *path, struct buffer *out) {
  static char names[XATTR_SPACE];
  static uint8_t value[XATTR_SPACE];
  long length = SYS3(llistxattr, path, names, sizeof names);
  if (length == -EOPNOTSUPP || length == -EACCES || length == -EPERM) length = 0;
  if (length < 0) return length;
  size_t count_at = out->length;
  uint32_t count = 0;
  int failed = append_u32(out, 0);
  if (failed) return failed;
  for (long at = 0; at < length; at += (long)text_length(names + at) + 1) {
    long size = SYS4(lgetxattr, path, names + at, value, sizeof value);
    if (size == -ENODATA || size == -EOPNOTSUPP || size == -EPERM) continue;
    if (size < 0) return size;
    failed = append_text(out, names + at, text_length(names + at));
    if (failed) return failed;
    failed = append_text(out, value, (size_t)size);
    if (failed) return failed;
    count += 1;
  }
  uint8_t *to = out->data + count_at;
  for (int byte = 0; byte < 4; byte += 1) to[byte] = (uint8_t)(count >> (8 * byte));
  return 0;
}

/* `path` is relative to the working directory. The layout is lib/sys/records.ts'. */
static long append_record(const char *path, const char *name, struct buffer *out) {
  static char target[4096];
  struct statx about;
  long result = SYS5(statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &about);
  if (result < 0) return result;
  long target_length = 0;
  if ((about.stx_mode & S_IFMT) == S_IFLNK) {
    target_length = SYS4(readlinkat, AT_FDCWD, path, target, sizeof target);
    if (target_length < 0) return target_length;
  }
  struct __attribute__((packed)) {
    uint32_t mode, uid, gid, nlink;
    uint64_t size, ino, dev;
    int64_t mtime;
    uint32_t nanoseconds, major, minor;
  } head = {
      .mode = about.stx_mode,
      .uid = about.stx_uid,
      .gid = about.stx_gid,
      .nlink = about.stx_nlink,
      .size = about.stx_size,
      .ino = about.stx_ino,
      .dev = ((uint64_t)about.stx_dev_major << 32) | about.stx_dev_minor,
      .mtime = about.stx_mtime.tv_sec,
      .nanoseconds = about.stx_mtime.tv_nsec,
      .major = about.stx_rdev_major,
      .minor = about.stx_rdev_minor,
  };
  int failed = buffer_append(out, &head, sizeof head);
  if (!failed) failed = append_text(out, name, text_length(name));
  if (!failed) failed = append_text(out, target, (size_t)target_length);
  return failed ? failed : append_xattrs(path, out);
}

long file_stat(const char *path, struct buffer *out) { return append_record(path, "", out); }

static int is_dot(const char *name) { return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')); }

/* What getdents64(2) gave last. */
static uint8_t directory_entries[DIRECTORY_BUFFER] __attribute__((aligned(8)));

struct listing {
  struct buffer *out;
  size_t start;
  size_t most; /* bytes of records */
};

typedef long (*entry_function)(const struct listing *listing, const char *name);

/* Calls `take` with each name until it gives another number than 0, which is then the result. */
static long each_entry(long directory, entry_function take, const struct listing *listing) {
  for (;;) {
    long length = SYS3(getdents64, directory, directory_entries, sizeof directory_entries);
    if (length <= 0) return length;
    for (long at = 0; at < length;) {
      struct directory_entry *entry = (struct directory_entry *)(directory_entries + at);
      at += entry->length;
      long result = is_dot(entry->name) ? 0 : take(listing, entry->name);
      if (result != 0) return result;
    }
  }
}

/* The working directory is that of the name: there is no llistxattrat(2) yet, and names are looked at from inside. 1: they took more than `most`. */
static long take_record(const struct listing *listing, const char *name) {
  size_t before = listing->out->length;
  long result = append_record(name, name, listing->out);
  if (result == -ENOENT) {
    /* It has gone since it was listed. */
    listing->out->length = before;
    return 0;
  }
  return result == 0 && listing->out->length - listing->start > listing->most ? 1 : result;
}

static long take_name(const struct listing *listing, const char *name) {
  return buffer_append(listing->out, name, text_length(name) + 1);
}

static long read_names(long directory, const struct listing *listing) {
  int failed = append_u32(listing->out, 0);
  if (failed) return failed;
  long result = SYS3(lseek, directory, 0, 0);
  return result < 0 ? result : each_entry(directory, take_name, listing);
}

long file_list_directory(const char *path, size_t most, struct buffer *out) {
  long back = SYS3(openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (back < 0) return back;
  long directory = SYS3(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  long result = directory;
  if (directory >= 0) {
    struct listing listing = {.out = out, .start = out->length, .most = most};
    result = SYS1(fchdir, directory);
    if (result >= 0) result = each_entry(directory, take_record, &listing);
    if (result > 0) {
      out->length = listing.start;
      result = read_names(directory, &listing);
    }
    SYS1(close, directory);
  }
  SYS1(fchdir, back);
  SYS1(close, back);
  return result < 0 ? result : 0;
}

long file_read_directory(const char *path, struct buffer *out) { return file_list_directory(path, SIZE_MAX, out); }

static void number_name(char *to, uint64_t number) {
  const char prefix[] = ".strake-removed-";
  size_t at = 0;
  while (prefix[at] != '\0') {
    to[at] = prefix[at];
    at += 1;
  }
  for (int shift = 60; shift >= 0; shift -= 4) to[at++] = "0123456789abcdef"[(number >> shift) & 15];
  to[at] = '\0';
}

/* Opens a directory for reading even when its mode forbids that. */
static long open_directory(int at, const char *name) {
  long fd = SYS3(openat, at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd == -EACCES && SYS3(fchmodat, at, name, 0700) == 0)
    fd = SYS3(openat, at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd;
}

/*
 * Empties the directory `fd`: files are unlinked, empty directories removed, and a directory that is not empty is moved up
 * into `top` under a name of ours. So every directory is one level deep when its turn comes: no recursion, two fds, any depth.
 * Returns how many directories were moved, or -errno.
 */
static long empty_one(int top, int fd, uint64_t *counter) {
  uint8_t entries[DIRECTORY_BUFFER] __attribute__((aligned(8)));
  char moved_name[NAME_SPACE];
  long moved = 0;
  for (;;) {
    long length = SYS3(getdents64, fd, entries, sizeof entries);
    if (length < 0) return length;
    if (length == 0) return moved;
    for (long at = 0; at < length;) {
      struct directory_entry *entry = (struct directory_entry *)(entries + at);
      at += entry->length;
      if (is_dot(entry->name)) continue;
      long result = entry->type == 4 ? -EISDIR : SYS3(unlinkat, fd, entry->name, 0);
      if (result == -EACCES && SYS2(fchmod, fd, 0700) == 0) result = SYS3(unlinkat, fd, entry->name, 0);
      if (result == -EISDIR || result == -EPERM) {
        result = SYS3(unlinkat, fd, entry->name, AT_REMOVEDIR);
        if (result == -EACCES && SYS2(fchmod, fd, 0700) == 0) result = SYS3(unlinkat, fd, entry->name, AT_REMOVEDIR);
        if (result == -ENOTEMPTY && fd != top) {
          for (int tries = 0; tries < 1000 && (result == -ENOTEMPTY || result == -EEXIST); tries += 1) {
            number_name(moved_name, (*counter)++);
            result = SYS5(renameat2, fd, entry->name, top, moved_name, RENAME_NOREPLACE);
            /* Moving a directory rewrites its `..`: it must be writable. */
            if (result == -EACCES && SYS3(fchmodat, fd, entry->name, 0700) == 0)
              result = SYS5(renameat2, fd, entry->name, top, moved_name, RENAME_NOREPLACE);
          }
          moved += 1;
        } else if (result == -ENOTEMPTY) {
          long inner = open_directory(fd, entry->name);
          if (inner < 0) return inner;
          result = empty_one(top, (int)inner, counter);
          SYS1(close, inner);
          if (result >= 0) {
            moved += result;
            result = SYS3(unlinkat, fd, entry->name, AT_REMOVEDIR);
          }
        }
      }
      if (result < 0 && result != -ENOENT) return result;
    }
  }
}

long file_remove_tree(const char *path) {
  long result = SYS3(unlinkat, AT_FDCWD, path, 0);
  if (result == 0 || result == -ENOENT) return 0;
  if (result != -EISDIR && result != -EPERM) return result;
  result = SYS3(unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
  if (result == 0) return 0;
  if (result != -ENOTEMPTY && result != -EACCES) return result;
  uint64_t counter = 0;
  for (int idle = 0;;) {
    long top = open_directory(AT_FDCWD, path);
    if (top < 0) return top;
    long moved = empty_one((int)top, (int)top, &counter);
    SYS1(close, top);
    if (moved < 0) return moved;
    result = SYS3(unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
    if (result != -ENOTEMPTY) return result;
    idle = moved == 0 ? idle + 1 : 0;
    if (idle > 100) return result;
  }
}
