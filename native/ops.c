#include "ops.h"

#include "fields.h"

#define EXIT_FAILED 127

void machine_start(struct machine *machine, int channel, uint32_t id) {
  uint8_t *all = (uint8_t *)machine;
  for (size_t at = 0; at < sizeof *machine; at += 1) all[at] = 0;
  machine->channel = channel;
  machine->id = id;
  machine->file = -1;
  for (int at = 0; at < SLOTS; at += 1) machine->slots[at] = -1;
}

/* Tells the owner of a failure once, from wherever in the nesting it happened. */
static void report_failure(struct machine *machine) {
  if (machine->reported || machine->channel < 0) return;
  machine->reported = 1;
  reply_send(machine->channel, REPLY_FAILED, machine->id, machine->failed_errno, machine->failed_index, NULL, 0, -1, 0);
}

/* A seccomp filter that the command brought may refuse the exit itself. */
__attribute__((noreturn)) static void end_process(int code) {
  SYS1(exit_group, code);
  SYS1(exit, code);
  for (;;) __builtin_trap();
}

void ops_run_and_exit(struct machine *machine, const uint8_t *ops, size_t length) {
  int result = ops_run(machine, ops, length);
  if (result < 0) report_failure(machine);
  end_process(result < 0 ? EXIT_FAILED : 0);
}

static int is_tolerated(const struct op_header *header, long error) {
  return header->tolerate[0] == (uint16_t)error || header->tolerate[1] == (uint16_t)error;
}

/* An op that failed and was let fail has a result all the same, else the next one's would be taken for it. */
static int empty_result(struct machine *machine, uint16_t code, size_t before) {
  uint64_t nothing = 0;
  machine->results.length = before;
  if (code == OP_STAT || code == OP_READ_DIR || code == OP_LIST_DIR)
    return buffer_append(&machine->results, &nothing, sizeof(uint32_t));
  if (code == OP_WAIT_ID || code == OP_GET_PID) return buffer_append(&machine->results, &nothing, sizeof nothing);
  return 0;
}

int ops_run(struct machine *machine, const uint8_t *ops, size_t length) {
  const uint8_t *end = ops + length;
  while (ops < end) {
    struct op_header header;
    if ((size_t)(end - ops) < sizeof header) return -EINVAL;
    for (size_t at = 0; at < sizeof header; at += 1) ((uint8_t *)&header)[at] = ops[at];
    ops += sizeof header;
    if ((size_t)(end - ops) < header.length) return -EINVAL;
    struct fields fields = {.at = ops, .end = ops + header.length, .machine = machine};
    ops += header.length;
    size_t results_before = machine->results.length;
    long result = machine->fault_errno != 0 && machine->fault_index == header.index ? -(long)machine->fault_errno
                                                                                     : run_file_op(machine, header.code, &fields);
    if (result >= 0) continue;
    if (is_tolerated(&header, -result)) {
      result = empty_result(machine, header.code, results_before);
      if (result == 0) continue;
    }
    if (machine->failed_errno == 0) {
      machine->failed_errno = (int)-result;
      machine->failed_index = header.index;
    }
    return (int)result;
  }
  return 0;
}
