#include "sys.h"

long clone_on_stack(void *arguments, size_t size, child_function *function, void *argument) {
#if defined(__x86_64__)
  register child_function *entry __asm__("r12") = function;
  register void *data __asm__("r13") = argument;
  long result;
  __asm__ volatile("syscall\n\t"
                   "testq %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xorl %%ebp, %%ebp\n\t"
                   "movq %%r13, %%rdi\n\t"
                   "callq *%%r12\n\t"
                   "hlt\n"
                   "1:"
                   : "=a"(result)
                   : "a"((long)__NR_clone3), "D"(arguments), "S"(size), "r"(entry), "r"(data)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = __NR_clone3;
  register long x0 __asm__("x0") = (long)arguments;
  register long x1 __asm__("x1") = (long)size;
  register child_function *entry __asm__("x20") = function;
  register void *data __asm__("x21") = argument;
  __asm__ volatile("svc 0\n\t"
                   "cbnz x0, 1f\n\t"
                   "mov x29, xzr\n\t"
                   "mov x0, x21\n\t"
                   "blr x20\n\t"
                   "brk 1\n"
                   "1:"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(entry), "r"(data)
                   : "memory", "x30");
  return x0;
#endif
}

long old_clone_on_stack(uint64_t flags, void *stack_end, int32_t *parent_tid, child_function *function, void *argument) {
#if defined(__x86_64__)
  register child_function *entry __asm__("r12") = function;
  register void *data __asm__("r13") = argument;
  register long tid __asm__("r10") = 0;
  register long tls __asm__("r8") = 0;
  long result;
  __asm__ volatile("syscall\n\t"
                   "testq %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xorl %%ebp, %%ebp\n\t"
                   "movq %%r13, %%rdi\n\t"
                   "callq *%%r12\n\t"
                   "hlt\n"
                   "1:"
                   : "=a"(result)
                   : "a"((long)__NR_clone), "D"(flags), "S"(stack_end), "d"(parent_tid), "r"(tid), "r"(tls), "r"(entry), "r"(data)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = __NR_clone;
  register long x0 __asm__("x0") = (long)flags;
  register long x1 __asm__("x1") = (long)stack_end;
  register long x2 __asm__("x2") = (long)parent_tid;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = 0;
  register child_function *entry __asm__("x20") = function;
  register void *data __asm__("x21") = argument;
  __asm__ volatile("svc 0\n\t"
                   "cbnz x0, 1f\n\t"
                   "mov x29, xzr\n\t"
                   "mov x0, x21\n\t"
                   "blr x20\n\t"
                   "brk 1\n"
                   "1:"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(entry), "r"(data)
                   : "memory", "x30");
  return x0;
#endif
}

size_t text_length(const char *text) {
  size_t length = 0;
  while (text[length] != '\0') length += 1;
  return length;
}
