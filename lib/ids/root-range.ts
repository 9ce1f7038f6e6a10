import { StrakeError } from '../errors/index.ts'
import { overlaps } from './map.ts'
import type { Range } from './subid.ts'

/** As many ids as a container's programs expect: 0 to 65535, nobody (65534) among them. */
export const rangeSize = 65_536

/**
 * Where ranges for root are looked for. Below it others hand out ids: useradd(8) up to 600100000 for subuids (login.defs(5)),
 * systemd-nspawn up to 1879048191, sssd up to 2000200000; above it systemd keeps 2147352576 to 2147418111 for foreign images, and from
 * 2^31 on programs take ids for negative numbers.
 */
const pool: Range = { first: 30_521 * rangeSize, count: (32_766 - 30_521) * rangeSize }

/**
 * A range of 65536 ids of the host for root's containers: the first free one of those above what useradd(8), systemd and sssd hand
 * out, so it is the same on every machine where nobody is in its way. `taken`: the ranges of /etc/subuid and /etc/subgid, the ids of
 * passwd and group, ranges in use. All taken: `limit_exceeded`.
 *
 * `within`: the ids that this process's own user namespace has (a container's root has few). Where the usual place is not among
 * them: the last 65536 of them, or as many as there are beside 0; fewer than 2: undefined.
 */
export function chooseRootRange(taken: readonly Range[], within: readonly Range[] = [{ first: 0, count: 2 ** 32 - 1 }]): Range | undefined {
  const has = (wanted: Range): boolean =>
    within.some(({ first, count }) => wanted.first >= first && wanted.first + wanted.count <= first + count)
  if (!has(pool)) return nestedRange(taken, within)
  for (let { first } = pool; first < pool.first + pool.count; first += rangeSize) {
    const range = { first, count: rangeSize }
    if (!taken.some((each) => overlaps(each, range))) return range
  }
  throw new StrakeError('limit_exceeded', 'every id range for root’s containers is taken', {
    hint: `free some ids from ${pool.first} to ${pool.first + pool.count - 1}: /etc/subuid and /etc/subgid say who has them`,
  })
}

/** In a user namespace: whole ranges from the top that nobody has; else what is free beside id 0, others' ids included if need be. */
function nestedRange(taken: readonly Range[], within: readonly Range[]): Range | undefined {
  const extents = within
    .map(({ first, count }) => (first === 0 ? { first: 1, count: count - 1 } : { first, count }))
    .sort((a, b) => b.count - a.count)
  for (const { first, count } of extents) {
    for (let start = first + count - rangeSize; start >= first; start -= rangeSize) {
      const range = { first: start, count: rangeSize }
      if (!taken.some((each) => overlaps(each, range))) return range
    }
  }
  const largest = extents[0]
  return largest && largest.count > 1 ? { first: largest.first, count: Math.min(largest.count, rangeSize) } : undefined
}
