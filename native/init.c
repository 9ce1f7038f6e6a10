/*
 * strake-init: a static program without a libc. Its copies are the zygote (one for each JavaScript thread that starts
 * containers), PID 1 of a container, and an agent in namespaces. Its owner's socket is fd 3.
 */
#include "serve.h"
#include "sys.h"

/* The compiler may ask for these wherever it likes. */
void *memset(void *to, int value, size_t length) {
  uint8_t *bytes = to;
  while (length-- > 0) *bytes++ = (uint8_t)value;
  return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length) {
  uint8_t *target = to;
  const uint8_t *source = from;
  while (length-- > 0) *target++ = *source++;
  return to;
}

struct action {
  void *handler;
  uint64_t flags;
  void *restorer;
  uint64_t mask;
};

/* Node ignores SIGPIPE, and what is ignored stays so across execve(2). */
static void reset_signals(void) {
  struct action standard = {0};
  for (int signal = 1; signal <= 64; signal += 1) SYS4(rt_sigaction, signal, &standard, 0, sizeof standard.mask);
}

__attribute__((noreturn, used)) void start(void) {
  reset_signals();
  /* The session keyring of whoever started Node would be that of every container: a fresh one is (keyctl(2), JOIN_SESSION_KEYRING). */
  SYS2(keyctl, 1, 0);
  serve(3);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txorl %ebp, %ebp\n\tandq $-16, %rsp\n\tcall start\n\thlt\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x30, xzr\n\tbl start\n\tbrk 1\n");
#endif
