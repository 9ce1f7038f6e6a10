import { StrakeError } from '../errors/index.ts'
import type { PlannedCopy } from './copy.ts'
import type { BytePath, SourceEntry } from './files/entry.ts'
import { joinPath } from './files/root-paths.ts'

/** One entry and where it goes. */
export interface Placement {
  readonly entry: SourceEntry
  readonly path: BytePath
  /** What the content of a file must turn out to be. */
  readonly digest: string | undefined
  /** The directory whose content is copied: it stays as it is where it is there already. */
  readonly isTop: boolean
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
  for (const { name, kept, entries } of planned.matches) {
    const [root, ...rest] = entries
    if (!root) continue
    const below = kept === undefined || kept === '' ? destination : joinPath(destination, kept)
    const isPlain = root.kind === 'directory' && (kept === undefined || name === '')
    const base = isPlain ? below : kept !== undefined || isDirectory ? joinPath(below, name) : below
    yield { entry: root, path: base, digest: planned.digests.get(root), isTop: root.kind === 'directory' }
    for (const entry of rest) yield { entry, path: joinPath(base, entry.path), digest: planned.digests.get(entry), isTop: false }
  }
}
