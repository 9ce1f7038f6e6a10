import { existsSync } from 'node:fs'
import type { Controller } from './hierarchy.ts'
import { ourName } from './owner.ts'

/** The one command that gives this user cgroups, for the kind of cgroups and of init that the machine has. */
export function advice(kind: 'v2' | 'v1' | 'unmounted', missing: readonly Controller[]): string {
  const uid = process.getuid?.() ?? 0
  if (kind === 'unmounted') return 'sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup'
  if (kind === 'v1') {
    return (
      `sudo sh -c 'for c in ${(missing.length ? missing : ['memory']).map((name) => (name === 'io' ? 'blkio' : name)).join(' ')}; do ` +
      `d=/sys/fs/cgroup/$c/${ourName}-${uid}; mkdir -p $d && chown ${uid} $d $d/cgroup.procs; done'`
    )
  }
  const systemd = existsSync('/run/systemd/system')
  if (uid === 0) {
    return systemd
      ? 'systemd-run --scope -p Delegate=yes -- COMMAND'
      : 'mount -o remount,rw /sys/fs/cgroup (in a container: start it with --privileged --cgroupns=private)'
  }
  if (!systemd) {
    return (
      `sudo sh -c 'd=/sys/fs/cgroup/${ourName}-${uid}; echo "+memory +cpu +pids +cpuset +io" > /sys/fs/cgroup/cgroup.subtree_control; ` +
      `mkdir -p $d/session && chown ${uid} $d $d/cgroup.procs $d/cgroup.subtree_control $d/session $d/session/cgroup.procs && ` +
      `echo '$$' > $d/session/cgroup.procs'`
    )
  }
  if (missing.length === 0) return 'systemd-run --user --scope -- COMMAND'
  return (
    "sudo sh -c 'mkdir -p /etc/systemd/system/user@.service.d && " +
    'printf "[Service]\\nDelegate=cpu cpuset io memory pids\\n" > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload\' ' +
    '(then log in anew)'
  )
}
