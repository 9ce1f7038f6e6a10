import type { TarEntry } from './entry.ts'
import { type LayerLimits, layerInvalid, withDefaults } from './limits.ts'
import { componentsOf, markerOf } from './names.ts'
import { printable } from './walk.ts'

/**
 * Refuses an entry that no unpacking would take, whatever else the layer and those below it hold: by its own header alone. Throws `path_escapes`,
 * `layer_invalid`, `limit_exceeded`.
 */
export function checkEntry(entry: TarEntry, limits: Partial<LayerLimits> = {}): void {
  const all = withDefaults(limits)
  const components = componentsOf(entry.path, all)
  const marker = markerOf(components)
  if (marker) {
    if (marker.kind !== 'ignored' && entry.type !== 'file' && entry.type !== 'link')
      throw layerInvalid(`a whiteout that is not a file: ${printable(entry.path)}`)
    return
  }
  if (entry.type === 'link') {
    if (components.length === 0 || componentsOf(entry.linkPath, all).length === 0)
      throw layerInvalid(`a hard link from or to the root: ${printable(entry.path)}`)
  } else if (components.length === 0 && entry.type !== 'directory') throw layerInvalid('the root of the layer is not a directory')
}
