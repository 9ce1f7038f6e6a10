/* What hostile code in a container tries. Each line of output: what was tried, a tab, `done` or the name of the errno. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long result) {
  printf("%s\t%s\n", what, result >= 0 ? "done" : strerrorname_np(errno));
  fflush(stdout);
}

#define TRY(name, ...) say(#name, syscall(SYS_##name, __VA_ARGS__))

/* R04 */
static void namespaces(void) {
  static const struct { const char *name; long flag; } kinds[] = {
      {"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"uts", CLONE_NEWUTS},
      {"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET},  {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
  say("mount tmpfs", mount("x", "/tmp", "tmpfs", 0, 0));
  say("mount proc", mount("x", "/tmp", "proc", 0, 0));
  say("mount bind", mount("/", "/tmp", 0, MS_BIND, 0));
  say("remount rw", mount(0, "/proc/sys", 0, MS_REMOUNT | MS_BIND, 0));
  say("remount root", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
  say("propagation", mount(0, "/", 0, MS_SHARED | MS_REC, 0));
  say("umount mask", umount2("/proc/kcore", MNT_DETACH));
  say("umount read-only", umount2("/proc/sys", MNT_DETACH));
  say("umount proc", umount2("/proc", MNT_DETACH));
  TRY(pivot_root, ".", ".");
  TRY(open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
  TRY(move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/mnt", 0);
  TRY(fsopen, "tmpfs", 0);
  TRY(fspick, AT_FDCWD, "/", 0);
  TRY(mount_setattr, AT_FDCWD, "/proc/sys", 0, 0, 0);
  for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at += 1) {
    char what[64];
    snprintf(what, sizeof what, "unshare %s", kinds[at].name);
    say(what, syscall(SYS_unshare, kinds[at].flag));
    int own = open("/proc/self/ns/uts", O_RDONLY);
    snprintf(what, sizeof what, "setns %s", kinds[at].name);
    say(what, syscall(SYS_setns, own, kinds[at].flag));
    close(own);
    if (kinds[at].flag == CLONE_NEWTIME) continue; /* clone(2) has no room for it: the bits of the exit signal */
    snprintf(what, sizeof what, "clone %s", kinds[at].name);
    long pid = syscall(SYS_clone, kinds[at].flag | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    say(what, pid);
  }
  struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) _exit(0);
  say("clone3 user", pid);
  arguments.flags = 0;
  pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) _exit(0);
  say("clone3", pid);
}

/* R05: with arguments that would be refused for another reason, should the filter let them through. */
static void calls(void) {
  TRY(keyctl, 0, -3, 0, 0, 0);
  TRY(add_key, "user", "strake", "x", 1, -4);
  TRY(request_key, "user", "strake", 0, -4);
  TRY(bpf, 5, 0, 0);
  TRY(perf_event_open, 0, 0, -1, -1, 0);
  TRY(io_uring_setup, 1, 0);
  TRY(io_uring_enter, 0, 0, 0, 0, 0);
  TRY(io_uring_register, 0, 0, 0, 0);
  TRY(kexec_load, 0, 0, 0, 0);
#ifdef SYS_kexec_file_load
  TRY(kexec_file_load, -1, -1, 0, 0, 0);
#endif
  TRY(init_module, 0, 0, "");
  TRY(finit_module, -1, "", 0);
  TRY(delete_module, "strake", 0);
  TRY(userfaultfd, 0);
  TRY(open_by_handle_at, AT_FDCWD, 0, 0);
  TRY(fanotify_init, 0, 0);
  TRY(quotactl, 0, 0, 0, 0);
  TRY(swapon, "", 0);
  TRY(swapoff, "");
  TRY(reboot, 0, 0, 0, 0);
  TRY(settimeofday, 0, 0);
  TRY(clock_settime, 0, 0);
  TRY(personality, 0x40000 /* ADDR_NO_RANDOMIZE */);
  TRY(acct, 0);
  TRY(syslog, 3, 0, 0);
  TRY(vhangup, 0);
  TRY(move_pages, 0, 0, 0, 0, 0, 0);
  TRY(kcmp, 1, 1, 0, 0, 0);
  TRY(lookup_dcookie, 0, 0, 0);
#ifdef SYS_iopl
  TRY(iopl, 3);
  TRY(ioperm, 0, 1, 1);
#endif
  long vsock = socket(40 /* AF_VSOCK */, SOCK_STREAM, 0);
  say("socket vsock", vsock);
#ifdef __x86_64__
  /* The same by the 32-bit table, whose numbers are others: keyctl is 288, add_key 286, mount 21, unshare 310. */
  static const struct { const char *name; long number, first; } old[] = {
      {"i386 keyctl", 288, 0}, {"i386 mount", 21, 0}, {"i386 unshare", 310, CLONE_NEWUSER}, {"i386 setns", 346, -1}, {"i386 bpf", 357, 5}};
  for (size_t at = 0; at < sizeof old / sizeof *old; at += 1) {
    /* A kernel without the table ends the process instead. */
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      long result;
      __asm__ volatile("int $0x80" : "=a"(result) : "a"(old[at].number), "b"(old[at].first), "c"(0L), "d"(0L), "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
      int32_t error = (int32_t)result;
      errno = error < 0 ? -error : 0;
      say(old[at].name, error < 0 ? -1 : 0);
      _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("%s\tENOSYS\n", old[at].name);
  }
  say("x32 keyctl", syscall(0x40000000 + SYS_keyctl, 0, -3, 0));
#endif
}

static void writes(char **paths) {
  for (; *paths != NULL; paths += 1) {
    int fd = open(*paths, O_WRONLY);
    /* A file that opens for root of the namespace may still refuse what is written. */
    say(*paths, fd < 0 ? -1 : write(fd, "1\n", 2));
    if (fd >= 0) close(fd);
  }
}

static void opens(const char *name, const char *path, int flags) {
  int fd = open(path, flags);
  say(name, fd);
  if (fd >= 0) close(fd);
}

/* R07: everything one process can do to another. */
static void process(int pid) {
  char path[64];
  static const char *const files[] = {"environ", "mem", "maps", "auxv", "io", "stack", "syscall"};
  for (size_t at = 0; at < sizeof files / sizeof *files; at += 1) {
    char byte;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, files[at]);
    int fd = open(path, O_RDONLY);
    /* Some are opened by anybody, and refuse the reading. */
    say(files[at], fd < 0 ? -1 : strcmp(files[at], "mem") == 0 ? 0 : read(fd, &byte, 1));
    if (fd >= 0) close(fd);
  }
  static const char *const links[] = {"exe", "root", "cwd", "fd", "ns/mnt", "map_files"};
  for (size_t at = 0; at < sizeof links / sizeof *links; at += 1) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, links[at]);
    opens(links[at], path, O_RDONLY);
  }
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  opens("exe for writing", path, O_WRONLY);
  char byte = 0;
  struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)0x400000, 1};
  say("process_vm_readv", syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0));
  say("process_vm_writev", syscall(SYS_process_vm_writev, pid, &here, 1, &there, 1, 0));
  int pidfd = syscall(SYS_pidfd_open, pid, 0);
  say("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 3, 0));
  say("ptrace seize", ptrace(PTRACE_SEIZE, pid, 0, 0));
  say("ptrace attach", ptrace(PTRACE_ATTACH, pid, 0, 0));
}

