/* File descriptors watched in Node's event loop (uv_poll), each with a callback. */
#ifndef STRAKE_WATCH_H
#define STRAKE_WATCH_H

#include <node_api.h>

void watch_initialize(napi_env env);

/* Fds that this module made belong to the JavaScript thread that asked for them: one that ends without closing them (a Worker that is
 * terminated) closes them at its end, so that its zygote, and with it its containers, end too. */
void watch_own(napi_env env, int fd);
/* A pidfd of a child, which ends and is reaped with this thread. */
void watch_own_child(napi_env env, int pidfd);
/* close(fd) → whether it was one of these; any other is left alone. */
napi_value watch_close(napi_env env, napi_callback_info info);

/* watch(fd, events, callback(events)) → watcher; events: 1 readable, 2 writable. */
napi_value watch_start(napi_env env, napi_callback_info info);
/* rewatch(watcher, events); 0 pauses. */
napi_value watch_change(napi_env env, napi_callback_info info);
/* unwatch(watcher): the fd may be closed at once. */
napi_value watch_stop(napi_env env, napi_callback_info info);
/* hold(watcher, boolean): whether it keeps the event loop alive. */
napi_value watch_hold(napi_env env, napi_callback_info info);

#endif
