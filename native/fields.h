/* What the files of the interpreter share: taking an op's fields apart, and the groups of ops that each file carries out. */
#ifndef STRAKE_FIELDS_H
#define STRAKE_FIELDS_H

#include <linux/errno.h>

#include "ops.h"

/* What is left of one op's fields. */
struct fields {
  const uint8_t *at;
  const uint8_t *end;
  int bad;
  struct machine *machine;
};

uint32_t u32(struct fields *fields);
int32_t i32(struct fields *fields);
uint64_t u64(struct fields *fields);
const uint8_t *bytes(struct fields *fields, size_t *length);
const char *text(struct fields *fields);
const char **texts(struct fields *fields);
const uint8_t *take(struct fields *fields, size_t length);
/* A slot's file descriptor, or AT_FDCWD. */
int descriptor(struct fields *fields);
/* The flags of open(2) in this machine's numbers: ops have x86_64's. */
uint64_t open_flags(uint64_t flags);
/* openat2(2); `size` bytes of `how` are a struct open_how. */
long open_resolved(int fd, const char *path, void *how, size_t size);
/* Puts a file descriptor, or passes an error on. */
long fill(struct machine *machine, int32_t slot, long fd);

/* Each carries out the ops of one group, and passes any other on to the next: files, descriptors, rights, mounts, processes. */
long run_file_op(struct machine *machine, uint16_t code, struct fields *fields);
long run_descriptor_op(struct machine *machine, uint16_t code, struct fields *fields);
long run_rights_op(struct machine *machine, uint16_t code, struct fields *fields);
long run_mount_op(struct machine *machine, uint16_t code, struct fields *fields);
long run_process_op(struct machine *machine, uint16_t code, struct fields *fields);

/* Fields are taken in their order, each into a variable, before the call that uses them. */
#define CHECKED(call) (fields->bad ? -EINVAL : (call))

#endif
