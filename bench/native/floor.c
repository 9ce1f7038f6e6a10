/*
 * The floor: what a container costs when nothing but system calls is paid for. One process with all of a container's ingredients
 * hard-coded: it enters a user namespace once, then for each byte on stdin makes a container (namespaces, overlay, /proc, /sys, /dev,
 * masks, pivot, capabilities, no_new_privs, the engine's own seccomp program), runs ROOT/lower/bin/true in it, and prints how many
 * microseconds passed from clone to the exit's report. Nothing is made ahead.
 *
 *   floor ROOT FILTER      ROOT: a directory with lower/, containers/, new/; FILTER: a file of struct sock_filter
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HARDENED (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)

static const char *devices[] = {"null", "zero", "full", "random", "urandom", "tty", NULL};
static const char *masked_files[] = {"interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list", "timer_stats", NULL};
static const char *masked_directories[] = {"proc/acpi", "proc/asound", "proc/scsi", "sys/firmware", "sys/devices/virtual/powercap", NULL};
static const char *readonly_paths[] = {"bus", "fs", "irq", "sys", "sysrq-trigger", NULL};
static struct sock_fprog filter;

static void must(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(1);
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  must(fd, path);
  must(write(fd, text, strlen(text)), path);
  close(fd);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT, 0644);
  must(fd, path);
  must(write(fd, text, strlen(text)), path);
  close(fd);
}

static void bring_loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd, "socket");
  must(ioctl(fd, SIOCGIFFLAGS, &request), "SIOCGIFFLAGS");
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  must(ioctl(fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
  close(fd);
}

/* All paths are relative to ROOT/new, the container's root to be. */
static void make_devices(void) {
  char from[64];
  char to[64];
  must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"), "/dev");
  for (int at = 0; devices[at] != NULL; at += 1) {
    snprintf(from, sizeof from, "/dev/%s", devices[at]);
    snprintf(to, sizeof to, "dev/%s", devices[at]);
    must(mknod(to, S_IFREG | 0666, 0), to);
    must(mount(from, to, NULL, MS_BIND, NULL), to);
  }
  must(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
  must(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
  must(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
  must(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
  must(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");
  mkdir("dev/pts", 0755);
  mkdir("dev/shm", 0755);
  mkdir("dev/mqueue", 0755);
  must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"), "/dev/pts");
  must(mount("shm", "dev/shm", "tmpfs", HARDENED, "mode=1777,size=65536k"), "/dev/shm");
  must(mount("mqueue", "dev/mqueue", "mqueue", HARDENED, NULL), "/dev/mqueue");
}

static void mask(void) {
  char path[64];
  for (int at = 0; masked_files[at] != NULL; at += 1) {
    snprintf(path, sizeof path, "proc/%s", masked_files[at]);
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT) must(-1, path);
  }
  for (int at = 0; masked_directories[at] != NULL; at += 1)
    if (mount("../empty", masked_directories[at], NULL, MS_BIND, NULL) < 0 && errno != ENOENT) must(-1, masked_directories[at]);
  for (int at = 0; readonly_paths[at] != NULL; at += 1) {
    snprintf(path, sizeof path, "proc/%s", readonly_paths[at]);
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) continue;
    must(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | HARDENED, NULL), path);
  }
}

static void bind_engine_files(void) {
  static const char *names[] = {"hosts", "hostname", "resolv.conf", NULL};
  char from[64];
  char to[64];
  must(mount("tmpfs", "../etc", "tmpfs", HARDENED, "mode=755,size=1m"), "etc");
  for (int at = 0; names[at] != NULL; at += 1) {
    snprintf(from, sizeof from, "../etc/%s", names[at]);
    snprintf(to, sizeof to, "etc/%s", names[at]);
    put(from, "floor\n");
    must(mount(from, to, NULL, MS_BIND, NULL), to);
  }
}

static void confine(void) {
  static const uint32_t kept = 0xa80425fb; /* Docker's default set */
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{kept, kept, 0}, {0, 0, 0}};
  for (int capability = 0; capability <= 40; capability += 1)
    if (capability > 31 || !((kept >> capability) & 1)) must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "bounding set");
  must(syscall(SYS_capset, &header, sets), "capset");
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter), "seccomp");
}

static void container(unsigned number) {
  static char *argv[] = {"/bin/true", NULL};
  static char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL};
  char path[64];
  char options[256];
  int status = 0;
  must(sethostname("floor", 5), "hostname");
  bring_loopback_up();
  snprintf(path, sizeof path, "containers/%u", number);
  must(mkdir(path, 0700), path);
  snprintf(path, sizeof path, "containers/%u/upper", number);
  must(mkdir(path, 0755), path);
  snprintf(path, sizeof path, "containers/%u/work", number);
  must(mkdir(path, 0700), path);
  snprintf(options, sizeof options, "lowerdir=lower,upperdir=containers/%u/upper,workdir=containers/%u/work,userxattr,volatile", number, number);
  must(mount("overlay", "new", "overlay", 0, options), "overlay");
  must(chdir("new"), "new");
  must(mount("proc", "proc", "proc", HARDENED, NULL), "/proc");
  must(mount("sysfs", "sys", "sysfs", HARDENED | MS_RDONLY, NULL), "/sys");
  make_devices();
  mask();
  bind_engine_files();
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "umount");
  must(chdir("/"), "/");
  confine();
  pid_t pid = vfork();
  must(pid, "vfork");
  if (pid == 0) {
    setsid();
    execve(argv[0], argv, envp);
    _exit(127);
  }
  waitpid(pid, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static void enter_user_namespace(void) {
  char map[64];
  unsigned uid = getuid();
  unsigned gid = getgid();
  must(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
  write_text("/proc/self/setgroups", "deny");
  snprintf(map, sizeof map, "0 %u 1", uid);
  write_text("/proc/self/uid_map", map);
  snprintf(map, sizeof map, "0 %u 1", gid);
  write_text("/proc/self/gid_map", map);
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
}

static void read_filter(const char *path) {
  static struct sock_filter program[4096];
  int fd = open(path, O_RDONLY);
  must(fd, path);
  ssize_t length = read(fd, program, sizeof program);
  must(length, path);
  close(fd);
  filter = (struct sock_fprog){.len = (unsigned short)((size_t)length / sizeof program[0]), .filter = program};
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

int main(int count, char **arguments) {
  char byte;
  if (count != 3) return 2;
  read_filter(arguments[2]);
  must(chdir(arguments[1]), arguments[1]);
  enter_user_namespace();
  for (unsigned number = 0; read(0, &byte, 1) == 1; number += 1) {
    int status = 0;
    double begin = now();
    struct clone_args options = {.flags = NAMESPACES, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &options, sizeof options);
    must(pid, "clone3");
    if (pid == 0) container(number);
    waitpid(pid, &status, 0);
    double took = now() - begin;
    if (status != 0) return 1;
    printf("%.0f\n", took);
    fflush(stdout);
  }
  return 0;
}
