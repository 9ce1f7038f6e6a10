#ifndef STRAKE_DESCRIPTORS_H
#define STRAKE_DESCRIPTORS_H

#include <node_api.h>

napi_value descriptor_channel(napi_env env, napi_callback_info info);
napi_value descriptor_pipe(napi_env env, napi_callback_info info);
napi_value descriptor_duplicate(napi_env env, napi_callback_info info);
napi_value descriptor_memfd(napi_env env, napi_callback_info info);
napi_value descriptor_read(napi_env env, napi_callback_info info);
napi_value descriptor_write(napi_env env, napi_callback_info info);
napi_value descriptor_lock(napi_env env, napi_callback_info info);
napi_value descriptor_send(napi_env env, napi_callback_info info);
napi_value descriptor_receive(napi_env env, napi_callback_info info);

#endif
