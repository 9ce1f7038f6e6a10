/* Decompression on libuv's pool, from a file into a ring. */
#ifndef STRAKE_DECODER_H
#define STRAKE_DECODER_H

#include <node_api.h>

/* decoder(kind, window) → a decoder, or undefined where this Node has not what it takes; kind: 0 plain, 1 gzip, 2 zstd; window: zstd's, the
 * most that is allowed. */
napi_value decoder_make(napi_env env, napi_callback_info info);
/* decode(decoder, fd, end, ring, offset, length) → a promise of [made, position, state]: bytes made, the place in the file up to which was read,
 * and what came of it (see decoder.c). One at a time. */
napi_value decoder_run(napi_env env, napi_callback_info info);
/* digest(decoder) → the sha256 of all that it has made, once. */
napi_value decoder_digest(napi_env env, napi_callback_info info);

#endif
