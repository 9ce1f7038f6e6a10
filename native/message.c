/* Replies to the owner, and growing buffers. */
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/socket.h>
#include <linux/time_types.h>
#include <linux/uio.h>

#include "message.h"
#include "ops.h"

#define BUFFER_STEP 65536UL
/* Nanoseconds: a reply that cannot be sent for want of memory is tried again for so long, after pauses from the first on that double. */
#define SEND_PATIENCE 2000000000LL
#define SEND_FIRST_PAUSE 1000000LL
#define SEND_LONGEST_PAUSE 50000000LL

int buffer_append(struct buffer *buffer, const void *data, size_t length) {
  if (buffer->length + length > buffer->capacity) {
    size_t wanted = buffer->capacity * 2;
    while (wanted < buffer->length + length || wanted < BUFFER_STEP) wanted = wanted < BUFFER_STEP ? BUFFER_STEP : wanted * 2;
    long memory = buffer->data == NULL
                      ? SYS6(mmap, 0, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      : SYS4(mremap, buffer->data, buffer->capacity, wanted, MREMAP_MAYMOVE);
    if (memory < 0 && memory > -4096) return (int)memory;
    buffer->data = (uint8_t *)memory;
    buffer->capacity = wanted;
  }
  const uint8_t *from = data;
  for (size_t at = 0; at < length; at += 1) buffer->data[buffer->length + at] = from[at];
  buffer->length += length;
  return 0;
}

void buffer_free(struct buffer *buffer) {
  if (buffer->data != NULL) SYS2(munmap, buffer->data, buffer->capacity);
  buffer->data = NULL;
  buffer->length = 0;
  buffer->capacity = 0;
}

long message_send(int channel, const struct iovec *parts, size_t count, const int32_t *fds, size_t fd_count, int32_t pid) {
  union {
    struct control_header header;
    uint8_t bytes[CONTROL_SPACE(MAX_FDS * sizeof(int32_t)) + CONTROL_SPACE(sizeof(struct credentials))];
  } control;
  struct message_header message = {.parts = parts, .part_count = count};
  size_t used = 0;
  if (fd_count > 0) {
    struct control_header *header = (struct control_header *)(control.bytes + used);
    header->length = CONTROL_LENGTH(fd_count * sizeof(int32_t));
    header->level = LEVEL_SOCKET;
    header->type = CONTROL_RIGHTS;
    int32_t *to = (int32_t *)(header + 1);
    for (size_t at = 0; at < fd_count; at += 1) to[at] = fds[at];
    used += CONTROL_SPACE(fd_count * sizeof(int32_t));
  }
  if (pid > 0) {
    struct control_header *header = (struct control_header *)(control.bytes + used);
    header->length = CONTROL_LENGTH(sizeof(struct credentials));
    header->level = LEVEL_SOCKET;
    header->type = CONTROL_CREDENTIALS;
    struct credentials *to = (struct credentials *)(header + 1);
    to->pid = pid;
    to->uid = (uint32_t)SYS0(getuid);
    to->gid = (uint32_t)SYS0(getgid);
    used += CONTROL_SPACE(sizeof(struct credentials));
  }
  if (used > 0) {
    message.control = control.bytes;
    message.control_length = used;
  }
  long result;
  do result = SYS3(sendmsg, channel, &message, NO_SIGNAL);
  while (result == -EINTR);
  return result < 0 ? result : 0;
}

/* The kernel has no memory for the message just now, or this user has more fds on their way than it may have open (unix(7)). */
static int is_passing(long error) { return error == -ENOBUFS || error == -ENOMEM || error == -EAGAIN || error == -ETOOMANYREFS; }

static long send_patiently(int channel, const struct iovec *parts, const int32_t *fds, size_t fd_count, int32_t pid) {
  long long pause = SEND_FIRST_PAUSE;
  long long waited = 0;
  for (;;) {
    long result = message_send(channel, parts, 2, fds, fd_count, pid);
    if (!is_passing(result) || waited >= SEND_PATIENCE) return result;
    struct __kernel_timespec time = {0, pause};
    SYS2(nanosleep, &time, 0);
    waited += pause;
    pause = pause * 2 < SEND_LONGEST_PAUSE ? pause * 2 : SEND_LONGEST_PAUSE;
  }
}

int reply_send(int channel, uint32_t type, uint32_t id, int32_t value, uint32_t extra, const void *payload, size_t length, int fd,
               int32_t pid) {
  struct reply_header header = {.type = type, .id = id, .length = (uint32_t)length, .value = value, .extra = extra};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)(uintptr_t)payload, length}};
  int32_t fds[1] = {fd};
  int32_t large = -1;
  if (length > MAX_MESSAGE - sizeof header) {
    /* A reply that fits no packet travels in a memfd. */
    large = (int32_t)SYS2(memfd_create, "strake-reply", 1 /* MFD_CLOEXEC */);
    if (large < 0) return large;
    long written = write_all(large, payload, length);
    if (written < 0) {
      SYS1(close, large);
      return (int)written;
    }
    header.flags = FLAG_LARGE;
    parts[1].iov_len = 0;
    fds[0] = large;
  }
  long result = send_patiently(channel, parts, fds, fds[0] >= 0 ? 1 : 0, pid);
  if (large >= 0) SYS1(close, large);
  return (int)result;
}
