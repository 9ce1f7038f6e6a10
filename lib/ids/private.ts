import { idCount, idMapText } from './map.ts'
import type { IdRange } from './range.ts'

/** A user namespace inside that of the zygote, for one container. */
export interface PrivateUsers {
  /** What is written to its uid_map and gid_map. */
  readonly uidMap: string
  readonly gidMap: string
  /** The uid, of the namespace around it, to which its processes are counted. */
  readonly owner: number
  /** How many processes there may be in it, whoever they are: the bound of what is counted to the owner. Default: none. */
  readonly processes?: number | undefined
}

/** Each id that containers have, as itself: files of the layers belong to the same ids inside. */
export function sameIds({ uidMap, gidMap }: Pick<IdRange, 'uidMap' | 'gidMap'>): Pick<PrivateUsers, 'uidMap' | 'gidMap'> {
  const same = (map: IdRange['uidMap']): string => idMapText(map.map(({ inside, count }) => ({ inside, outside: inside, count })))
  return { uidMap: same(uidMap), gidMap: same(gidMap) }
}

/**
 * The owner of the container of this number: one that no other has while there are fewer containers than a quarter of the ids, and that
 * no usual user of a container is, since processes of that uid in the shared namespace count as well. With a single id: 0, for all.
 */
export function ownerOf({ uidMap }: Pick<IdRange, 'uidMap'>, number: number): number {
  const ids = idCount(uidMap)
  if (ids < 2) return 0
  const candidates = Math.max(1, Math.floor(ids / 4))
  return Math.min(ids - 1, Math.max(1, Math.floor((ids * 5) / 8)) + (number % candidates))
}
