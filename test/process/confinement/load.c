/* Loads the seccomp filter of a file (-: none), then makes each call named on the command line and prints its errno (0: it was let through).
   A call is [i:]NUMBER[:ARGUMENT]...; with i: it is made by int $0x80, as a 32-bit x86 program would. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter code[4096];

static long by_int80(long number, const unsigned long *args)
{
#ifdef __x86_64__
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(args[0]), "c"(args[1]), "d"(args[2]) : "memory", "r8", "r9", "r10", "r11");
  return result;
#else
  (void)number;
  (void)args;
  return -ENOTSUP;
#endif
}

int main(int argc, char **argv)
{
  if (strcmp(argv[1], "-") != 0) {
    FILE *file = fopen(argv[1], "re");
    if (!file)
      return 100;
    struct sock_fprog program = { .filter = code, .len = (unsigned short)fread(code, sizeof code[0], 4096, file) };
    fclose(file);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
      perror("seccomp");
      return 101;
    }
  }
  for (int i = 2; i < argc; i++) {
    unsigned long args[6] = { 0 };
    char *at = argv[i];
    int compat = at[0] == 'i';
    if (compat)
      at += 2;
    long number = (long)strtoul(at, &at, 0);
    for (int n = 0; n < 6 && *at == ':'; n++)
      args[n] = strtoul(at + 1, &at, 0);
    long result = compat ? by_int80(number, args) : syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    printf("%d\n", result >= 0 ? 0 : compat ? (int)-result : errno);
  }
  return 0;
}
