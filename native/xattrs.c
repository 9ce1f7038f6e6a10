/* The xattrs of a file of this machine as the calling user sees them (xattr(7)), which Node has no call for. */
#define _GNU_SOURCE
#include "xattrs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "values.h"

#define MOST_NAMES 65536 /* XATTR_LIST_MAX */
#define MOST_VALUE 65536 /* XATTR_SIZE_MAX */
#define USUAL_NAMES 1024

static void push_text(napi_env env, napi_value list, uint32_t at, const char *text) {
  napi_value value;
  napi_create_string_latin1(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_element(env, list, at, value);
}

static void push_bytes(napi_env env, napi_value list, uint32_t at, const void *data, size_t length) {
  napi_value value;
  napi_create_buffer_copy(env, length, data, NULL, &value);
  napi_set_element(env, list, at, value);
}

/* The names and values of `path`; those that go away meanwhile, or that this user may not read, are left out. */
static napi_value listed(napi_env env, const char *path, const char *names, size_t length) {
  napi_value list;
  uint32_t count = 0;
  uint8_t *value = malloc(MOST_VALUE);
  if (value == NULL) return number(env, -ENOMEM);
  napi_create_array(env, &list);
  for (const char *name = names; name < names + length; name += strlen(name) + 1) {
    ssize_t size = lgetxattr(path, name, value, MOST_VALUE);
    if (size < 0 && (errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM || errno == EACCES)) continue;
    if (size < 0) {
      list = number(env, -errno);
      break;
    }
    push_text(env, list, count, name);
    push_bytes(env, list, count + 1, value, (size_t)size);
    count += 2;
  }
  free(value);
  return list;
}

napi_value xattrs_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  uint8_t *data;
  size_t length;
  char path[PATH_MAX];
  char usual[USUAL_NAMES];
  arguments_of(env, info, 1, &argument);
  if (bytes_of(env, argument, &data, &length) < 0) return NULL;
  if (length >= sizeof path) return number(env, -ENAMETOOLONG);
  memcpy(path, data, length);
  path[length] = '\0';
  ssize_t found = llistxattr(path, usual, sizeof usual);
  if (found >= 0) return found == 0 ? NULL : listed(env, path, usual, (size_t)found);
  if (errno == EOPNOTSUPP) return NULL;
  if (errno != ERANGE) return number(env, -errno);
  char *names = malloc(MOST_NAMES);
  if (names == NULL) return number(env, -ENOMEM);
  found = llistxattr(path, names, MOST_NAMES);
  napi_value result = found < 0 ? number(env, -errno) : listed(env, path, names, (size_t)found);
  free(names);
  return result;
}
