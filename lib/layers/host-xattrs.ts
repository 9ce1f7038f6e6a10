import { binding } from '../../native/binding.ts'
import { errnoName } from '../sys/index.ts'
import { judgeXattr } from './xattrs.ts'

const none: ReadonlyMap<string, Buffer> = new Map()

/**
 * What a layer may keep of the xattrs of a file of this machine, as the calling user sees them (xattr(7)); no link is followed.
 * Throws an `Error` with `code`, as Node's own calls do.
 */
export function hostXattrs(path: Uint8Array): ReadonlyMap<string, Buffer> {
  const found = binding().xattrs(path)
  if (found === undefined) return none
  if (typeof found === 'number') {
    const code = errnoName(-found)
    throw Object.assign(new Error(`${code}: xattrs cannot be read`), { code })
  }
  const kept = new Map<string, Buffer>()
  for (let at = 0; at < found.length; at += 2) {
    const name = String(found[at])
    const outcome = judgeXattr(name, found[at + 1] as Buffer)
    if ('keep' in outcome) kept.set(name, outcome.keep)
  }
  return kept
}
