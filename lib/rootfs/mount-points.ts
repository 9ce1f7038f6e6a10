import { flags, layout, type Op } from '../sys/index.ts'
import { type MountSpec, mountOps } from './mounts.ts'

const { MS, MNT, O, RESOLVE, AT, MOUNT_ATTR } = flags

/** Files of /etc that are the engine's: mounted over the image's, so never part of a layer. */
export interface EngineFiles {
  readonly hosts: string
  /** Undefined: the image's own is what there is. */
  readonly hostname: string | undefined
  readonly resolvConf: string
  /** Default false. */
  readonly areReadonly?: boolean
}

/** The files of /etc that are the engine's. */
export const engineFileNames = ['hosts', 'hostname', 'resolv.conf'] as const

/** The file is there and empty, and a copy of its mount is in the slot `etc/NAME` (`preparedOps`). */
function engineFile(name: (typeof engineFileNames)[number], content: string | undefined, isReadonly: boolean): Op[] {
  if (content === undefined) return []
  return [
    ...(content === ''
      ? []
      : ([{ op: 'write', path: `${layout.newEtc}/${name}`, flags: O.O_WRONLY, data: Buffer.from(content) }] satisfies Op[])),
    ...(isReadonly
      ? ([{ op: 'mountSetattr', fd: `etc/${name}`, flags: AT.AT_EMPTY_PATH, set: MOUNT_ATTR.MOUNT_ATTR_RDONLY }] satisfies Op[])
      : []),
    // The image may have made a link of it: it is followed inside the root only, and not through /proc. A dangling one is left alone.
    {
      op: 'attach',
      from: `etc/${name}`,
      root: 'root',
      path: `etc/${name}`,
      resolve: RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS,
      tolerate: ['ENOENT', 'ENOTDIR'],
    },
  ]
}

/** A mount point of the engine's that is a link is an attack, and refused (CVE-2019-19921 and its kin): ELOOP. */
function attachTree(fromPath: string, path: string): Op {
  return { op: 'attach', fromPath, root: 'root', path, resolve: RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_SYMLINKS }
}

/** Attaches what was prepared to the root mounted on `layout.root`, and makes that `/`. The slot `root` stays open. */
export function enterRootOps(
  files: EngineFiles,
  options: { readonly readonly?: boolean | undefined; readonly mounts?: readonly MountSpec[] | undefined } = {},
): Op[] {
  const { areReadonly = false } = files
  return [
    { op: 'open', path: layout.root, flags: O.O_PATH | O.O_DIRECTORY, out: 'root' },
    ...engineFile('hosts', files.hosts, areReadonly),
    ...engineFile('hostname', files.hostname, areReadonly),
    ...engineFile('resolv.conf', files.resolvConf, areReadonly),
    ...(options.readonly ? ([{ op: 'mount', target: layout.root, flags: MS.MS_REMOUNT | MS.MS_BIND | MS.MS_RDONLY }] satisfies Op[]) : []),
    attachTree(layout.newProc, 'proc'),
    attachTree(layout.newSys, 'sys'),
    attachTree(layout.newDev, 'dev'),
    ...mountOps(options.mounts ?? []),
    { op: 'fchdir', fd: 'root' },
    { op: 'pivotRoot', newRoot: '.', putOld: '.' },
    { op: 'umount', target: '.', flags: MNT.MNT_DETACH },
    { op: 'chdir', path: '/' },
  ]
}
