#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "values.h"
#include "watch.h"

struct handle {
  struct ring *ring; /* NULL once released */
};

/* A thread of the pool lets go as well. */
void ring_drop(struct ring *ring) {
  if (__atomic_sub_fetch(&ring->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  munmap(ring->data, ring->length);
  free(ring);
}

static void drop_buffer(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  ring_drop(hint);
}

static void drop_handle(napi_env env, void *data, void *hint) {
  struct handle *handle = data;
  (void)env;
  (void)hint;
  if (handle->ring != NULL) ring_drop(handle->ring);
  free(handle);
}

/* A file that can neither shrink nor grow: whoever maps it is never stopped by SIGBUS. */
static int sealed_memfd(size_t length) {
  int fd = memfd_create("strake-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)length) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

napi_value ring_make(napi_env env, napi_callback_info info) {
  napi_value argument;
  arguments_of(env, info, 1, &argument);
  uint32_t length = 0;
  napi_get_value_uint32(env, argument, &length);
  struct ring *ring = malloc(sizeof *ring);
  struct handle *handle = malloc(sizeof *handle);
  int fd = ring == NULL || handle == NULL ? -ENOMEM : sealed_memfd(length);
  void *data = fd < 0 ? MAP_FAILED : mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    int error = fd < 0 ? -fd : errno;
    if (fd >= 0) close(fd);
    free(ring);
    free(handle);
    return number(env, -error);
  }
  *ring = (struct ring){.data = data, .length = length, .references = 2};
  handle->ring = ring;
  napi_value result;
  napi_value external;
  napi_value buffer;
  napi_create_array_with_length(env, 3, &result);
  if (napi_create_external_arraybuffer(env, data, length, drop_buffer, ring, &buffer) != napi_ok) {
    /* Where a Node has no external memory, there is no ring. */
    close(fd);
    ring_drop(ring);
    ring_drop(ring);
    free(handle);
    return number(env, -ENOTSUP);
  }
  napi_create_external(env, handle, drop_handle, NULL, &external);
  watch_own(env, fd);
  napi_set_element(env, result, 0, number(env, fd));
  napi_set_element(env, result, 1, external);
  napi_set_element(env, result, 2, buffer);
  return result;
}

static struct handle *handle_of(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  void *data = NULL;
  napi_typeof(env, value, &type);
  if (type == napi_external) napi_get_value_external(env, value, &data);
  return data;
}

napi_value ring_release(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  arguments_of(env, info, 2, arguments);
  struct handle *handle = handle_of(env, arguments[0]);
  if (handle == NULL || handle->ring == NULL) return NULL;
  napi_detach_arraybuffer(env, arguments[1]);
  ring_drop(handle->ring);
  handle->ring = NULL;
  return NULL;
}

struct ring *ring_hold(napi_env env, napi_value value) {
  struct handle *handle = handle_of(env, value);
  if (handle == NULL || handle->ring == NULL) return NULL;
  __atomic_add_fetch(&handle->ring->references, 1, __ATOMIC_RELAXED);
  return handle->ring;
}
