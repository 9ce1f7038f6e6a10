#ifndef STRAKE_XATTRS_H
#define STRAKE_XATTRS_H

#include <node_api.h>

/* xattrs(path) → [name, value, …], undefined for none, or -errno. The path is bytes; a link at its end is not followed. */
napi_value xattrs_of(napi_env env, napi_callback_info info);

#endif
