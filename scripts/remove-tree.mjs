import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

function openUp(path) {
  chmodSync(path, 0o700)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) openUp(join(path, entry.name))
  }
}

/**
 * Removes a tree whose directories may be closed (overlay's `work/work` has mode 000) or belong to ids of the caller's range, which
 * only a process in a user namespace with that range may remove.
 */
export function removeTree(path) {
  try {
    rmSync(path, { recursive: true, force: true })
    return
  } catch (error) {
    if (error.code !== 'EACCES' && error.code !== 'EPERM' && error.code !== 'ENOTEMPTY') throw error
  }
  spawnSync('unshare', ['--user', '--map-root-user', '--map-auto', 'rm', '-rf', path], { stdio: 'ignore' })
  if (existsSync(path)) {
    openUp(path)
    rmSync(path, { recursive: true, force: true })
  }
}
