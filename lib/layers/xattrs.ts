import { layerInvalid } from './limits.ts'

/** What becomes of an xattr that a layer brings. */
export type XattrOutcome = { readonly keep: Buffer } | { readonly drop: string }

/** XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h, in bytes (xattr(7)). */
const largestName = 255
const largestValue = 65_536

/** Refuses what no file system of Linux could have for an xattr, so that it is none. Names are bytes, one a character. Throws `layer_invalid`. */
export function checkXattr(name: string, value: Buffer): void {
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
  if (name === '' || name.includes('\0')) throw layerInvalid(`an xattr whose name is empty or has a NUL in it: ${shown}`)
  if (name.length > largestName) throw layerInvalid(`an xattr whose name has more than ${largestName} bytes: ${shown}`)
  if (value.length > largestValue) throw layerInvalid(`the xattr ${shown} has more than ${largestValue} bytes`)
}

const overlayPrefixes = ['user.overlay.', 'trusted.overlay.', 'user.fuseoverlayfs.']

/** Whether a name is one of overlayfs' own marks, which are never content. */
export function isOverlayMark(name: string): boolean {
  return overlayPrefixes.some((prefix) => name.startsWith(prefix))
}

/**
 * - overlayfs' marks would take effect: dropped.
 * - `security.capability` is brought to revision 2, without a root id: the kernel gives it the one of the namespace that
 *   sets it (capabilities(7), "File capability versioning").
 * - other `security.*` and all `trusted.*` belong to the host: dropped.
 */
export function judgeXattr(name: string, value: Buffer): XattrOutcome {
  if (isOverlayMark(name)) return { drop: 'a mark of overlayfs' }
  if (name === 'security.capability') {
    const plain = plainCapability(value)
    return plain ? { keep: plain } : { drop: 'not a file capability' }
  }
  if (name.startsWith('user.') || name === 'system.posix_acl_access' || name === 'system.posix_acl_default') return { keep: value }
  return { drop: 'not for a container to set' }
}

const revisionMask = 0xff000000
const revision2 = 0x02000000
const revision3 = 0x03000000

/** struct vfs_cap_data of linux/capability.h in revision 2; undefined when it is not one. */
export function plainCapability(value: Buffer): Buffer | undefined {
  if (value.length < 4) return undefined
  const magic = value.readUInt32LE(0)
  const revision = (magic & revisionMask) >>> 0
  if (revision === revision2 && value.length === 20) return value
  if (revision !== revision3 || value.length !== 24) return undefined
  const plain = Buffer.from(value.subarray(0, 20))
  plain.writeUInt32LE(((magic & ~revisionMask) | revision2) >>> 0, 0)
  return plain
}
