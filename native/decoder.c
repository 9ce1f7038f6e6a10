/*
 * Decompression on libuv's pool, from a file straight into a ring. The decoders are those that the node binary has for node:zlib, found at run
 * time: nothing is linked, and what is untrusted is read by the code that would read it anyway.
 */
#define _GNU_SOURCE
#include "decoder.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"
#include "values.h"

#define INPUT_SIZE (256 * 1024)

enum kind { PLAIN, GZIP, ZSTD };

/* What a run came to; errors of the file are -errno. lib/layers/segments.ts is the other half. */
enum state {
  HUNGRY = 0,      /* all input that there is was taken, in the middle of something */
  HUNGRY_EDGE = 1, /* … where it may as well end: between two members or frames */
  FULL = 2,        /* there is no room left */
  DAMAGED = 3,
  TOO_WIDE = 4, /* zstd's window is beyond what is allowed */
};

/* zlib.h, zstd.h: stable since their first versions. */
struct zlib_stream {
  const uint8_t *next_in;
  unsigned int avail_in;
  unsigned long total_in;
  uint8_t *next_out;
  unsigned int avail_out;
  unsigned long total_out;
  const char *message;
  void *state;
  void *allocate;
  void *release;
  void *opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
};
struct zstd_input {
  const void *data;
  size_t size;
  size_t at;
};
struct zstd_output {
  void *data;
  size_t size;
  size_t at;
};
#define ZLIB_OK 0
#define ZLIB_END 1
#define ZLIB_NO_MEMORY (-4)
#define ZLIB_NO_PROGRESS (-5)
#define ZLIB_ANY_WINDOW_OF_GZIP (15 + 16)
#define ZSTD_WINDOW_LOG_MAX 100
#define ZSTD_WINDOW_TOO_LARGE 16
#define ZSTD_NO_MEMORY 64

static struct {
  const char *(*zlib_version)(void);
  int (*inflate_init)(struct zlib_stream *, int, const char *, int);
  int (*inflate)(struct zlib_stream *, int);
  int (*inflate_reset)(struct zlib_stream *);
  int (*inflate_end)(struct zlib_stream *);
  void *(*zstd_make)(void);
  size_t (*zstd_free)(void *);
  size_t (*zstd_set)(void *, int, int);
  size_t (*zstd_run)(void *, struct zstd_output *, struct zstd_input *);
  unsigned int (*zstd_is_error)(size_t);
  int (*zstd_error)(size_t);
  void *(*digest_make)(void);
  void (*digest_free)(void *);
  const void *(*digest_sha256)(void);
  int (*digest_start)(void *, const void *, void *);
  int (*digest_add)(void *, const void *, size_t);
  int (*digest_end)(void *, uint8_t *, unsigned int *);
} library;

struct decoder {
  enum kind kind;
  int references; /* JavaScript's, and that of a run */
  int at_work;
  struct zlib_stream zlib;
  void *zstd;
  void *digest;   /* sha256 of what was made, or NULL */
  int at_edge;    /* nothing of a member or frame was read yet */
  int has_more;   /* output that found no room may be waiting inside */
  off_t position; /* in the file */
  uint8_t *input;
  size_t input_at;
  size_t input_end;
};

struct run {
  struct decoder *decoder;
  struct ring *ring;
  size_t offset;
  size_t length;
  int fd;
  off_t end;
  size_t made;
  int state;
  napi_async_work work;
  napi_deferred deferred;
};

