import { StrakeError } from '../errors/index.ts'
import { flags, layout, type Op } from '../sys/index.ts'

/** The directories of an overlay, as paths of the zygote's mount namespace. */
export interface OverlaySpec {
  /** Unpacked layers, the top one first. */
  readonly lowers: readonly string[]
  /** Where writes go; none: a read-only view. */
  readonly upper?: string | undefined
  readonly work?: string | undefined
  /** Leaves out every sync: for an upper that is thrown away (overlayfs, "volatile"). */
  readonly volatile?: boolean | undefined
  /** What has the mount points that an image may lack; false leaves it out: the layers as they are, two of them at least. Default `layout.scaffold`. */
  readonly scaffold?: string | false | undefined
}

/** The options of one mount(2) fit in a page, its end marked by a NUL. */
const mostOptionBytes = 4095

function escaped(path: string): string {
  return path.replaceAll('\\', '\\\\').replaceAll(':', '\\:').replaceAll(',', '\\,')
}

/** Where all lowers have this directory in common, they are named relative to it: twice as many fit. */
const snapshots = `${layout.store}/snapshots`

function options(spec: OverlaySpec, lowers: readonly string[]): string {
  const parts = [`lowerdir=${lowers.map(escaped).join(':')}`, 'userxattr']
  if (spec.upper !== undefined && spec.work !== undefined) {
    parts.push(`upperdir=${escaped(spec.upper)}`, `workdir=${escaped(spec.work)}`)
    if (spec.volatile) parts.push('volatile')
  }
  return parts.join(',')
}

/** By fsconfig(2) each lower has a call of its own (Linux 6.5): any number of them. */
function mountByParts(spec: OverlaySpec, lowers: readonly string[], target: string): Op[] {
  const set = (key: string, value: string): Op => ({
    op: 'fsconfig',
    fd: 'overlay.context',
    command: flags.FSCONFIG.FSCONFIG_SET_STRING,
    key,
    value,
  })
  const flag = (key: string): Op => ({ op: 'fsconfig', fd: 'overlay.context', command: flags.FSCONFIG.FSCONFIG_SET_FLAG, key })
  return [
    { op: 'fsopen', type: 'overlay', out: 'overlay.context' },
    ...lowers.map((lower) => set('lowerdir+', lower)),
    ...(spec.upper !== undefined && spec.work !== undefined ? [set('upperdir', spec.upper), set('workdir', spec.work)] : []),
    ...(spec.upper !== undefined && spec.volatile ? [flag('volatile')] : []),
    flag('userxattr'),
    { op: 'fsconfig', fd: 'overlay.context', command: flags.FSCONFIG.FSCONFIG_CMD_CREATE },
    { op: 'fsmount', fd: 'overlay.context', out: 'overlay' },
    { op: 'moveMount', from: 'overlay', toPath: target, flags: flags.MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH },
    { op: 'close', fd: 'overlay.context' },
  ]
}

/**
 * Mounts the layers on `target`, over the scaffold that holds the mount points an image may lack. `userxattr`, since
 * every container is in a user namespace. Throws `limit_exceeded` for more than 500 layers (the kernel's own bound).
 */
export function overlayOps(spec: OverlaySpec, target: string = layout.root): Op[] {
  const { scaffold = layout.scaffold } = spec
  const lowers = scaffold === false ? spec.lowers : [...spec.lowers, scaffold]
  if (lowers.length > 500) throw new StrakeError('limit_exceeded', `An image may have 499 layers; this has ${spec.lowers.length}.`)
  // Without an upper the kernel wants two lowers at least.
  if (spec.upper === undefined && lowers.length < 2)
    return [{ op: 'mount', source: scaffold || layout.scaffold, target, flags: flags.MS.MS_BIND }]
  const whole = options(spec, lowers)
  if (Buffer.byteLength(whole) < mostOptionBytes) return [{ op: 'mount', source: 'overlay', target, type: 'overlay', data: whole }]
  const relative = lowers.map((lower) => (lower.startsWith(`${snapshots}/`) ? lower.slice(snapshots.length + 1) : lower))
  const shorter = options(spec, relative)
  if (Buffer.byteLength(shorter) < mostOptionBytes) {
    return [
      { op: 'chdir', path: snapshots },
      { op: 'mount', source: 'overlay', target, type: 'overlay', data: shorter },
      { op: 'chdir', path: '/' },
    ]
  }
  return mountByParts(spec, lowers, target)
}

/** The two directories of a fresh upper, in `directory`. */
export function freshUpper(directory: string, workName = 'work'): { upper: string; work: string; ops: Op[] } {
  const upper = `${directory}/upper`
  const work = `${directory}/${workName}`
  return {
    upper,
    work,
    ops: [
      { op: 'mkdir', path: directory, mode: 0o700, tolerate: ['EEXIST'] },
      { op: 'mkdir', path: upper, mode: 0o755, tolerate: ['EEXIST'] },
      { op: 'mkdir', path: work, mode: 0o700, tolerate: ['EEXIST'] },
    ],
  }
}
