/* syncfs(2) on libuv's pool: it may take as long as a disk that others write to, and no thread that does anything else is to wait for it. */
#define _GNU_SOURCE
#include "sync.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "values.h"

struct sync {
  napi_async_work work;
  napi_deferred deferred;
  int fd;
  int error;
};

static void execute(napi_env env, void *data) {
  (void)env;
  struct sync *sync = data;
  sync->error = syncfs(sync->fd) == 0 ? 0 : errno;
}

static void complete(napi_env env, napi_status status, void *data) {
  struct sync *sync = data;
  napi_value result;
  napi_create_int32(env, status == napi_ok ? sync->error : ECANCELED, &result);
  napi_resolve_deferred(env, sync->deferred, result);
  napi_delete_async_work(env, sync->work);
  free(sync);
}

napi_value sync_filesystem(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_value promise;
  napi_value name;
  arguments_of(env, info, 1, &argument);
  struct sync *sync = calloc(1, sizeof *sync);
  if (sync == NULL) {
    napi_throw_error(env, NULL, "syncFs: out of memory");
    return NULL;
  }
  sync->fd = int_of(env, argument);
  napi_create_promise(env, &sync->deferred, &promise);
  napi_create_string_utf8(env, "strake:syncfs", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, execute, complete, sync, &sync->work);
  napi_queue_async_work(env, sync->work);
  return promise;
}
