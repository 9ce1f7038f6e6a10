/* Ops on what a process may do. */
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "fields.h"

/* <linux/resource.h> pulls in the libc's headers. */
struct limit {
  uint64_t soft;
  uint64_t hard;
};

static long op_cap_set(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
      {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
  };
  return SYS2(capset, &header, data);
}

static long op_cap_ambient(uint64_t set) {
  long result = SYS5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (uint32_t cap = 0; result >= 0 && cap < 64; cap += 1) {
    if (!(set >> cap & 1)) continue;
    if (SYS5(prctl, PR_CAPBSET_READ, cap, 0, 0, 0) < 0) break; /* a capability that this kernel does not have */
    result = SYS5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
  }
  return result;
}

static long op_cap_bounding(uint64_t keep) {
  for (uint32_t cap = 0; cap < 64; cap += 1) {
    if (keep >> cap & 1) continue;
    long result = SYS5(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (result == -EINVAL) return 0; /* the kernel has no capability of this number, nor any above */
    if (result < 0) return result;
  }
  return 0;
}

static long op_set_groups(struct fields *fields) {
  uint32_t count = u32(fields);
  const uint8_t *gids = take(fields, (size_t)count * 4);
  return gids == NULL ? -EINVAL : SYS2(setgroups, count, gids);
}

static long op_seccomp(const uint8_t *filter, size_t length, uint32_t flags) {
  if (length % sizeof(struct sock_filter) != 0 || length / sizeof(struct sock_filter) > BPF_MAXINSNS) return -EINVAL;
  struct sock_fprog program = {.len = (unsigned short)(length / sizeof(struct sock_filter)),
                               .filter = (struct sock_filter *)(uintptr_t)filter};
  return SYS3(seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

long run_rights_op(struct machine *machine, uint16_t code, struct fields *fields) {
  switch (code) {
    case OP_SET_RES_UID:
    case OP_SET_RES_GID: {
      uint32_t real = u32(fields);
      uint32_t effective = u32(fields);
      uint32_t saved = u32(fields);
      if (fields->bad) return -EINVAL;
      return code == OP_SET_RES_UID ? SYS3(setresuid, real, effective, saved) : SYS3(setresgid, real, effective, saved);
    }
    case OP_SET_GROUPS:
      return op_set_groups(fields);
    case OP_CAP_SET: {
      uint64_t effective = u64(fields);
      uint64_t permitted = u64(fields);
      uint64_t inheritable = u64(fields);
      return CHECKED(op_cap_set(effective, permitted, inheritable));
    }
    case OP_CAP_AMBIENT: {
      uint64_t set = u64(fields);
      return CHECKED(op_cap_ambient(set));
    }
    case OP_CAP_BOUNDING: {
      uint64_t keep = u64(fields);
      return CHECKED(op_cap_bounding(keep));
    }
    case OP_SET_SECUREBITS: {
      uint32_t bits = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_SECUREBITS, bits, 0, 0, 0));
    }
    case OP_NO_NEW_PRIVS:
      return SYS5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case OP_SET_DUMPABLE: {
      uint32_t value = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_DUMPABLE, value, 0, 0, 0));
    }
    case OP_SET_DEATH_SIGNAL: {
      uint32_t signal = u32(fields);
      return CHECKED(SYS5(prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0));
    }
    case OP_PRLIMIT: {
      uint32_t resource = u32(fields);
      struct limit limit;
      limit.soft = u64(fields);
      limit.hard = u64(fields);
      return CHECKED(SYS4(prlimit64, 0, resource, &limit, 0));
    }
    case OP_SECCOMP: {
      size_t length;
      const uint8_t *filter = bytes(fields, &length);
      uint32_t flags = u32(fields);
      return CHECKED(op_seccomp(filter, length, flags));
    }
    case OP_UMASK: {
      uint32_t mask = u32(fields);
      if (!fields->bad) SYS1(umask, mask);
      return CHECKED(0);
    }
    default:
      return run_mount_op(machine, code, fields);
  }
}