static void drop(struct decoder *decoder) {
  if (__atomic_sub_fetch(&decoder->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (decoder->kind == GZIP) library.inflate_end(&decoder->zlib);
  if (decoder->zstd != NULL) library.zstd_free(decoder->zstd);
  if (decoder->digest != NULL) library.digest_free(decoder->digest);
  free(decoder->input);
  free(decoder);
}

/* Each name has one type, so the pointers are copied as bytes: ISO C has no cast between data and functions. */
static int find_in(void *library_handle, void *function, const char *name) {
  void *symbol = dlsym(library_handle, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static int find(void *function, const char *name) { return find_in(RTLD_DEFAULT, function, name); }

static int has_zlib(void) {
  return find(&library.zlib_version, "zlibVersion") && find(&library.inflate_init, "inflateInit2_") &&
         find(&library.inflate, "inflate") && find(&library.inflate_reset, "inflateReset") && find(&library.inflate_end, "inflateEnd");
}

static int has_zstd_in(void *handle) {
  return find_in(handle, &library.zstd_make, "ZSTD_createDCtx") && find_in(handle, &library.zstd_free, "ZSTD_freeDCtx") &&
         find_in(handle, &library.zstd_set, "ZSTD_DCtx_setParameter") &&
         find_in(handle, &library.zstd_run, "ZSTD_decompressStream") && find_in(handle, &library.zstd_is_error, "ZSTD_isError") &&
         find_in(handle, &library.zstd_error, "ZSTD_getErrorCode");
}

/* Node has it from 22.15 on. Before, the system's is as good, and stays loaded once it was. */
static int has_zstd(void) {
  if (has_zstd_in(RTLD_DEFAULT)) return 1;
  void *system = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
  return system != NULL && has_zstd_in(system);
}

/* EVP_DigestInit(3): node:crypto's own. */
static int start_digest(struct decoder *decoder) {
  if (!find(&library.digest_make, "EVP_MD_CTX_new") || !find(&library.digest_free, "EVP_MD_CTX_free") ||
      !find(&library.digest_sha256, "EVP_sha256") || !find(&library.digest_start, "EVP_DigestInit_ex") ||
      !find(&library.digest_add, "EVP_DigestUpdate") || !find(&library.digest_end, "EVP_DigestFinal_ex"))
    return 0;
  decoder->digest = library.digest_make();
  return decoder->digest != NULL && library.digest_start(decoder->digest, library.digest_sha256(), NULL) == 1;
}

static int start_gzip(struct decoder *decoder) {
  return has_zlib() && library.inflate_init(&decoder->zlib, ZLIB_ANY_WINDOW_OF_GZIP, library.zlib_version(), sizeof decoder->zlib) == ZLIB_OK;
}

static int start_zstd(struct decoder *decoder, double window) {
  int log = 10;
  while (log < 31 && (double)(1UL << (log + 1)) <= window) log += 1;
  if (!has_zstd()) return 0;
  decoder->zstd = library.zstd_make();
  return decoder->zstd != NULL && !library.zstd_is_error(library.zstd_set(decoder->zstd, ZSTD_WINDOW_LOG_MAX, log));
}

/* Takes more of the file in: 1, 0 when there is none yet, or -errno. */
static int refill(struct decoder *decoder, const struct run *run) {
  if (decoder->position >= run->end) return 0;
  size_t wanted = run->end - decoder->position < INPUT_SIZE ? (size_t)(run->end - decoder->position) : INPUT_SIZE;
  ssize_t count;
  do count = pread(run->fd, decoder->input, wanted, decoder->position);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  /* It is shorter than was said. */
  if (count == 0) return -EIO;
  decoder->position += count;
  decoder->input_at = 0;
  decoder->input_end = (size_t)count;
  return 1;
}

static int copy_plain(struct decoder *decoder, struct run *run) {
  while (run->made < run->length) {
    if (decoder->position >= run->end) return HUNGRY_EDGE;
    size_t wanted = run->length - run->made;
    if (run->end - decoder->position < (off_t)wanted) wanted = (size_t)(run->end - decoder->position);
    ssize_t count = pread(run->fd, run->ring->data + run->offset + run->made, wanted, decoder->position);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    if (count == 0) return -EIO;
    decoder->position += count;
    run->made += (size_t)count;
  }
  return FULL;
}

/* One step of zlib: HUNGRY to go on. */
static int step_gzip(struct decoder *decoder, struct run *run) {
  struct zlib_stream *stream = &decoder->zlib;
  size_t given = decoder->input_end - decoder->input_at;
  stream->next_in = decoder->input + decoder->input_at;
  stream->avail_in = (unsigned int)given;
  stream->next_out = run->ring->data + run->offset + run->made;
  stream->avail_out = (unsigned int)(run->length - run->made);
  int result = library.inflate(stream, 0);
  decoder->input_at = decoder->input_end - stream->avail_in;
  run->made = run->length - stream->avail_out;
  if (stream->avail_in < given) decoder->at_edge = 0;
  decoder->has_more = stream->avail_out == 0;
  if (result == ZLIB_END) {
    decoder->at_edge = 1;
    decoder->has_more = 0;
    return library.inflate_reset(stream) == ZLIB_OK ? HUNGRY : -ENOMEM;
  }
  if (result == ZLIB_NO_MEMORY) return -ENOMEM;
  if (result != ZLIB_OK && result != ZLIB_NO_PROGRESS) return DAMAGED;
  return HUNGRY;
}

static int step_zstd(struct decoder *decoder, struct run *run) {
  struct zstd_input in = {decoder->input, decoder->input_end, decoder->input_at};
  struct zstd_output out = {run->ring->data + run->offset, run->length, run->made};
  size_t result = library.zstd_run(decoder->zstd, &out, &in);
  if (library.zstd_is_error(result)) {
    int error = library.zstd_error(result);
    return error == ZSTD_WINDOW_TOO_LARGE ? TOO_WIDE : error == ZSTD_NO_MEMORY ? -ENOMEM : DAMAGED;
  }
  if (in.at > decoder->input_at) decoder->at_edge = 0;
  decoder->input_at = in.at;
  run->made = out.at;
  decoder->has_more = out.at == out.size;
  if (result == 0) {
    decoder->at_edge = 1;
    decoder->has_more = 0;
  }
  return HUNGRY;
}

static int decode(struct decoder *decoder, struct run *run) {
  if (decoder->kind == PLAIN) return copy_plain(decoder, run);
  while (run->made < run->length) {
    if (decoder->input_at == decoder->input_end && !decoder->has_more) {
      int more = refill(decoder, run);
      if (more < 0) return more;
      if (more == 0) return decoder->at_edge ? HUNGRY_EDGE : HUNGRY;
    }
    int state = decoder->kind == GZIP ? step_gzip(decoder, run) : step_zstd(decoder, run);
    if (state != HUNGRY) return state;
  }
  return FULL;
}

static void execute(napi_env env, void *data) {
  struct run *run = data;
  (void)env;
  run->state = decode(run->decoder, run);
  /* While it is in the processor's cache. */
  if (run->made > 0 && run->decoder->digest != NULL &&
      library.digest_add(run->decoder->digest, run->ring->data + run->offset, run->made) != 1)
    run->state = -ENOMEM;
}

static void complete(napi_env env, napi_status status, void *data) {
  struct run *run = data;
  napi_value result;
  if (status == napi_cancelled) run->state = -ECANCELED;
  run->decoder->at_work = 0;
  napi_create_array_with_length(env, 3, &result);
  napi_set_element(env, result, 0, number(env, (double)run->made));
  napi_set_element(env, result, 1, number(env, (double)(run->decoder->position - (off_t)(run->decoder->input_end - run->decoder->input_at))));
  napi_set_element(env, result, 2, number(env, run->state));
  napi_resolve_deferred(env, run->deferred, result);
  napi_delete_async_work(env, run->work);
  ring_drop(run->ring);
  drop(run->decoder);
  free(run);
}

static void forget(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  drop(data);
}

napi_value decoder_make(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  double window = 0;
  arguments_of(env, info, 2, arguments);
  napi_get_value_double(env, arguments[1], &window);
  struct decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) return NULL;
  decoder->references = 1;
  decoder->at_edge = 1;
  int32_t kind = int_of(env, arguments[0]);
  int is_ready = kind == PLAIN || (kind == GZIP && start_gzip(decoder)) || (kind == ZSTD && start_zstd(decoder, window));
  if (is_ready) {
    decoder->kind = (enum kind)kind;
    is_ready = start_digest(decoder);
  }
  if (is_ready) {
    decoder->input = kind == PLAIN ? NULL : malloc(INPUT_SIZE);
    is_ready = kind == PLAIN || decoder->input != NULL;
  }
  if (!is_ready) {
    drop(decoder);
    return NULL;
  }
  napi_value result;
  napi_create_external(env, decoder, forget, NULL, &result);
  return result;
}

/* What was made is done with: the digest can be taken once. */
napi_value decoder_digest(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_valuetype type = napi_undefined;
  uint8_t bytes[64];
  unsigned int length = 0;
  void *data = NULL;
  arguments_of(env, info, 1, &argument);
  napi_typeof(env, argument, &type);
  if (type == napi_external) napi_get_value_external(env, argument, &data);
  struct decoder *decoder = data;
  if (decoder == NULL || decoder->at_work || library.digest_end(decoder->digest, bytes, &length) != 1) return NULL;
  napi_value result;
  napi_create_buffer_copy(env, length, bytes, NULL, &result);
  return result;
}

napi_value decoder_run(napi_env env, napi_callback_info info) {
  napi_value arguments[6];
  napi_valuetype type = napi_undefined;
  void *data = NULL;
  double end = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  arguments_of(env, info, 6, arguments);
  napi_typeof(env, arguments[0], &type);
  if (type == napi_external) napi_get_value_external(env, arguments[0], &data);
  struct decoder *decoder = data;
  struct ring *ring = ring_hold(env, arguments[3]);
  napi_get_value_double(env, arguments[2], &end);
  napi_get_value_uint32(env, arguments[4], &offset);
  napi_get_value_uint32(env, arguments[5], &length);
  struct run *run = calloc(1, sizeof *run);
  if (decoder == NULL || ring == NULL || run == NULL || offset > ring->length || length > ring->length - offset ||
      decoder->at_work) {
    if (ring != NULL) ring_drop(ring);
    free(run);
    napi_throw_error(env, NULL, "decode: a decoder that rests, and a place in a ring");
    return NULL;
  }
  *run = (struct run){.decoder = decoder, .ring = ring, .offset = offset, .length = length, .fd = int_of(env, arguments[1]), .end = (off_t)end};
  decoder->at_work = 1;
  __atomic_add_fetch(&decoder->references, 1, __ATOMIC_RELAXED);
  napi_value promise;
  napi_value name;
  napi_create_promise(env, &run->deferred, &promise);
  napi_create_string_utf8(env, "strake:decode", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, NULL, name, execute, complete, run, &run->work);
  napi_queue_async_work(env, run->work);
  return promise;
}
