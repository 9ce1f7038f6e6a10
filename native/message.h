/* sendmsg(2) and recvmsg(2) as the kernel sees them; the libc's headers are not at hand everywhere. */
#ifndef STRAKE_MESSAGE_H
#define STRAKE_MESSAGE_H

#include <linux/uio.h>
#include <stddef.h>
#include <stdint.h>

struct message_header {
  void *name;
  int name_length;
  const struct iovec *parts;
  size_t part_count;
  void *control;
  size_t control_length;
  unsigned int flags;
};

struct control_header {
  size_t length;
  int level;
  int type;
};

struct credentials {
  int32_t pid;
  uint32_t uid;
  uint32_t gid;
};

#define LEVEL_SOCKET 1
#define CONTROL_RIGHTS 1
#define CONTROL_CREDENTIALS 2
#define NO_SIGNAL 0x4000
#define CLOSE_ON_EXEC_RIGHTS 0x40000000
#define FLAG_CONTROL_CUT 8
#define FLAG_CUT 0x20
#define CONTROL_ALIGN(n) (((n) + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1))
#define CONTROL_LENGTH(n) (sizeof(struct control_header) + (n))
#define CONTROL_SPACE(n) CONTROL_ALIGN(CONTROL_LENGTH(n))

/* 0 or -errno; one attempt. */
long message_send(int channel, const struct iovec *parts, size_t count, const int32_t *fds, size_t fd_count, int32_t pid);

#endif
