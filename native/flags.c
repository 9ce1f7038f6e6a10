/* Every flag of native/ops.json has the value that the kernel's headers give it: proven when this file is compiled. */
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <linux/wait.h>

#include "ops.gen.h"

/* Not in the kernel's exported headers; the values are those of the libcs. */
#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8
#define RLIMIT_RSS 5
#include <asm/resource.h>
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

/* On aarch64 two flags of open(2) have other numbers: the interpreter translates (open_flags). */
#ifdef __aarch64__
#undef O_DIRECTORY
#define O_DIRECTORY 0x10000
#undef O_NOFOLLOW
#define O_NOFOLLOW 0x20000
#endif

#define CHECK(name, value) _Static_assert((unsigned long long)(name) == (value), #name " differs from the kernel's");
STRAKE_FLAGS(CHECK)
