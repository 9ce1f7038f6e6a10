import { StrakeError } from '../errors/index.ts'
import { type LayerLimits, layerInvalid, limitExceeded } from './limits.ts'
import { printable } from './walk.ts'

/**
 * A path as bytes in a string, one character (U+0000 to U+00FF) a byte: what maps and comparisons need, and nothing that is not
 * UTF-8 gets lost.
 */
export type ByteString = string

export function toByteString(path: string | Uint8Array): ByteString {
  return typeof path === 'string'
    ? Buffer.from(path).toString('latin1')
    : Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString('latin1')
}

export function fromByteString(path: ByteString): Buffer {
  return Buffer.from(path, 'latin1')
}

/**
 * The components of an entry's path under the root. A leading slash means the root, `.` and doubled slashes nothing. `..` is refused with
 * `path_escapes` wherever it stands, as GNU tar does: what it means depends on links.
 */
export function componentsOf(path: Uint8Array, limits: LayerLimits): ByteString[] {
  const components = toByteString(path)
    .split('/')
    .filter((each) => each !== '' && each !== '.')
  for (const each of components) {
    if (each === '..')
      throw new StrakeError('path_escapes', `an entry's path has .. in it: ${printable(Buffer.from(path))}`, {
        details: { path: Buffer.from(path).toString() },
      })
    if (each.length > limits.nameBytes) throw limitExceeded('nameBytes', limits.nameBytes, 'length of a name')
  }
  return components
}

/** A path up to its last slash, and what follows. */
export function splitText(path: Buffer): { readonly directory: ByteString; readonly name: ByteString } {
  const text = path.toString('latin1')
  const cut = text.lastIndexOf('/') + 1
  return { directory: text.slice(0, cut), name: text.slice(cut) }
}

/** Whether the last component of an entry's path is the name of a file and nothing else. */
export function isPlainName(name: ByteString, limits: LayerLimits): boolean {
  return name !== '' && name !== '.' && name !== '..' && name.length <= limits.nameBytes && !name.startsWith(whiteoutPrefix)
}

export const whiteoutPrefix = '.wh.'
const metaPrefix = '.wh..wh.'
const opaqueName = '.wh..wh..opq'

/** Refuses a file that, in a layer, would be the removal of another. Throws `layer_invalid`; its details have the `path`, from the root. */
export function refuseMarkerName(path: ByteString): void {
  if (!path.slice(path.lastIndexOf('/') + 1).startsWith(whiteoutPrefix)) return
  const bytes = fromByteString(`/${path}`)
  throw new StrakeError(
    'layer_invalid',
    `${printable(bytes)} is a name that no image can hold: in a layer, .wh. before a name stands for its removal`,
    { hint: 'remove it, or give it another name', details: { path: bytes.toString() } },
  )
}

/** What an entry's name says about the layers below (image-spec, layer.md, "Whiteouts"). */
export type Marker =
  | { readonly kind: 'whiteout'; readonly hidden: readonly ByteString[] }
  | { readonly kind: 'opaque'; readonly directory: readonly ByteString[] }
  /** AUFS's own files, which Docker leaves out as well. */
  | { readonly kind: 'ignored' }

/** The marker that a path is; undefined for an ordinary entry. */
export function markerOf(components: readonly ByteString[]): Marker | undefined {
  const parents = components.slice(0, -1)
  const name = components.at(-1) ?? ''
  if (parents.some((each) => each.startsWith(metaPrefix) && each !== opaqueName)) return { kind: 'ignored' }
  if (parents.some((each) => each.startsWith(whiteoutPrefix)))
    throw layerInvalid(`an entry lies under a whiteout: ${printable(components.join('/'))}`)
  if (!name.startsWith(whiteoutPrefix)) return undefined
  if (name === opaqueName) return { kind: 'opaque', directory: parents }
  if (name.startsWith(metaPrefix)) return { kind: 'ignored' }
  const hidden = name.slice(whiteoutPrefix.length)
  if (hidden === '' || hidden === '.' || hidden === '..') throw layerInvalid(`a whiteout of no name: ${printable(name)}`)
  return { kind: 'whiteout', hidden: [...parents, hidden] }
}
