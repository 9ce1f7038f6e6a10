import { StrakeError } from '../errors/index.ts'
import type { PlannedCopy, PlannedMatch } from './copy.ts'
import type { BytePath, SourceEntry } from './files/entry.ts'
import { joinPath } from './files/root-paths.ts'

/** One entry and where it goes. */
export interface Placement {
  readonly entry: SourceEntry
  readonly path: BytePath
  /** What the content of a file must turn out to be. */
  readonly digest: string | undefined
  /** Of a file with several names among what is copied, the first of them. */
  readonly same: SourceEntry | undefined
  /** The destination, to which the content of this directory is copied: nothing of the directory itself is. */
  readonly isTop: boolean
  /** A directory of the path: it stays as it is where it is there already. */
  readonly isKept: boolean
}

/** Whether `entry` is a directory of which the content alone is copied: its mode, owner and time play no part. */
export function isTopOf({ name, kept, entries }: PlannedMatch, entry: SourceEntry): boolean {
  return entry === entries[0] && entry.kind === 'directory' && (kept === undefined || name === '')
}

/**
 * Where COPY of a Dockerfile puts what was planned: a directory's content goes into the destination; a file goes into it when it is a
 * directory, and else becomes it. With the directories of the paths kept, everything goes below the destination. `invalid_argument` when
 * several files would become one.
 *
 * @param destination absolute, without links
 */
export function* placements(planned: PlannedCopy, destination: BytePath, isDirectory: boolean): Generator<Placement> {
  if (planned.matches.length > 1 && !isDirectory) {
    throw new StrakeError('invalid_argument', `destination must end in "/": the pattern names ${planned.matches.length} files`, {
      details: { argument: 'destination' },
    })
  }
  for (const match of planned.matches) {
    const { name, kept, way = [], entries } = match
    const [root, ...rest] = entries
    if (!root) continue
    const below = kept === undefined || kept === '' ? destination : joinPath(destination, kept)
    const isTop = isTopOf(match, root)
    const base = isTop ? below : kept !== undefined || isDirectory ? joinPath(below, name) : below
    const { digests, links } = planned
    for (const entry of way)
      yield { entry, path: joinPath(destination, entry.path), digest: undefined, same: undefined, isTop: false, isKept: true }
    yield { entry: root, path: base, digest: digests.get(root), same: links?.get(root), isTop, isKept: false }
    for (const entry of rest)
      yield { entry, path: joinPath(base, entry.path), digest: digests.get(entry), same: links?.get(entry), isTop: false, isKept: false }
  }
}
