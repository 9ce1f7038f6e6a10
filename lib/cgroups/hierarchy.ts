/** The controllers that limits and accounting need. */
export const controllers = ['memory', 'cpu', 'cpuacct', 'pids', 'cpuset', 'io', 'freezer'] as const
export type Controller = (typeof controllers)[number]

/** A mounted hierarchy, and this process's own group in it. */
export interface Hierarchy {
  readonly mountPoint: string
  /** The directory of the group that this process is in; undefined where the mount does not show it. */
  readonly own: string | undefined
}

export type Layout =
  | { readonly kind: 'v2'; readonly hierarchy: Hierarchy }
  | { readonly kind: 'v1'; readonly hierarchies: ReadonlyMap<Controller, Hierarchy> }
  | { readonly kind: 'none' }

interface Mount {
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

/**
 * Which cgroups this machine has, from /proc/self/mountinfo and /proc/self/cgroup (cgroups(7), proc(5)). On a hybrid machine the
 * cgroup2 mount has no controllers that matter and v1 is chosen; `controllersOf` reads a directory's `cgroup.controllers`.
 */
export function layoutOf(mountinfo: string, selfCgroup: string, controllersOf: (directory: string) => readonly string[]): Layout {
  const mounts = mountinfo.split('\n').flatMap(parseMount)
  const paths = parseMembership(selfCgroup)

  const unified = mounts.filter((mount) => mount.type === 'cgroup2')
  const useful = unified.find((mount) => controllersOf(mount.point).some((name) => ['memory', 'cpu', 'pids'].includes(name)))
  if (useful) return { kind: 'v2', hierarchy: hierarchyOf(useful, paths.get('')) }

  const hierarchies = new Map<Controller, Hierarchy>()
  for (const mount of mounts) {
    if (mount.type !== 'cgroup') continue
    for (const controller of controllers) {
      const name = controller === 'io' ? 'blkio' : controller
      if (mount.options.includes(name) && !hierarchies.has(controller)) hierarchies.set(controller, hierarchyOf(mount, paths.get(name)))
    }
  }
  return hierarchies.size > 0 ? { kind: 'v1', hierarchies } : { kind: 'none' }
}

/** One line of mountinfo: `36 35 98:0 /root /point options optional… - type source superoptions`. */
function parseMount(line: string): Mount[] {
  const [left, right] = line.split(' - ')
  if (left === undefined || right === undefined) return []
  const [, , , root, point] = left.split(' ')
  const [type, , options] = right.split(' ')
  if (root === undefined || point === undefined || type === undefined || !type.startsWith('cgroup')) return []
  return [{ root: plainPath(root), point: plainPath(point), type, options: (options ?? '').split(',') }]
}

/** Space, tab, newline and backslash are octal in mountinfo. */
function plainPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** Lines `4:memory,cpu:/path` by controller; that of cgroup v2 (`0::/path`) by ''. */
function parseMembership(text: string): Map<string, string> {
  const paths = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line)
    if (match) for (const name of (match[1] ?? '').split(',')) paths.set(name, match[2] ?? '/')
  }
  return paths
}

/** A mount may show only a part of its hierarchy (a container's does): `root` is where that part begins. */
function hierarchyOf(mount: Mount, path: string | undefined): Hierarchy {
  const inside = path !== undefined && !path.split('/').includes('..') && (mount.root === '/' || `${path}/`.startsWith(`${mount.root}/`))
  if (!inside) return { mountPoint: mount.point, own: undefined }
  const relative = mount.root === '/' ? path : path.slice(mount.root.length)
  return { mountPoint: mount.point, own: `${mount.point}${relative}`.replace(/\/+$/, '') }
}
