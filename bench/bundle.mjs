// The config.json of an OCI bundle that asks for what Strake's default container has.
import { existsSync, readFileSync } from 'node:fs'

const profilePath = '/usr/share/containers/seccomp.json'

const capabilities = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
].map((name) => `CAP_${name}`)

/** The profile's rules that hold for this architecture and these capabilities, in the form of an OCI config. */
function seccomp() {
  if (!existsSync(profilePath)) return undefined
  const profile = JSON.parse(readFileSync(profilePath, 'utf8'))
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const holds = ({ includes = {}, excludes = {} }) =>
    (includes.arches ?? [arch]).includes(arch) &&
    (includes.caps ?? []).every((each) => capabilities.includes(each)) &&
    !(excludes.caps ?? []).some((each) => capabilities.includes(each)) &&
    !(excludes.arches ?? []).includes(arch)
  const known = profile.archMap?.find(({ architecture }) => architecture === (arch === 'amd64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'))
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet,
    architectures: known ? [known.architecture, ...(known.subArchitectures ?? [])] : [],
    syscalls: profile.syscalls.filter(holds).map(({ names, action, args, errnoRet }) => ({
      names,
      action,
      ...(errnoRet === undefined ? {} : { errnoRet }),
      ...(args?.length ? { args } : {}),
    })),
  }
}

export const hasProfile = existsSync(profilePath)

const hardened = ['nosuid', 'noexec', 'nodev']

export function bundleConfig(rootfs) {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/true'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: false },
    hostname: 'bench',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: hardened },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
      },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...hardened, 'mode=1777', 'size=65536k'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: hardened },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...hardened, 'ro'] },
    ],
    linux: {
      namespaces: ['user', 'pid', 'mount', 'uts', 'ipc', 'network', 'cgroup'].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/interrupts',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/sys/devices/virtual/powercap',
        '/sys/firmware',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      seccomp: seccomp(),
    },
  }
}
