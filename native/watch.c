#define _GNU_SOURCE
#include "watch.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

struct watchers {
  struct watcher *first;
  int open;
  int is_ending;
  uint8_t *owned; /* by fd: whether it is this thread's to close, and how */
  int owned_capacity;
  napi_async_cleanup_hook_handle hook;
};

struct watcher {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  struct watchers *all;
  struct watcher *next;
  struct watcher *previous;
  int closing;
  int collected; /* JavaScript holds it no more */
};

enum { NOT_OWNED, OWNED, OWNED_CHILD };

/* Milliseconds: a child in the middle of a system call may take a moment. */
#define CHILD_END_WAIT 2000

/* A child of a Worker that has ended has nobody else who would reap it. At the end of the main thread the whole process ends. */
static void end_child(int pidfd) {
  siginfo_t status;
  struct pollfd poll_for = {.fd = pidfd, .events = POLLIN};
  if (gettid() == getpid()) return;
  syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  poll(&poll_for, 1, CHILD_END_WAIT);
  waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &status, WEXITED | WNOHANG);
}

static void finish_if_empty(struct watchers *all) {
  if (!all->is_ending || all->open > 0) return;
  for (int fd = 0; fd < all->owned_capacity; fd += 1) {
    if (all->owned[fd] == OWNED_CHILD) end_child(fd);
    if (all->owned[fd] != NOT_OWNED) close(fd);
  }
  free(all->owned);
  napi_remove_async_cleanup_hook(all->hook);
  free(all);
}

static void on_closed(uv_handle_t *handle) {
  struct watcher *watcher = handle->data;
  struct watchers *all = watcher->all;
  all->open -= 1;
  watcher->closing = 2;
  if (watcher->collected) free(watcher);
  finish_if_empty(all);
}

static void stop(struct watcher *watcher, int with_environment) {
  if (watcher->closing) return;
  watcher->closing = 1;
  if (watcher->previous != NULL) watcher->previous->next = watcher->next;
  else watcher->all->first = watcher->next;
  if (watcher->next != NULL) watcher->next->previous = watcher->previous;
  uv_poll_stop(&watcher->poll);
  if (with_environment) {
    napi_delete_reference(watcher->env, watcher->callback);
    napi_async_destroy(watcher->env, watcher->context);
  }
  uv_close((uv_handle_t *)&watcher->poll, on_closed);
}

/* A Worker that ends with a uv_poll still open would abort the process. */
static void end_environment(napi_async_cleanup_hook_handle hook, void *data) {
  struct watchers *all = data;
  (void)hook;
  all->is_ending = 1;
  while (all->first != NULL) stop(all->first, 1);
  finish_if_empty(all);
}

void watch_initialize(napi_env env) {
  struct watchers *all = calloc(1, sizeof *all);
  napi_add_async_cleanup_hook(env, end_environment, all, &all->hook);
  napi_set_instance_data(env, all, NULL, NULL);
}

static void own(napi_env env, int fd, uint8_t how) {
  struct watchers *all = NULL;
  napi_get_instance_data(env, (void **)&all);
  if (fd < 0 || all == NULL || all->is_ending) return;
  if (fd >= all->owned_capacity) {
    int capacity = fd + 256;
    uint8_t *larger = realloc(all->owned, (size_t)capacity);
    if (larger == NULL) return;
    memset(larger + all->owned_capacity, 0, (size_t)(capacity - all->owned_capacity));
    all->owned = larger;
    all->owned_capacity = capacity;
  }
  all->owned[fd] = how;
}

void watch_own(napi_env env, int fd) { own(env, fd, OWNED); }

void watch_own_child(napi_env env, int pidfd) { own(env, pidfd, OWNED_CHILD); }

napi_value watch_close(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_value result;
  size_t count = 1;
  int32_t fd = -1;
  struct watchers *all = NULL;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &fd);
  napi_get_instance_data(env, (void **)&all);
  bool is_owned = all != NULL && fd >= 0 && fd < all->owned_capacity && all->owned[fd];
  if (is_owned) {
    all->owned[fd] = NOT_OWNED;
    close(fd);
  }
  napi_get_boolean(env, is_owned, &result);
  return result;
}

static void on_event(uv_poll_t *poll, int status, int events) {
  struct watcher *watcher = poll->data;
  napi_env env = watcher->env;
  napi_handle_scope scope;
  napi_value callback;
  napi_value receiver;
  napi_value argument;
  napi_open_handle_scope(env, &scope);
  napi_get_reference_value(env, watcher->callback, &callback);
  napi_get_global(env, &receiver);
  napi_create_int32(env, status < 0 ? UV_READABLE | UV_WRITABLE : events, &argument);
  if (napi_make_callback(env, watcher->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

static void on_collected(napi_env env, void *data, void *hint) {
  struct watcher *watcher = data;
  (void)env;
  (void)hint;
  if (watcher->closing == 2) free(watcher);
  else watcher->collected = 1;
}

napi_value watch_start(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  int32_t fd = -1;
  int32_t events = 0;
  struct watchers *all = NULL;
  uv_loop_t *loop = NULL;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_int32(env, arguments[0], &fd);
  napi_get_value_int32(env, arguments[1], &events);
  napi_get_instance_data(env, (void **)&all);
  napi_get_uv_event_loop(env, &loop);
  struct watcher *watcher = calloc(1, sizeof *watcher);
  if (watcher == NULL || all == NULL || all->is_ending || uv_poll_init(loop, &watcher->poll, fd) < 0) {
    free(watcher);
    napi_throw_error(env, NULL, "the file descriptor cannot be watched");
    return NULL;
  }
  napi_value name;
  napi_value result;
  napi_create_string_utf8(env, "strake", NAPI_AUTO_LENGTH, &name);
  watcher->env = env;
  watcher->all = all;
  watcher->poll.data = watcher;
  napi_create_reference(env, arguments[2], 1, &watcher->callback);
  napi_async_init(env, NULL, name, &watcher->context);
  watcher->next = all->first;
  if (all->first != NULL) all->first->previous = watcher;
  all->first = watcher;
  all->open += 1;
  if (events != 0) uv_poll_start(&watcher->poll, events, on_event);
  napi_create_external(env, watcher, on_collected, NULL, &result);
  return result;
}

static struct watcher *watcher_of(napi_env env, napi_value value) {
  struct watcher *watcher = NULL;
  napi_get_value_external(env, value, (void **)&watcher);
  return watcher;
}

napi_value watch_change(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t events = 0;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_int32(env, arguments[1], &events);
  struct watcher *watcher = watcher_of(env, arguments[0]);
  if (watcher == NULL || watcher->closing) return NULL;
  if (events == 0) uv_poll_stop(&watcher->poll);
  else uv_poll_start(&watcher->poll, events, on_event);
  return NULL;
}

napi_value watch_stop(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  struct watcher *watcher = watcher_of(env, argument);
  if (watcher != NULL) stop(watcher, 1);
  return NULL;
}

napi_value watch_hold(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  bool holds = true;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_bool(env, arguments[1], &holds);
  struct watcher *watcher = watcher_of(env, arguments[0]);
  if (watcher == NULL || watcher->closing) return NULL;
  if (holds) uv_ref((uv_handle_t *)&watcher->poll);
  else uv_unref((uv_handle_t *)&watcher->poll);
  return NULL;
}
