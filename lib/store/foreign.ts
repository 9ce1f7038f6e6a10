import { statSync } from 'node:fs'

/** The command, for root, that gives what `owner` made in a store to `uid`. What belongs to subordinate ids stays as it is. */
export function takeOverCommand(root: string, owner: number, uid: number): string {
  return `find '${root}' -uid ${owner} -exec chown -h ${uid} {} +`
}

/** What to do about a file of a store that this user may not use: as a rule root has used the store, too. Undefined where it is nobody else's. */
export function foreignHint(root: string, cause: unknown): string | undefined {
  const { code, path } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {}
  if ((code !== 'EACCES' && code !== 'EPERM') || path === undefined) return undefined
  const uid = process.geteuid?.() ?? 0
  try {
    const owner = statSync(path).uid
    return owner === uid ? undefined : `${path} belongs to uid ${owner}. Give it back: sudo ${takeOverCommand(root, owner, uid)}`
  } catch {
    return undefined
  }
}
