/* JavaScript values and C's, for the parts of the addon. */
#ifndef STRAKE_VALUES_H
#define STRAKE_VALUES_H

#include <node_api.h>
#include <string.h>

#include "protocol.h"

static inline napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

static inline napi_value pair_of(napi_env env, double one, double other) {
  napi_value result;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, number(env, one));
  napi_set_element(env, result, 1, number(env, other));
  return result;
}

static inline size_t arguments_of(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  size_t count = wanted;
  napi_get_cb_info(env, info, &count, values, NULL, NULL);
  return count;
}

static inline int32_t int_of(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

static inline int bytes_of(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  bool is_typed = false;
  napi_is_typedarray(env, value, &is_typed);
  if (!is_typed) {
    napi_throw_type_error(env, NULL, "a Uint8Array is needed");
    return -1;
  }
  napi_typedarray_type type;
  void *memory;
  napi_get_typedarray_info(env, value, &type, length, &memory, NULL, NULL);
  *data = memory;
  return 0;
}

static inline size_t fds_of(napi_env env, napi_value value, int32_t *fds) {
  uint32_t count = 0;
  bool is_array = false;
  napi_is_array(env, value, &is_array);
  if (!is_array) return 0;
  napi_get_array_length(env, value, &count);
  if (count > MAX_FDS) count = MAX_FDS;
  for (uint32_t at = 0; at < count; at += 1) {
    napi_value each;
    napi_get_element(env, value, at, &each);
    fds[at] = int_of(env, each);
  }
  return count;
}

#endif
