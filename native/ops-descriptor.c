/* Ops on file descriptors and terminals. */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>

#include "fields.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

static long op_open_pty(struct machine *machine, const char *path, int32_t master_slot, int32_t slave_slot) {
  long master = SYS4(openat, AT_FDCWD, path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
  if (master < 0) return master;
  int locked = 0;
  long result = SYS3(ioctl, master, TIOCSPTLCK, &locked);
  long slave = result < 0 ? result : SYS3(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) {
    SYS1(close, master);
    return slave;
  }
  result = fill(machine, master_slot, master);
  long other = fill(machine, slave_slot, slave);
  return result < 0 ? result : other;
}

static long op_dup2(int fd, int to) {
  if (fd == to) return SYS3(fcntl, fd, F_SETFD, 0);
  return SYS3(dup3, fd, to, 0);
}

static long op_send_fd(struct machine *machine, int fd, const char *name) {
  if (machine->keep_fds) {
    if (machine->kept_count >= MAX_FDS) return -EMFILE;
    machine->kept[machine->kept_count++] = fd;
    return 0;
  }
  return reply_send(machine->channel, REPLY_FD, machine->id, 0, 0, name, text_length(name), fd, 0);
}

long run_descriptor_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_CONTROL_TERMINAL: {
      int fd = descriptor(fields);
      return CHECKED(SYS3(ioctl, fd, TIOCSCTTY, 0));
    }
    case OP_OPEN_PTY: {
      const char *path = text(fields);
      int32_t master = i32(fields);
      int32_t slave = i32(fields);
      return CHECKED(op_open_pty(machine, path, master, slave));
    }
    case OP_WINDOW_SIZE: {
      int fd = descriptor(fields);
      struct winsize size = {0};
      size.ws_row = (unsigned short)u32(fields);
      size.ws_col = (unsigned short)u32(fields);
      return CHECKED(SYS3(ioctl, fd, TIOCSWINSZ, &size));
    }
    case OP_DUP2: {
      int fd = descriptor(fields);
      int32_t to = i32(fields);
      return CHECKED(op_dup2(fd, to));
    }
    case OP_CLOSE: {
      int fd = descriptor(fields);
      if (fields->bad) return -EINVAL;
      for (int at = 0; at < SLOTS; at += 1)
        if (machine->slots[at] == fd) machine->slots[at] = -1;
      return SYS1(close, fd);
    }
    case OP_CLOSE_RANGE: {
      uint32_t first = u32(fields);
      uint32_t last = u32(fields);
      uint32_t flags = u32(fields);
      return CHECKED(SYS3(close_range, first, last, flags));
    }
    case OP_SEND_FD: {
      int fd = descriptor(fields);
      const char *name = text(fields);
      return CHECKED(op_send_fd(machine, fd, name));
    }
    case OP_OPEN: {
      int fd = descriptor(fields);
      const char *path = text(fields);
      struct open_how how = {0};
      how.flags = open_flags(u64(fields)) | O_CLOEXEC;
      how.mode = u32(fields);
      how.resolve = u64(fields);
      int32_t out = i32(fields);
      return CHECKED(fill(machine, out, open_resolved(fd, path, &how, sizeof how)));
    }
    case OP_WRITE_FD: {
      int fd = descriptor(fields);
      size_t length;
      const uint8_t *data = bytes(fields, &length);
      return CHECKED(write_all(fd, data, length));
    }
    default:
      return run_rights_op(machine, code, fields);
  }
}
