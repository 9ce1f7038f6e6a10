import { StrakeError } from '../errors/index.ts'
import { type IdRange, moreIds } from '../ids/index.ts'
import { errnoName } from '../sys/index.ts'
import { layerInvalid, limitExceeded } from './limits.ts'
import { printable } from './walk.ts'

/** Whose file an op was to make, and its path for a message. */
function ownerIn(op: unknown): { readonly path: string; readonly uid: unknown; readonly gid: unknown } {
  const { path, uid, gid } = (typeof op === 'object' && op !== null ? op : {}) as Readonly<Record<string, unknown>>
  return { path: printable(path instanceof Uint8Array ? Buffer.from(path) : String(path)), uid, gid }
}

/** What the kernel refuses because of what the layer asks for is the layer's fault. */
export function refusalOf(error: unknown, ids: Pick<IdRange, 'kind' | 'uidMap' | 'gidMap'> | undefined): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const { errno, op } = error.details ?? {}
  const name = typeof errno === 'number' ? errnoName(errno) : String(errno)
  // Of a whole file chown is what refuses a value.
  if ((op === 'chown' || op === 'put') && name === 'EINVAL') {
    const { path, uid, gid } = ownerIn(error.details?.arguments)
    return new StrakeError('limit_exceeded', `${path} of the layer belongs to uid ${uid}, gid ${gid}: one of them is not mapped here`, {
      cause: error,
      hint: ids && moreIds(ids),
      details: { limit: 'ids', uid, gid },
    })
  }
  if (['EEXIST', 'ENOTDIR', 'ENOENT', 'EISDIR', 'ELOOP', 'ENAMETOOLONG'].includes(name) || (op === 'link' && name === 'EPERM')) {
    return layerInvalid(`the layer's entries contradict each other: ${error.message.split('\n')[0] ?? ''}`, error)
  }
  if ((op === 'truncate' || op === 'put') && (name === 'EFBIG' || name === 'EINVAL'))
    return limitExceeded('fileBytes', 0, 'size of a file for this file system')
  return error
}
