#ifndef STRAKE_SYNC_H
#define STRAKE_SYNC_H

#include <node_api.h>

/* syncFs(fd) → a promise of errno, 0 when the file system of `fd` is on its disk. The caller keeps the fd open until then. */
napi_value sync_filesystem(napi_env env, napi_callback_info info);

#endif
