/* The messages between an owner (Node) and an agent (strake-init), one a packet of a seqpacket socket; lib/zygote/protocol.ts
 * is the other half. All integers little-endian, as both supported machines have them. */
#ifndef STRAKE_PROTOCOL_H
#define STRAKE_PROTOCOL_H

#include <stdint.h>

enum request {
  REQUEST_RUN = 1,    /* payload: ops, carried out by the agent itself */
  REQUEST_START = 2,  /* payload: a program, carried out by a new child */
  REQUEST_KILL = 3,   /* id of the child; payload: u32 signal */
  REQUEST_SPARES = 4, /* payload: a program of prepared ops only; `count` children are kept that have carried it out */
};

enum reply {
  REPLY_HELLO = 1,
  REPLY_DONE = 2,    /* payload: results */
  REPLY_FAILED = 3,  /* value: errno; extra: index of the op */
  REPLY_STARTED = 4, /* value: the pid, or 0: the sender's credentials tell it */
  REPLY_EXIT = 5,    /* payload: struct exit_report */
  REPLY_FD = 6,      /* payload: name; with the fd */
};

enum request_flags {
  FLAG_LARGE = 1, /* the payload is in a memfd, the first fd of the message */
  FLAG_INIT = 2,  /* the child runs `init`: signals go through it to its main child */
  FLAG_KEEP = 4, /* slots live on after a REQUEST_RUN */
};

#define MAX_MESSAGE 65536
#define MAX_FDS 60
#define SLOTS 128
#define FIRST_GIVEN_SLOT 64 /* fds of a message; an op's `out` slots are below */

struct request_header {
  uint32_t type;
  uint32_t id;
  uint32_t flags;
  uint32_t length;      /* of the payload */
  uint32_t fault_index; /* a test's wish: this op fails … */
  uint32_t fault_errno; /* … with this, when not 0 */
  uint32_t count;       /* of spares */
  uint32_t reserved;
};

struct program_header {
  uint64_t clone;
  uint32_t prepared; /* bytes of leading ops that a spare has carried out already */
  uint32_t reserved;
};

struct op_header {
  uint16_t code;
  uint16_t tolerate[2];
  uint16_t reserved;
  uint32_t index;
  uint32_t length; /* of the fields that follow */
};

struct reply_header {
  uint32_t type;
  uint32_t id;
  uint32_t flags;
  uint32_t length;
  int32_t value;
  uint32_t extra;
};

struct exit_report {
  int32_t code;   /* or -1 */
  int32_t signal; /* or 0 */
  uint64_t user_micros;
  uint64_t system_micros;
  uint64_t peak_kilobytes;
};

#endif
