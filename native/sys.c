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

size_t text_length(const char *text) {
  size_t length = 0;
  while (text[length] != '\0') length += 1;
  return length;
}
