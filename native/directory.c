/* A directory of this machine and lstat(2) of all that is in it by one call: Node makes two trips for each file. */
#define _GNU_SOURCE
#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "values.h"

#define NUMBERS 6
#define FIRST_ROOM 256
#define MOST_CAPABILITY 64 /* XATTR_CAPS_SZ is 24 */

struct listing {
  char **names;
  size_t count;
  size_t room;
  size_t bytes; /* of the names */
};

static int by_bytes(const void *one, const void *other) {
  return strcmp(*(char *const *)one, *(char *const *)other);
}

static int add_name(struct listing *listing, const char *name) {
  if (listing->count == listing->room) {
    size_t room = listing->room == 0 ? FIRST_ROOM : listing->room * 2;
    char **names = realloc(listing->names, room * sizeof *names);
    if (names == NULL) return -ENOMEM;
    listing->names = names;
    listing->room = room;
  }
  char *copy = strdup(name);
  if (copy == NULL) return -ENOMEM;
  listing->names[listing->count] = copy;
  listing->count += 1;
  listing->bytes += strlen(name);
  return 0;
}

static void free_listing(struct listing *listing) {
  for (size_t at = 0; at < listing->count; at += 1) free(listing->names[at]);
  free(listing->names);
}

static int read_names(int fd, struct listing *listing) {
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  DIR *directory = own < 0 ? NULL : fdopendir(own);
  if (directory == NULL) {
    int error = errno;
    if (own >= 0) close(own);
    return -error;
  }
  int result = 0;
  while (result == 0) {
    errno = 0;
    struct dirent *entry = readdir(directory);
    if (entry == NULL) {
      result = -errno;
      break;
    }
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) result = add_name(listing, entry->d_name);
  }
  closedir(directory);
  if (result == 0 && listing->count > 0) qsort(listing->names, listing->count, sizeof *listing->names, by_bytes);
  return result;
}

static double milliseconds(struct timespec time) {
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1000000;
}

/* The length of the file's capability, 0 for none, or -errno; no system call takes a directory and a name here before Linux 6.13. */
static ssize_t capability_of(int fd, const char *name, uint8_t *value) {
  char path[NAME_MAX + sizeof "/proc/self/fd/2147483647/"];
  if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, name) >= (int)sizeof path) return -ENAMETOOLONG;
  ssize_t length = lgetxattr(path, "security.capability", value, MOST_CAPABILITY);
  if (length >= 0) return length;
  return errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM || errno == EACCES ? 0 : -errno;
}

static void push(napi_env env, napi_value list, uint32_t *count, napi_value value) {
  napi_set_element(env, list, *count, value);
  *count += 1;
}

static void look_at(napi_env env, int fd, const struct listing *listing, double *numbers, napi_value capabilities) {
  uint32_t count = 0;
  for (size_t at = 0; at < listing->count; at += 1, numbers += NUMBERS) {
    struct stat found;
    uint8_t value[MOST_CAPABILITY];
    memset(numbers, 0, NUMBERS * sizeof *numbers);
    if (fstatat(fd, listing->names[at], &found, AT_SYMLINK_NOFOLLOW) < 0) {
      numbers[0] = -errno;
      continue;
    }
    /* What nobody may execute has no use for one, and asking takes three times as long as all the rest. */
    bool may_have = S_ISREG(found.st_mode) && (found.st_mode & 0111) != 0;
    ssize_t length = may_have ? capability_of(fd, listing->names[at], value) : 0;
    if (length < 0) {
      numbers[0] = (double)length;
      continue;
    }
    numbers[0] = found.st_mode;
    numbers[1] = (double)found.st_size;
    numbers[2] = milliseconds(found.st_mtim);
    numbers[3] = milliseconds(found.st_ctim);
    numbers[4] = (double)found.st_ino;
    numbers[5] = (double)found.st_dev;
    if (length == 0) continue;
    napi_value bytes;
    napi_create_buffer_copy(env, (size_t)length, value, NULL, &bytes);
    push(env, capabilities, &count, number(env, (double)at));
    push(env, capabilities, &count, bytes);
  }
}

static napi_value joined(napi_env env, const struct listing *listing) {
  napi_value result;
  char *text = malloc(listing->bytes + listing->count + 1);
  if (text == NULL) return NULL;
  char *end = text;
  for (size_t at = 0; at < listing->count; at += 1) {
    if (at > 0) *end++ = '/';
    end = stpcpy(end, listing->names[at]);
  }
  napi_create_string_latin1(env, text, (size_t)(end - text), &result);
  free(text);
  return result;
}

napi_value directory_list(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_value result;
  napi_value names;
  napi_value buffer;
  napi_value capabilities;
  void *numbers = NULL;
  struct listing listing = {0};
  arguments_of(env, info, 1, &argument);
  int fd = int_of(env, argument);
  int failure = read_names(fd, &listing);
  if (failure == 0 && (names = joined(env, &listing)) == NULL) failure = -ENOMEM;
  if (failure == 0) {
    napi_create_array_with_length(env, 3, &result);
    napi_create_array(env, &capabilities);
    napi_create_arraybuffer(env, listing.count * NUMBERS * sizeof(double), &numbers, &buffer);
    if (listing.count > 0) look_at(env, fd, &listing, numbers, capabilities);
    napi_set_element(env, result, 0, names);
    napi_set_element(env, result, 1, buffer);
    napi_set_element(env, result, 2, capabilities);
  }
  free_listing(&listing);
  return failure == 0 ? result : number(env, failure);
}
