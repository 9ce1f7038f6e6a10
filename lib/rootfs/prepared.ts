import { deviceNames, flags, layout, type Op } from '../sys/index.ts'
import { engineFileNames } from './mount-points.ts'

const { MS, CLONE, MOUNT_ATTR } = flags
const hardened = MS.MS_NOSUID | MS.MS_NODEV | MS.MS_NOEXEC

/** Of the ids that a container usually has. One with fewer keeps what was set before. */
const lastGroup = 65_535

/** What of a container's file systems depends on nothing but these choices, so that it can be made ahead of time. */
export interface PreparedSpec {
  /** `own`: a network namespace with nothing but loopback. `host`: the zygote's. */
  readonly network: 'own' | 'host'
  /** Bytes of /dev/shm. */
  readonly shmSize: number
  /** Whether ids other than 0 are mapped: the terminals' group (5) is only then. */
  readonly hasGroups: boolean
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  /** The capabilities that stay in the bounding set, as a mask. */
  readonly bounding: number
}

const directoryMasks = new Set(['/proc/acpi', '/proc/asound', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'])
const fileMasks = new Set([
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/timer_list',
  '/proc/timer_stats',
])

/** Where a path of /proc or /sys is before the container's root is there; undefined for any other. */
function staged(path: string): string | undefined {
  if (path.startsWith('/proc/')) return `${layout.newProc}${path.slice('/proc'.length)}`
  if (path.startsWith('/sys/')) return `${layout.newSys}${path.slice('/sys'.length)}`
  return undefined
}

function mask(path: string): Op[] {
  const target = staged(path)
  if (target === undefined) return []
  const cover = (source: string): Op => ({ op: 'mount', source, target, flags: MS.MS_BIND, tolerate: ['ENOENT', 'ENOTDIR'] })
  if (directoryMasks.has(path)) return [cover(layout.empty)]
  if (fileMasks.has(path)) return [cover(`${layout.devices}/null`)]
  return [cover(`${layout.devices}/null`), cover(layout.empty)]
}

function makeReadonly(path: string): Op[] {
  const target = staged(path)
  if (target === undefined) return []
  return [
    { op: 'mount', source: target, target, flags: MS.MS_BIND | MS.MS_REC, tolerate: ['ENOENT'] },
    { op: 'mount', target, flags: MS.MS_REMOUNT | MS.MS_BIND | MS.MS_RDONLY | hardened, tolerate: ['ENOENT', 'EINVAL'] },
  ]
}

/** A sysfs shows a network namespace and wants its owner: with the host's network it comes from a child in one of its own. */
function sysfs(network: 'own' | 'host'): Op[] {
  if (network === 'own') return [{ op: 'mount', source: 'sysfs', target: layout.newSys, type: 'sysfs', flags: hardened | MS.MS_RDONLY }]
  const attributes =
    MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOEXEC | MOUNT_ATTR.MOUNT_ATTR_RDONLY
  return [
    {
      op: 'fork',
      flags: CLONE.CLONE_VM | CLONE.CLONE_VFORK | CLONE.CLONE_FILES | CLONE.CLONE_NEWNET,
      ops: [
        { op: 'fsopen', type: 'sysfs', out: 'sys.context' },
        { op: 'fsconfig', fd: 'sys.context', command: flags.FSCONFIG.FSCONFIG_CMD_CREATE },
        { op: 'fsmount', fd: 'sys.context', attributes, out: 'sys' },
      ],
    },
    { op: 'moveMount', from: 'sys', toPath: layout.newSys, flags: flags.MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH },
    { op: 'close', fd: 'sys' },
    { op: 'close', fd: 'sys.context' },
  ]
}

const deviceLinks = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
  ptmx: 'pts/ptmx',
  core: '/proc/kcore',
}

function devices(spec: PreparedSpec): Op[] {
  const dev = layout.newDev
  const terminals = `newinstance,ptmxmode=0666,mode=0620${spec.hasGroups ? ',gid=5' : ''}`
  return [
    { op: 'mount', source: 'tmpfs', target: dev, type: 'tmpfs', flags: MS.MS_NOSUID | MS.MS_STRICTATIME, data: 'mode=755,size=65536k' },
    ...deviceNames.flatMap((name): Op[] => [
      { op: 'mknod', path: `${dev}/${name}`, mode: flags.S.S_IFREG | 0o666 },
      { op: 'mount', source: `${layout.devices}/${name}`, target: `${dev}/${name}`, flags: MS.MS_BIND },
    ]),
    ...Object.entries(deviceLinks).map(([name, target]): Op => ({ op: 'symlink', target, path: `${dev}/${name}` })),
    ...['pts', 'shm', 'mqueue'].map((name): Op => ({ op: 'mkdir', path: `${dev}/${name}`, mode: 0o755 })),
    { op: 'mount', source: 'devpts', target: `${dev}/pts`, type: 'devpts', flags: MS.MS_NOSUID | MS.MS_NOEXEC, data: terminals },
    { op: 'mount', source: 'shm', target: `${dev}/shm`, type: 'tmpfs', flags: hardened, data: `mode=1777,size=${spec.shmSize}` },
    { op: 'mount', source: 'mqueue', target: `${dev}/mqueue`, type: 'mqueue', flags: hardened },
  ]
}

/** What Docker's containers have: any user may use ports below 1024 (ip(7)), and ping sockets (icmp(7)), whose groups must be mapped. */
function networkSettings(hasGroups: boolean): Op[] {
  const set = (name: string, text: string): Op => ({
    op: 'write',
    path: `${layout.newProc}/sys/net/ipv4/${name}`,
    flags: flags.O.O_WRONLY,
    data: Buffer.from(text),
    tolerate: ['EINVAL', 'ENOENT'],
  })
  return [
    set('ip_unprivileged_port_start', '0'),
    set('ping_group_range', '0 0'),
    ...(hasGroups ? [set('ping_group_range', `0 ${lastGroup}`)] : []),
  ]
}

function makePrepared(spec: PreparedSpec): readonly Op[] {
  return [
    ...(spec.network === 'own' ? ([{ op: 'linkUp', name: 'lo' }] satisfies Op[]) : []),
    { op: 'mount', source: 'proc', target: layout.newProc, type: 'proc', flags: hardened },
    ...(spec.network === 'own' ? networkSettings(spec.hasGroups) : []),
    ...spec.readonlyPaths.flatMap(makeReadonly),
    ...sysfs(spec.network),
    ...spec.maskedPaths.flatMap(mask),
    ...devices(spec),
    { op: 'mount', source: 'tmpfs', target: layout.newEtc, type: 'tmpfs', flags: hardened, data: 'mode=755,size=1m' },
    ...engineFileNames.flatMap(emptyEngineFile),
    { op: 'capBounding', keep: spec.bounding },
  ]
}

/** A file that the container's own content is written to later, and a copy of its mount to be attached, in the slot of its name. */
function emptyEngineFile(name: string): Op[] {
  const path = `${layout.newEtc}/${name}`
  return [
    { op: 'mknod', path, mode: flags.S.S_IFREG | 0o644 },
    { op: 'openTree', path, flags: flags.OPEN_TREE.OPEN_TREE_CLONE | flags.OPEN_TREE.OPEN_TREE_CLOEXEC, out: `etc/${name}` },
  ]
}

const made = new Map<string, readonly Op[]>()

/** /proc, /sys and /dev of a container, mounted aside. The same choices give the very same list. */
export function preparedOps(spec: PreparedSpec): readonly Op[] {
  const key = JSON.stringify([spec.network, spec.shmSize, spec.hasGroups, spec.maskedPaths, spec.readonlyPaths, spec.bounding])
  const known = made.get(key)
  if (known) return known
  const ops = makePrepared(spec)
  made.set(key, ops)
  return ops
}
