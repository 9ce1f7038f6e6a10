import type { Range } from './subid.ts'

/** Ids `inside` to `inside + count - 1` of a user namespace are `outside`… of the parent's. See user_namespaces(7). */
export interface IdMapping {
  readonly inside: number
  readonly outside: number
  readonly count: number
}

export type IdMap = readonly IdMapping[]

/** The kernel takes this many lines in a uid_map. */
const mostMappings = 340

/** What is written to /proc/PID/uid_map or gid_map. */
export function idMapText(map: IdMap): string {
  return map.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`).join('')
}

/** The arguments of newuidmap(1) or newgidmap(1), without the command's name. */
export function idMapArguments(pid: number, map: IdMap): readonly string[] {
  return [pid, ...map.flatMap(({ inside, outside, count }) => [inside, outside, count])].map(String)
}

/** The lines of a uid_map or gid_map of proc(5), as they are seen from this process. */
export function parseIdMap(text: string): IdMap {
  return text.split('\n').flatMap((line) => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number)
    if (inside === undefined || outside === undefined || count === undefined) return []
    return Number.isInteger(inside + outside + count) ? [{ inside, outside, count }] : []
  })
}

/** The id that `id` inside has outside, or undefined where it has none. */
export function toOutside(map: IdMap, id: number): number | undefined {
  const mapping = map.find(({ inside, count }) => id >= inside && id < inside + count)
  return mapping && mapping.outside + id - mapping.inside
}

/** The id that `id` outside has inside, or undefined where it has none. */
export function toInside(map: IdMap, id: number): number | undefined {
  const mapping = map.find(({ outside, count }) => id >= outside && id < outside + count)
  return mapping && mapping.inside + id - mapping.outside
}

/** How many ids a map has. */
export function idCount(map: IdMap): number {
  return map.reduce((sum, { count }) => sum + count, 0)
}

/** Do the two ranges share an id? */
export function overlaps(a: Range, b: Range): boolean {
  return a.first < b.first + b.count && b.first < a.first + a.count
}

/** `owner` as id 0, then the ranges one after another from id 1; what overlaps with an earlier one is left out, as the kernel demands. */
export function mapOnto(owner: number, ranges: readonly Range[]): IdMap {
  const used: Range[] = [{ first: owner, count: 1 }]
  const map: IdMapping[] = [{ inside: 0, outside: owner, count: 1 }]
  let inside = 1
  for (const range of ranges) {
    if (map.length >= mostMappings || inside + range.count > 2 ** 31) break
    if (used.some((each) => overlaps(each, range))) continue
    used.push(range)
    map.push({ inside, outside: range.first, count: range.count })
    inside += range.count
  }
  return map
}
