import { deviceNames, flags, layout, type Op } from '../sys/index.ts'

const { CLONE, OPEN_TREE, MOVE_MOUNT, MOUNT_ATTR, MS, MNT } = flags
/** A directory that every Linux has and everybody may enter: the small root is mounted there before it becomes `/`. */
const stage = '/proc'

function fileSystem(type: string, out: string, attributes: number, options: Readonly<Record<string, string>> = {}): Op[] {
  return [
    { op: 'fsopen', type, out: `${out}.context` },
    ...Object.entries(options).map(
      ([key, value]): Op => ({ op: 'fsconfig', fd: `${out}.context`, command: flags.FSCONFIG.FSCONFIG_SET_STRING, key, value }),
    ),
    { op: 'fsconfig', fd: `${out}.context`, command: flags.FSCONFIG.FSCONFIG_CMD_CREATE },
    { op: 'fsmount', fd: `${out}.context`, attributes, out },
    { op: 'close', fd: `${out}.context` },
  ]
}

function place(from: string, path: string): Op {
  return { op: 'moveMount', from, toPath: `${stage}${path}`, flags: MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH }
}

function directory(path: string): Op {
  return { op: 'mkdir', path: `${stage}${path}`, mode: 0o755 }
}

const hardened = MOUNT_ATTR.MOUNT_ATTR_NOSUID | MOUNT_ATTR.MOUNT_ATTR_NODEV | MOUNT_ATTR.MOUNT_ATTR_NOEXEC

/** Where one id is mapped apt(8) cannot become its own user; it is told so in the scaffold, which is part of no layer. */
function aptWithoutUsers(scaffold: string): Op[] {
  const directories = ['/etc/apt', '/etc/apt/apt.conf.d'].map((path) => directory(`${scaffold}${path}`))
  const path = `${stage}${scaffold}/etc/apt/apt.conf.d/99strake`
  return [
    ...directories,
    { op: 'write', path, flags: flags.O.O_WRONLY | flags.O.O_CREAT, mode: 0o644, data: Buffer.from('APT::Sandbox::User "root";\n') },
  ]
}

function scaffoldOps(scaffold: string, files: readonly string[], hasOneId: boolean): Op[] {
  return [
    directory(scaffold),
    ...['proc', 'sys', 'dev', 'etc'].map((name) => directory(`${scaffold}/${name}`)),
    ...files.map((name): Op => ({ op: 'mknod', path: `${stage}${scaffold}/etc/${name}`, mode: flags.S.S_IFREG | 0o644 })),
    ...(hasOneId ? aptWithoutUsers(scaffold) : []),
  ]
}

/**
 * What turns a fresh copy of the host's mount namespace into the small one of `layout`. A mount that came from the host
 * is locked and cannot be unmounted: so a tmpfs is built beside it with copies of what is needed, and the rest goes with
 * the old root. `store` is the path of the store, or undefined when the mount is given as the slot `store`.
 *
 * A fresh proc or sysfs is allowed only while another, uncovered, is in sight (mount_namespaces(7)), and a sysfs belongs to
 * a network namespace: it is mounted by a child in a new one, which shares this process's fds.
 */
export function setupOps(store: string | undefined, options: { readonly hasOneId: boolean }): Op[] {
  return [
    { op: 'umask', mask: 0 },
    { op: 'mount', target: '/', flags: MS.MS_REC | MS.MS_PRIVATE },
    ...(store === undefined
      ? []
      : ([{ op: 'openTree', path: store, flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC, out: 'store' }] satisfies Op[])),
    ...deviceNames.map(
      (name): Op => ({ op: 'openTree', path: `/dev/${name}`, flags: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC, out: name }),
    ),
    ...fileSystem('proc', 'proc', hardened),
    {
      op: 'fork',
      flags: CLONE.CLONE_VM | CLONE.CLONE_VFORK | CLONE.CLONE_FILES | CLONE.CLONE_NEWNET,
      ops: fileSystem('sysfs', 'sys', hardened | MOUNT_ATTR.MOUNT_ATTR_RDONLY),
    },
    ...fileSystem('tmpfs', 'root', 0, { mode: '0755' }),
    ...fileSystem('tmpfs', 'empty', hardened | MOUNT_ATTR.MOUNT_ATTR_RDONLY, { mode: '0755', size: '4k' }),
    { op: 'moveMount', from: 'root', toPath: stage, flags: MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH },
    ...[
      layout.store,
      layout.devices,
      layout.empty,
      layout.proc,
      layout.sys,
      '/t',
      layout.root,
      layout.newProc,
      layout.newSys,
      layout.newDev,
      layout.newEtc,
      layout.newMounts,
    ].map(directory),
    place('store', layout.store),
    place('proc', layout.proc),
    place('sys', layout.sys),
    place('empty', layout.empty),
    ...scaffoldOps(layout.scaffold, ['hosts', 'hostname', 'resolv.conf'], options.hasOneId),
    ...scaffoldOps(layout.buildScaffold, ['hosts', 'resolv.conf'], options.hasOneId),
    ...deviceNames.flatMap((name): Op[] => [
      { op: 'mknod', path: `${stage}${layout.devices}/${name}`, mode: flags.S.S_IFREG | 0o666 },
      place(name, `${layout.devices}/${name}`),
    ]),
    { op: 'chdir', path: stage },
    { op: 'pivotRoot', newRoot: '.', putOld: '.' },
    { op: 'umount', target: '.', flags: MNT.MNT_DETACH },
    { op: 'chdir', path: '/' },
    // From here on nobody in a container may look into the zygote or its copies (ptrace(2), /proc/PID/mem).
    { op: 'setDumpable', value: 0 },
  ]
}

const fileCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_MKNOD',
  'CAP_SETFCAP',
] as const

/** What makes a child an agent that sees nothing but what `mounts` has mounted on `layout.root`. */
export function confinedOps(mounts: readonly Op[]): Op[] {
  const keep = fileCapabilities.reduce((sum, name) => sum + 2 ** flags.CAP[name], 0)
  return [
    ...mounts,
    { op: 'chdir', path: layout.root },
    { op: 'pivotRoot', newRoot: '.', putOld: '.' },
    { op: 'umount', target: '.', flags: MNT.MNT_DETACH },
    { op: 'chdir', path: '/' },
    { op: 'capBounding', keep },
    { op: 'capSet', effective: keep, permitted: keep, inheritable: 0 },
    { op: 'noNewPrivs' },
    { op: 'serve', fd: 'channel' },
  ]
}

/** Mounts a directory of the zygote's mount namespace on `layout.root`. */
export function bindOps(path: string): Op[] {
  return [{ op: 'mount', source: path, target: layout.root, flags: MS.MS_BIND }]
}
