/* Ops on mounts. */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

#include "fields.h"

static long op_attach(int from, const char *from_path, int root, const char *path, uint64_t resolve) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
  long to = open_resolved(root, path, &how, sizeof how);
  int is_link = to == -ENOENT;
  if (is_link) {
    /* A link whose target is not there (systemd's resolv.conf): what is mounted takes the place of the link itself. */
    how.flags |= O_NOFOLLOW;
    to = open_resolved(root, path, &how, sizeof how);
  }
  if (to < 0) return to;
  uint32_t flags = MOVE_MOUNT_T_EMPTY_PATH | (from_path[0] == '\0' ? MOVE_MOUNT_F_EMPTY_PATH : 0);
  long result = SYS5(move_mount, from, from_path, to, "", flags);
  SYS1(close, to);
  return is_link && result < 0 ? -ENOENT : result;
}

long run_mount_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_MOUNT: {
      const char *source = text(fields);
      const char *target = text(fields);
      const char *type = text(fields);
      uint64_t flags = u64(fields);
      const char *data = text(fields);
      return CHECKED(SYS5(mount, source, target, type[0] ? type : NULL, flags, data[0] ? data : NULL));
    }
    case OP_UMOUNT: {
      const char *target = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS2(umount2, target, flags));
    }
    case OP_PIVOT_ROOT: {
      const char *new_root = text(fields);
      const char *put_old = text(fields);
      return CHECKED(SYS2(pivot_root, new_root, put_old));
    }
    case OP_CHROOT: {
      const char *path = text(fields);
      return CHECKED(SYS1(chroot, path));
    }
    case OP_CHDIR: {
      const char *path = text(fields);
      return CHECKED(SYS1(chdir, path));
    }
    case OP_FCHDIR: {
      int fd = descriptor(fields);
      return CHECKED(SYS1(fchdir, fd));
    }
    case OP_FSOPEN: {
      const char *type = text(fields);
      uint32_t flags = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS2(fsopen, type, flags)));
    }
    case OP_FSCONFIG: {
      int fd = descriptor(fields);
      uint32_t command = u32(fields);
      const char *key = text(fields);
      const char *value = text(fields);
      return CHECKED(SYS5(fsconfig, fd, command, key[0] ? key : NULL, command == FSCONFIG_SET_STRING ? value : NULL, 0));
    }
    case OP_FSMOUNT: {
      int fd = descriptor(fields);
      uint32_t flags = u32(fields);
      uint32_t attributes = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS3(fsmount, fd, flags, attributes)));
    }
    case OP_OPEN_TREE: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, SYS3(open_tree, fd, path, flags)));
    }
    case OP_MOVE_MOUNT: {
      int from = descriptor(fields);
      const char *from_path = text(fields);
      int to = descriptor(fields);
      const char *to_path = text(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS5(move_mount, from, from_path, to, to_path, flags));
    }
    case OP_MOUNT_SETATTR: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      uint32_t flags = u32(fields);
      struct mount_attr attributes = {0};
      attributes.attr_set = u64(fields);
      attributes.attr_clr = u64(fields);
      attributes.propagation = u64(fields);
      int userns = descriptor(fields);
      if (userns >= 0) attributes.userns_fd = (uint64_t)userns;
      return CHECKED(SYS5(mount_setattr, fd, path, flags, &attributes, sizeof attributes));
    }
    case OP_ATTACH: {
      int from = descriptor(fields);
      const char *from_path = text(fields);
      int root = descriptor(fields);
      const char *path = text(fields);
      uint64_t resolve = u64(fields);
      return CHECKED(op_attach(from, from_path, root, path, resolve));
    }
    default:
      return run_process_op(machine, code, fields);
  }
}
