import { closeSync, openSync } from 'node:fs'

/** The `cgroup.procs` files that a container's first process joins its groups by, as the slots `cgroup0`, `cgroup1`, …. */
export interface Joins {
  readonly fds: Readonly<Record<string, number>>
  /** Closes them; once is enough, and again does nothing. */
  close(): void
}

export function openJoins(paths: readonly string[]): Joins {
  const fds: Record<string, number> = {}
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    for (const fd of Object.values(fds)) closeSync(fd)
  }
  try {
    for (const [index, path] of paths.entries()) fds[`cgroup${index}`] = openSync(path, 'w')
  } catch (error) {
    close()
    throw error
  }
  return { fds, close }
}
