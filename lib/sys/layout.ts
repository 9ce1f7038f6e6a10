/**
 * The zygote's mount namespace: a small tmpfs that holds only what containers need. Every container starts with a copy of
 * it, mounts its own things under `scratch`, and pivots away from it.
 */
export const layout = {
  /** `$STRAKE_ROOT`; for root through an id-mapped mount. */
  store: '/store',
  /** Bind mounts of the host's /dev/null, zero, full, random, urandom, tty. */
  devices: '/devices',
  /** An empty directory, mounted read-only: what masks directories. */
  empty: '/empty',
  /** The lowest layer of every root: the mount points that an image may lack. */
  scaffold: '/scaffold',
  /** That of a build's commands: without /etc/hostname, which is the image's own there. */
  buildScaffold: '/build-scaffold',
  proc: '/proc',
  sys: '/sys',
  /** Mount points for a container's own use. */
  root: '/t/root',
  newProc: '/t/proc',
  newSys: '/t/sys',
  newDev: '/t/dev',
  newEtc: '/t/etc',
  newMounts: '/t/mounts',
} as const

export const deviceNames = ['null', 'zero', 'full', 'random', 'urandom', 'tty'] as const
