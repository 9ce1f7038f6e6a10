/* System calls without a libc: strake-init links against none, and a child between clone and exec may not use one. */
#ifndef STRAKE_SYS_H
#define STRAKE_SYS_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
static inline long sys6(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
static inline long sys6(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "strake runs on x86_64 and aarch64"
#endif

/* Each returns the result, or -errno. */
#define SYS0(n) sys6(__NR_##n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys6(__NR_##n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys6(__NR_##n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys6(__NR_##n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys6(__NR_##n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys6(__NR_##n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS6(n, a, b, c, d, e, f) sys6(__NR_##n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* clone3 into `function(argument)` on a stack of its own; the caller gets the pid or -errno. `size` is that of `arguments`. */
typedef void child_function(void *argument);
long clone_on_stack(void *arguments, size_t size, child_function *function, void *argument);
/* The same by clone(2), which seccomp profiles allow where they hide clone3 (its flags are out of a filter's sight). */
long old_clone_on_stack(uint64_t flags, void *stack_end, int32_t *parent_tid, child_function *function, void *argument);

size_t text_length(const char *text);

#endif
