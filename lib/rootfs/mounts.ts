import { flags, layout, type Op } from '../sys/index.ts'
import { overlayOps } from './overlay.ts'

const { MS, O, RESOLVE, OPEN_TREE, MOUNT_ATTR, AT } = flags

/** Inside the root only, wherever a link of the image may point, and through no file of /proc. */
const inside = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS

interface Target {
  /** Absolute, in the container; links are followed inside its root. */
  readonly target: string
  readonly isReadonly?: boolean | undefined
}

/** A mount of one container's own, beside those of the engine. Paths of sources are the zygote's. */
export type MountSpec = Target &
  (
    | { readonly kind: 'bind'; readonly source: string; readonly isFile?: boolean }
    /** What layers, the top one first, have at `path`; written to the directory `writes`, if there is one. */
    | {
        readonly kind: 'layers'
        readonly lowers: readonly string[]
        readonly path: string
        readonly isFile: boolean
        readonly writes?: string | undefined
      }
    | { readonly kind: 'tmpfs'; readonly bytes?: number | undefined }
    /** A file in memory. */
    | { readonly kind: 'file'; readonly content: Uint8Array; readonly mode: number; readonly uid: number; readonly gid: number }
  )

function isFile(mount: MountSpec): boolean {
  return mount.kind === 'file' || ((mount.kind === 'bind' || mount.kind === 'layers') && mount.isFile === true)
}

function cloned(path: string, fd?: string): Op {
  const own = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC
  return fd === undefined
    ? { op: 'openTree', path, flags: own, out: 'mount' }
    : { op: 'openTree', fd, path, flags: own | OPEN_TREE.AT_EMPTY_PATH, out: 'mount' }
}

/** Puts a copy of the mount into the slot `mount`. `place` is a name that is free in the stage. */
function sourceOps(mount: MountSpec, place: string): Op[] {
  switch (mount.kind) {
    case 'bind':
      return [cloned(mount.source)]
    case 'tmpfs': {
      const data = `mode=1777${mount.bytes === undefined ? '' : `,size=${mount.bytes}`}`
      return [
        { op: 'mkdir', path: place, mode: 0o700 },
        { op: 'mount', source: 'tmpfs', target: place, type: 'tmpfs', flags: MS.MS_NOSUID | MS.MS_NODEV, data },
        cloned(place),
      ]
    }
    case 'file':
      return [
        { op: 'write', path: place, flags: O.O_WRONLY | O.O_CREAT | O.O_EXCL, mode: 0o600, data: mount.content },
        ...(mount.uid === 0 && mount.gid === 0 ? [] : ([{ op: 'chown', path: place, uid: mount.uid, gid: mount.gid }] satisfies Op[])),
        { op: 'chmod', path: place, mode: mount.mode },
        cloned(place),
      ]
    case 'layers':
      return [{ op: 'mkdir', path: place, mode: 0o700 }, ...layersOps(mount, place)]
  }
}

function layersOps(mount: Extract<MountSpec, { kind: 'layers' }>, place: string): Op[] {
  const [only, ...others] = mount.lowers
  const overlay: Op[] =
    mount.writes !== undefined
      ? overlayOps(
          { lowers: mount.lowers, upper: `${mount.writes}/upper`, work: `${mount.writes}/work`, volatile: true, scaffold: false },
          place,
        )
      : only !== undefined && others.length === 0
        ? [{ op: 'mount', source: only, target: place, flags: MS.MS_BIND }]
        : overlayOps({ lowers: mount.lowers, scaffold: false }, place)
  return [
    ...overlay,
    { op: 'open', path: place, flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, out: 'mount.root' },
    { op: 'open', fd: 'mount.root', path: mount.path, flags: O.O_PATH | O.O_CLOEXEC, resolve: inside, out: 'mount.source' },
    cloned('', 'mount.source'),
    { op: 'close', fd: 'mount.source' },
    { op: 'close', fd: 'mount.root' },
  ]
}

/** Mount points in what was mounted before: no image has them, and what was mounted may not let them be made. */
function makePoint(mount: MountSpec, above: string): Op[] {
  const names = mount.target
    .slice(above.length)
    .split('/')
    .filter((name) => name !== '')
  return names.flatMap((name, index): Op[] => {
    const parent = [above, ...names.slice(0, index)].join('/').slice(1)
    const isLast = index === names.length - 1
    return [
      { op: 'open', fd: 'root', path: parent, flags: O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, resolve: inside, out: 'mount.parent' },
      isLast && isFile(mount)
        ? {
            op: 'open',
            fd: 'mount.parent',
            path: name,
            flags: O.O_WRONLY | O.O_CREAT | O.O_CLOEXEC,
            mode: 0o644,
            resolve: inside,
            out: 'mount.point',
          }
        : { op: 'mkdir', fd: 'mount.parent', path: name, mode: 0o755, tolerate: ['EEXIST', 'EROFS'] },
      ...(isLast && isFile(mount) ? ([{ op: 'close', fd: 'mount.point' }] satisfies Op[]) : []),
      { op: 'close', fd: 'mount.parent' },
    ]
  })
}

function depth({ target }: MountSpec): number {
  return target.split('/').length
}

/**
 * Attaches mounts to the root that the slot `root` is, outer ones first. Mount points are there already, but for those in what is mounted
 * before them.
 */
export function mountOps(mounts: readonly MountSpec[]): Op[] {
  if (mounts.length === 0) return []
  const sorted = [...mounts].sort((one, other) => depth(one) - depth(other))
  const attached = ['/dev']
  return [
    { op: 'mount', source: 'tmpfs', target: layout.newMounts, type: 'tmpfs', flags: MS.MS_NOSUID | MS.MS_NODEV, data: 'mode=700' },
    ...sorted.flatMap((mount, index): Op[] => {
      const above = attached.filter((path) => mount.target.startsWith(`${path}/`)).at(-1)
      attached.push(mount.target)
      return [
        ...sourceOps(mount, `${layout.newMounts}/${index}`),
        ...(mount.isReadonly
          ? ([{ op: 'mountSetattr', fd: 'mount', flags: AT.AT_EMPTY_PATH, set: MOUNT_ATTR.MOUNT_ATTR_RDONLY }] satisfies Op[])
          : []),
        ...(above === undefined ? [] : makePoint(mount, above)),
        { op: 'attach', from: 'mount', root: 'root', path: mount.target.slice(1), resolve: inside },
        { op: 'close', fd: 'mount' },
      ]
    }),
  ]
}