/* Every process in sight, over and over, for so many milliseconds: whether one ever lets itself be looked into that has not exec'ed. */
static void hunt(int milliseconds) {
  struct timespec start, now;
  long tries = 0, caught = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    DIR *all = opendir("/proc");
    for (struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
      int pid = atoi(entry->d_name);
      char path[64], target[PATH_MAX];
      if (pid <= 1 || pid == getpid()) continue;
      tries += 1;
      snprintf(path, sizeof path, "/proc/%d/exe", pid);
      ssize_t length = readlink(path, target, sizeof target - 1);
      if (length < 0) continue;
      target[length] = 0;
      if (strstr(target, "strake-init") != NULL) caught += 1;
    }
    closedir(all);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < milliseconds);
  printf("tries\t%s\ncaught\t%ld\n", tries > 0 ? "done" : "none", caught);
}

/* R01: the program that a process runs, as what it is started again would be. */
static void executable(void) {
  char path[64];
  say("exe", open("/proc/self/exe", O_WRONLY));
  for (int pid = 1; pid < 200; pid += 1) {
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    int fd = open(path, O_RDWR);
    if (fd < 0) continue;
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    say(target, fd);
  }
}

/* R08 */
static void terminal(void) {
  char letter = 'x';
  say("TIOCSTI", ioctl(0, 0x5412, &letter));
  char code = 3;
  say("TIOCLINUX", ioctl(0, 0x541C, &code));
  printf("session\t%d %d\n", getsid(0), getpid());
}

static void connects(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
  /* Some libuv names them by all 108 bytes. */
  long result = connect(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 1 + strlen(name));
  say("abstract", result == 0 ? 0 : connect(fd, (struct sockaddr *)&address, sizeof address));
}

/* The serial number of the session keyring, as keyctl(2) tells it to whoever may. */
static void keyring(void) {
  long serial = syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3 /* KEY_SPEC_SESSION_KEYRING */, 0);
  printf("session\t%ld\n", serial < 0 ? -(long)errno : serial);
}

/* A command in a new session keyring, as a login has it. */
static void logs_in(char **words) {
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "strake-login");
  execvp(words[0], words);
}

/* R11: each goes on until it is refused, and says how far it came. */
static void forks(void) {
  long count = 0;
  for (; count < 20000; count += 1) {
    pid_t pid = fork();
    if (pid == 0) for (;;) pause();
    if (pid < 0) break;
  }
  printf("forks\t%s\t%ld\n", count < 20000 ? strerrorname_np(errno) : "done", count);
}

