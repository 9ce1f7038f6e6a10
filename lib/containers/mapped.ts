import { StrakeError } from '../errors/index.ts'
import { type ContainerUser, type IdRange, idCount, toOutside } from '../ids/index.ts'

/**
 * Refuses a user whose ids the user namespace does not have: `invalid_argument`. Whoever has one id only is any user in a namespace of its own
 * (docs/users-and-ids.md).
 */
export function checkMapped({ uid, gid, groups }: ContainerUser, ids: Pick<IdRange, 'kind' | 'uidMap' | 'gidMap'>): void {
  if (ids.kind === 'single') return
  if (toOutside(ids.uidMap, uid) === undefined) throw notMapped('uid', uid, idCount(ids.uidMap), ids.kind)
  const group = [gid, ...groups].find((each) => toOutside(ids.gidMap, each) === undefined)
  if (group !== undefined) throw notMapped('gid', group, idCount(ids.gidMap), ids.kind)
}

function notMapped(what: 'uid' | 'gid', id: number, count: number, kind: 'root' | 'subid'): StrakeError {
  const hint =
    kind === 'root'
      ? `Containers of root have a range of their own of ${count} ids: choose one up to ${count - 1}.`
      : `Choose one up to ${count - 1}, or have a longer range in /etc/sub${what} given to this user (subuid(5)).`
  return new StrakeError('invalid_argument', `user: containers have no ${what} ${id}, but those from 0 to ${count - 1}.`, {
    hint,
    details: { [what]: id, count },
  })
}
