// A disk for each engine: a journalled ext4 in a file of its own. On one disk, creating files waits for what another engine has just written and
// deleted there (0.7 ms a file on an ext4 without a journal), and a figure says more of who ran before than of who ran.
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const variable = 'STRAKE_BENCH_DISKS'
/** Bytes; the file is sparse. */
const size = 24 * 1024 ** 3
const isRoot = process.getuid?.() === 0

/**
 * Directories by these names. As root each is a disk of its own: the script is run once more, in a mount namespace that has them, and this call does not
 * return in the first process. As another user they are directories of one disk.
 */
export function ownDisks(names) {
  const given = process.env[variable]
  const place = given ?? mkdtempSync(join(tmpdir(), 'sb-'))
  const disks = Object.fromEntries(names.map((name) => [name, join(place, name)]))
  if (given) return disks
  for (const directory of Object.values(disks)) mkdirSync(directory)
  const remove = () => rmSync(place, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  if (!isRoot) {
    process.once('exit', remove)
    return disks
  }
  try {
    const mounts = Object.values(disks).map((directory) => {
      makeExt4(`${directory}.image`)
      return `mount -o loop "${directory}.image" "${directory}" || exit 1;`
    })
    const script = ['unshare', '-m', 'sh', '-c', `${mounts.join(' ')} exec "$@"`, 'sh', process.execPath, ...process.argv.slice(1)]
    const done = spawnSync(script[0], script.slice(1), { stdio: 'inherit', env: { ...process.env, [variable]: place } })
    process.exitCode = done.status ?? 1
  } finally {
    remove()
  }
  process.exit()
}

function makeExt4(path) {
  const fd = openSync(path, 'w')
  ftruncateSync(fd, size)
  closeSync(fd)
  // Inode tables are written now and not in the background, while something is measured.
  const options = ['-q', '-F', '-O', 'has_journal', '-E', 'lazy_itable_init=0,lazy_journal_init=0', '-N', '1000000']
  const made = spawnSync('/usr/sbin/mkfs.ext4', [...options, path], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`mkfs.ext4: ${made.error?.message ?? made.stderr}`)
}