static void memory(void) {
  long count = 0;
  for (; count < 4096; count += 1) {
    char *block = malloc(1 << 20);
    if (block == NULL) break;
    memset(block, 1, 1 << 20);
  }
  printf("memory\t%s\t%ld\n", count < 4096 ? strerrorname_np(errno) : "done", count);
}

static void descriptors(void) {
  long count = 0;
  while (open("/dev/null", O_RDONLY) >= 0) count += 1;
  printf("descriptors\t%s\t%ld\n", strerrorname_np(errno), count);
}

static void flood(long processes) {
  for (long each = 0; each < processes; each += 1)
    if (fork() == 0) {
      descriptors();
      fflush(stdout);
      for (;;) pause();
    }
  for (;;) pause();
}

static void flight(void) {
  /* What is on its way counts for its sender's user, whatever process holds the socket (unix(7), ETOOMANYREFS). */
  union { struct cmsghdr head; char bytes[CMSG_SPACE(200 * sizeof(int))]; } control;
  char byte = 'x';
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int null = open("/dev/null", O_RDONLY), pair[2];
  long count = 0;
  control.head = (struct cmsghdr){CMSG_LEN(200 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  for (int at = 0; at < 200; at += 1) ((int *)CMSG_DATA(&control.head))[at] = null;
  while (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) {
    while (sendmsg(pair[0], &message, MSG_DONTWAIT) > 0) count += 200;
    if (errno != EAGAIN) break;
  }
  printf("flight\t%s\t%ld\n", strerrorname_np(errno), count);
  fflush(stdout);
  for (;;) pause();
}

static void watches(void) {
  long count = 0;
  while (count < 100000 && inotify_init() >= 0) count += 1;
  printf("watches\t%s\t%ld\n", count < 100000 ? strerrorname_np(errno) : "done", count);
}

static void pipes(void) {
  long count = 0, bytes = 0;
  int pair[2];
  for (; count < 100000 && pipe2(pair, O_NONBLOCK) == 0; count += 1) {
    fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
    static char block[65536];
    for (long written; (written = write(pair[1], block, sizeof block)) > 0;) bytes += written;
  }
  printf("pipes\t%s\t%ld\nbytes\t%ld\n", strerrorname_np(errno), count, bytes);
}

static void fills(const char *path) {
  static char block[1 << 20];
  long count = 0;
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) { say("fill", -1); return; }
  while (count < 1024 && write(fd, block, sizeof block) == (ssize_t)sizeof block) count += 1;
  printf("fill\t%s\t%ld\n", count < 1024 ? strerrorname_np(errno) : "done", count);
}

static void entries(const char *directory, long wanted) {
  char path[PATH_MAX];
  long count = 0;
  for (; count < wanted; count += 1) {
    snprintf(path, sizeof path, "%s/%ld", directory, count);
    if (mknod(path, S_IFREG | 0600, 0) < 0) break;
  }
  printf("entries\t%s\t%ld\n", count < wanted ? strerrorname_np(errno) : "done", count);
}

static void zombies(long wanted) {
  /* Orphans that end at once are PID 1's. */
  for (long count = 0; count < wanted; count += 1) {
    pid_t pid = fork();
    if (pid == 0) { if (fork() == 0) _exit(0); _exit(0); }
    waitpid(pid, 0, 0);
  }
  say("zombies", 0);
}

static void deaf(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, 0);
  for (int number = 1; number < 65; number += 1) signal(number, SIG_IGN);
  say("deaf", 0);
  for (;;) pause();
}

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "";
  if (strcmp(what, "namespaces") == 0) namespaces();
  else if (strcmp(what, "calls") == 0) calls();
  else if (strcmp(what, "writes") == 0) writes(words + 2);
  else if (strcmp(what, "process") == 0) process(atoi(words[2]));
  else if (strcmp(what, "hunt") == 0) hunt(atoi(words[2]));
  else if (strcmp(what, "executable") == 0) executable();
  else if (strcmp(what, "terminal") == 0) terminal();
  else if (strcmp(what, "connects") == 0) connects(words[2]);
  else if (strcmp(what, "keyring") == 0) keyring();
  else if (strcmp(what, "login") == 0) logs_in(words + 2);
  else if (strcmp(what, "forks") == 0) forks();
  else if (strcmp(what, "memory") == 0) memory();
  else if (strcmp(what, "descriptors") == 0) descriptors();
  else if (strcmp(what, "flood") == 0) flood(atol(words[2]));
  else if (strcmp(what, "flight") == 0) flight();
  else if (strcmp(what, "watches") == 0) watches();
  else if (strcmp(what, "pipes") == 0) pipes();
  else if (strcmp(what, "fills") == 0) fills(words[2]);
  else if (strcmp(what, "entries") == 0) entries(words[2], atol(words[3]));
  else if (strcmp(what, "zombies") == 0) zombies(atol(words[2]));
  else if (strcmp(what, "deaf") == 0) deaf();
  else if (strcmp(what, "attach") == 0) say("attach", ptrace(PTRACE_ATTACH, atoi(words[2]), 0, 0));
  else return 2;
  return 0;
}
