import { StrakeError } from '../../errors/index.ts'
import { type FileRecord, flags, type Op } from '../../sys/index.ts'
import type { Agent } from '../../zygote/index.ts'
import { type BytePath, bytePath, opPath, textPath } from '../files/entry.ts'
import { isType, joinPath, RootPaths } from '../files/root-paths.ts'

/** Where something is to be mounted: absolute, in the image. */
export interface WantedPoint {
  readonly target: string
  readonly isFile: boolean
}

/** A mount point that the image lacks, without links, and the directories above it as the image has them. */
interface MissingPoint {
  readonly path: BytePath
  readonly isFile: boolean
  readonly above: readonly { readonly path: BytePath; readonly record: FileRecord | undefined }[]
}

function conflict(target: string, why: string): StrakeError {
  return new StrakeError('build_failed', `run: nothing can be mounted on ${target}: ${why}`, { details: { path: target } })
}

/** Looks the mount points up in the image, links followed inside it. `build_failed` when something else is in a place. */
export async function missingPoints(image: Agent, wanted: readonly WantedPoint[]): Promise<MissingPoint[]> {
  const paths = new RootPaths(image)
  const missing: MissingPoint[] = []
  for (const { target, isFile } of wanted) {
    const place = await paths.resolve(bytePath(target))
    if (place.record) {
      if (isType(place.record, 'directory') === isFile) throw conflict(target, isFile ? 'it is a directory' : 'it is no directory')
      continue
    }
    const above: MissingPoint['above'][number][] = []
    let here: BytePath = '/'
    for (const name of place.path.split('/').slice(1, -1)) {
      here = joinPath(here, name)
      const record = await paths.stat(here)
      if (record && !isType(record, 'directory')) throw conflict(target, `${textPath(here)} is no directory`)
      above.push({ path: here, record })
    }
    missing.push({ path: place.path, isFile, above })
  }
  return missing
}

const { O } = flags

/** A directory as the image has it: what shows of it in the merged tree is the topmost. */
function likeness(path: BytePath, record: FileRecord, canChown: boolean): Op[] {
  const { mode, uid, gid, mtimeSec, mtimeNsec } = record
  return [
    ...(canChown ? ([{ op: 'chown', path: opPath(path), uid, gid }] satisfies Op[]) : []),
    { op: 'chmod', path: opPath(path), mode: mode & 0o7777 },
    {
      op: 'setTimes',
      path: opPath(path),
      atimeSec: mtimeSec,
      atimeNsec: mtimeNsec,
      mtimeSec,
      mtimeNsec,
    },
  ]
}

/**
 * Makes mount points in an empty directory that is then laid over the layers. They are in no upper and so in no layer, which BuildKit gets by
 * removing afterwards what is still empty.
 */
export async function makePoints(points: Agent, missing: readonly MissingPoint[], canChown: boolean): Promise<void> {
  const made = new Set<BytePath>()
  const ops: Op[] = [{ op: 'umask', mask: 0 }]
  const likenesses: Op[][] = []
  for (const { path, isFile, above } of missing) {
    for (const directory of above) {
      if (made.has(directory.path)) continue
      made.add(directory.path)
      ops.push({ op: 'mkdir', path: opPath(directory.path), mode: 0o755 })
      if (directory.record) likenesses.push(likeness(directory.path, directory.record, canChown))
    }
    if (made.has(path)) continue
    made.add(path)
    if (isFile)
      ops.push({ op: 'write', path: opPath(path), flags: O.O_WRONLY | O.O_CREAT | O.O_EXCL, mode: 0o644, data: new Uint8Array(0) })
    else ops.push({ op: 'mkdir', path: opPath(path), mode: 0o755 })
  }
  // Inner directories last to first: a likeness has a time, which what is made below would change.
  await points.run([...ops, ...likenesses.reverse().flat()])
}

/** What is at an absolute path of an agent's root, links followed: whether a file; undefined when nothing is there. */
export async function kindAt(agent: Agent, path: string): Promise<'file' | 'directory' | undefined> {
  const { record } = await new RootPaths(agent).resolve(bytePath(path))
  return record && (isType(record, 'directory') ? 'directory' : 'file')
}
