import { decodeRecords, type FileRecord, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { isDirectory, isOpaque, isWhiteout } from './lower.ts'
import { type ByteString, fromByteString } from './names.ts'
import { walkTree } from './walk-tree.ts'

/** One path that differs from what lies below. */
export interface FileChange {
  /** Absolute. */
  readonly path: string
  /** `changed`: also a directory in which something was added or deleted. What is under a deleted directory is not named. */
  readonly kind: 'added' | 'changed' | 'deleted'
}

const pathsAtOnce = 500

/** What the upper directory of an overlay, the root of `upper`, says about the merged tree below it, the root of `lower`; by path. */
export async function changesOf(upper: Agent, lower: Agent | undefined): Promise<FileChange[]> {
  const changes: FileChange[] = []
  let found: { readonly path: ByteString; readonly record: FileRecord }[] = []
  const judge = async (): Promise<void> => {
    const below = await statMany(
      lower,
      found.map(({ path }) => path),
    )
    for (const [index, { path, record }] of found.entries()) {
      const before = below[index]
      if (isWhiteout(record)) {
        if (before) changes.push({ path: shown(path), kind: 'deleted' })
        continue
      }
      changes.push({ path: shown(path), kind: before ? 'changed' : 'added' })
      if (before && lower && isDirectory(record) && isDirectory(before) && isOpaque(record)) {
        const here = new Set(await names(upper, path))
        for (const name of await names(lower, path)) if (!here.has(name)) changes.push({ path: shown(`${path}/${name}`), kind: 'deleted' })
      }
    }
    found = []
  }
  for await (const each of walkTree(upper)) {
    found.push(each)
    if (found.length >= pathsAtOnce) await judge()
  }
  await judge()
  return changes.sort((one, other) => (one.path < other.path ? -1 : 1))
}

function shown(path: ByteString): string {
  return `/${fromByteString(path).toString()}`
}

async function statMany(agent: Agent | undefined, paths: readonly ByteString[]): Promise<(FileRecord | undefined)[]> {
  if (agent === undefined || paths.length === 0) return paths.map(() => undefined)
  const { results } = await agent.run(
    paths.map((path): Op => ({ op: 'stat', path: fromByteString(`/${path}`), tolerate: ['ENOENT', 'ENOTDIR'] })),
  )
  return results.map((result) => (result instanceof Uint8Array && result.length > 0 ? decodeRecords(result)[0] : undefined))
}

async function names(agent: Agent, path: ByteString): Promise<ByteString[]> {
  const { results } = await agent.run([{ op: 'readDir', path: fromByteString(`/${path}`) }])
  const [bytes] = results
  return bytes instanceof Uint8Array
    ? decodeRecords(bytes)
        .filter((record) => !isWhiteout(record))
        .map(({ name }) => name.toString('latin1'))
    : []
}
