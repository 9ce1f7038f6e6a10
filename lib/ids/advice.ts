import { idCount } from './map.ts'
import type { IdRange } from './range.ts'

/** What can be done where an image's files have ids that containers do not have: a hint of an error. */
export function moreIds({ kind, uidMap, gidMap }: Pick<IdRange, 'kind' | 'uidMap' | 'gidMap'>): string {
  const last = Math.min(idCount(uidMap), idCount(gidMap)) - 1
  if (kind === 'root')
    return `containers of root have the ids from 0 to ${last}, and no setting gives them more: in the image, give such files another owner`
  if (kind === 'single')
    return 'containers of this user have one id, 0: give the user a range in /etc/subuid and /etc/subgid (`await doctor()` tells which)'
  return `containers of this user have the ids from 0 to ${last}: give the user a wider range in /etc/subuid and /etc/subgid`
}
