#ifndef STRAKE_DIRECTORY_H
#define STRAKE_DIRECTORY_H

#include <node_api.h>

/*
 * listDirectory(fd) → [names, numbers, capabilities], or -errno. The names, sorted by their bytes, are latin1 with a slash between two of them; the
 * numbers an ArrayBuffer of six doubles each: st_mode, or -errno where it cannot be read, size, mtime and ctime in milliseconds, inode, device; the
 * capabilities [index, value, …] of the executables that have any (capabilities(7)).
 */
napi_value directory_list(napi_env env, napi_callback_info info);

#endif
