/* Memory that Node writes and an agent reads: what `put` takes file content from. */
#ifndef STRAKE_RING_H
#define STRAKE_RING_H

#include <node_api.h>
#include <stdint.h>

struct ring {
  uint8_t *data;
  size_t length;
  /* JavaScript's handle, its ArrayBuffer, and each decoder at work: the last one to let go unmaps. */
  int references;
};

/* ring(length) → [memfd, handle, ArrayBuffer], or -errno. The memfd is the caller's to close. */
napi_value ring_make(napi_env env, napi_callback_info info);
/* releaseRing(handle, ArrayBuffer): the ArrayBuffer is empty from here on. */
napi_value ring_release(napi_env env, napi_callback_info info);

/* The ring of a handle, held until `ring_drop`; NULL where it has been released. */
struct ring *ring_hold(napi_env env, napi_value handle);
void ring_drop(struct ring *ring);

#endif
