// A Debian root file system (minbase) for the tests of real input: made once by mmdebstrap, from the machine's own mirrors, and kept in the
// user's cache directory.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const suite = 'bookworm'

/**
 * The path of the tar. `STRAKE_TEST_DEBIAN` names one that is there already. Throws, with the end of what mmdebstrap said, where it
 * cannot be made: no network, or a user who has neither a range of ids nor fakechroot.
 */
export function debianTar() {
  const given = process.env.STRAKE_TEST_DEBIAN
  if (given) return given
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strake-test')
  const path = join(cache, `debian-${suite}.tar`)
  if (existsSync(path)) return path
  mkdirSync(cache, { recursive: true })
  // What a run that was killed left behind.
  for (const name of readdirSync(cache)) {
    if (name.endsWith('.part.tar') && Date.now() - statSync(join(cache, name)).mtimeMs > 3_600_000) rmSync(join(cache, name))
  }
  const part = join(cache, `${process.pid}.part.tar`)
  const done = spawnSync('mmdebstrap', ['--variant=minbase', '--quiet', suite, part], { encoding: 'utf8' })
  if (done.error || done.status !== 0) {
    rmSync(part, { force: true })
    throw new Error(`mmdebstrap: ${done.error?.message ?? done.stderr.trim().split('\n').slice(-3).join('; ')}`)
  }
  renameSync(part, path)
  return path
}
