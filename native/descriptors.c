/* Descriptors of Node's side: pipes, memfds, locks, and the messages to and from an agent. */
#define _GNU_SOURCE
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops.h"
#include "values.h"
#include "watch.h"

/* channel() → [this side: non-blocking, told of the sender's pid; the other side]. */
napi_value descriptor_channel(napi_env env, napi_callback_info info) {
  (void)info;
  int pair[2];
  int one = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return pair_of(env, -errno, 0);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  watch_own(env, pair[0]);
  watch_own(env, pair[1]);
  return pair_of(env, pair[0], pair[1]);
}

/*
 * pipe(nonBlockingSide) → [read, write]; the side given (0 or 1) does not block. Whoever has an end may open it anew through /proc (/dev/stdout),
 * whichever user of whichever user namespace that is: nobody else can name it.
 */
napi_value descriptor_pipe(napi_env env, napi_callback_info info) {
  napi_value argument;
  int pair[2];
  arguments_of(env, info, 1, &argument);
  int side = int_of(env, argument);
  if (pipe2(pair, O_CLOEXEC) < 0) return pair_of(env, -errno, 0);
  if (side == 0 || side == 1) fcntl(pair[side], F_SETFL, O_NONBLOCK);
  fchmod(pair[0], 0666);
  watch_own(env, pair[0]);
  watch_own(env, pair[1]);
  return pair_of(env, pair[0], pair[1]);
}

/* dup(fd) → another fd of the same file, or -errno: one fd cannot be watched twice. */
napi_value descriptor_duplicate(napi_env env, napi_callback_info info) {
  napi_value argument;
  arguments_of(env, info, 1, &argument);
  int fd = fcntl(int_of(env, argument), F_DUPFD_CLOEXEC, 3);
  watch_own(env, fd);
  return number(env, fd < 0 ? -errno : fd);
}

/* memfd(name, bytes, sealed) → fd or -errno. */
napi_value descriptor_memfd(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  char name[64] = "";
  uint8_t *data;
  size_t length;
  size_t copied;
  bool sealed = false;
  arguments_of(env, info, 3, arguments);
  napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &copied);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  napi_get_value_bool(env, arguments[2], &sealed);
  int fd = memfd_create(name, MFD_CLOEXEC | (sealed ? MFD_ALLOW_SEALING : 0));
  if (fd < 0) return number(env, -errno);
  long written = write_all(fd, data, length);
  if (written == 0 && sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) written = -errno;
  if (written < 0) {
    close(fd);
    return number(env, (double)written);
  }
  watch_own(env, fd);
  return number(env, fd);
}

/* read(fd, bytes) → count, 0 at the end, or -errno. */
napi_value descriptor_read(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  ssize_t count = read(int_of(env, arguments[0]), data, length);
  return number(env, count < 0 ? -errno : (double)count);
}

/* write(fd, bytes) → count or -errno. */
napi_value descriptor_write(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint8_t *data;
  size_t length;
  arguments_of(env, info, 2, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  ssize_t count = write(int_of(env, arguments[0]), data, length);
  return number(env, count < 0 ? -errno : (double)count);
}

/* flock(fd, operation) → 0 or errno. */
napi_value descriptor_lock(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  arguments_of(env, info, 2, arguments);
  int result = flock(int_of(env, arguments[0]), int_of(env, arguments[1]));
  return number(env, result < 0 ? errno : 0);
}

/* send(channel, bytes, fds) → 0 or errno. */
napi_value descriptor_send(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  uint8_t *data;
  size_t length;
  int32_t fds[MAX_FDS];
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof fds)];
  } control = {0};
  arguments_of(env, info, 3, arguments);
  if (bytes_of(env, arguments[1], &data, &length) < 0) return NULL;
  size_t fd_count = fds_of(env, arguments[2], fds);
  struct iovec part = {data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd_count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int32_t));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int32_t));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int32_t));
  }
  ssize_t result = sendmsg(int_of(env, arguments[0]), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return number(env, result < 0 ? errno : 0);
}

/* receive(channel) → [type, id, flags, length, value, extra, payload, pid, fds], undefined when there is none, null at the end. */
napi_value descriptor_receive(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct reply_header header;
  uint8_t payload[MAX_MESSAGE];
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(MAX_FDS * sizeof(int32_t)) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  arguments_of(env, info, 1, &argument);
  struct iovec parts[2] = {{&header, sizeof header}, {payload, sizeof payload}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length = recvmsg(int_of(env, argument), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return NULL;
  napi_value result;
  if (length < (ssize_t)sizeof header) {
    napi_get_null(env, &result);
    return result;
  }
  napi_create_array_with_length(env, 9, &result);
  napi_set_element(env, result, 0, number(env, header.type));
  napi_set_element(env, result, 1, number(env, header.id));
  napi_set_element(env, result, 2, number(env, header.flags));
  napi_set_element(env, result, 3, number(env, header.length));
  napi_set_element(env, result, 4, number(env, header.value));
  napi_set_element(env, result, 5, number(env, header.extra));
  size_t rest = (size_t)length - sizeof header;
  if (rest > 0) {
    napi_value bytes;
    napi_create_buffer_copy(env, rest, payload, NULL, &bytes);
    napi_set_element(env, result, 6, bytes);
  }
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof sender);
      napi_set_element(env, result, 7, number(env, sender.pid));
    } else if (part->cmsg_type == SCM_RIGHTS) {
      size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t);
      napi_value list;
      napi_create_array(env, &list);
      for (size_t at = 0; at < count; at += 1) {
        int32_t fd;
        memcpy(&fd, CMSG_DATA(part) + at * sizeof fd, sizeof fd);
        napi_set_element(env, list, (uint32_t)at, number(env, fd));
        watch_own(env, fd);
      }
      napi_set_element(env, result, 8, list);
    }
  }
  return result;
}
