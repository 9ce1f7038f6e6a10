// Where STRAKE_ROOT lies: on tmpfs, and on a journalled ext4 in a file. A mount is made in a mount namespace of the measured process's
// own, and so goes with it, however it ends.
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const imageSize = 1024 ** 3
const isRoot = process.getuid?.() === 0

/** In a mount namespace of its own: crun 1.8 refuses a hybrid cgroup hierarchy, so the unified half is taken out of its sight. */
const withoutUnified = 'umount /sys/fs/cgroup/unified 2>/dev/null;'

function hasTool(command) {
  return (
    spawnSync('sh', ['-c', `command -v ${command}`], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } }).status === 0
  )
}

/** A store: `command(argv)` is what runs argv with the directory there, `release()` removes it. */
export function tmpfsStore() {
  const directory = mkdtempSync('/dev/shm/strake-bench-')
  return {
    name: 'tmpfs',
    directory,
    command: (argv) => (isRoot ? ['unshare', '-m', 'sh', '-c', `${withoutUnified} exec "$@"`, 'sh', ...argv] : argv),
    release: () => remove(directory),
  }
}

/** Undefined where this user may not mount one. */
export function ext4Store() {
  if (!isRoot || !hasTool('mkfs.ext4') || !hasTool('losetup')) return undefined
  const place = mkdtempSync(join(tmpdir(), 'strake-bench-ext4-'))
  const image = join(place, 'image')
  const directory = join(place, 'mounted')
  mkdirSync(directory)
  const fd = openSync(image, 'w')
  ftruncateSync(fd, imageSize)
  closeSync(fd)
  const made = spawnSync('/usr/sbin/mkfs.ext4', ['-q', '-F', '-O', 'has_journal', image], { encoding: 'utf8' })
  if (made.status !== 0) {
    remove(place)
    throw new Error(`mkfs.ext4: ${made.error?.message ?? made.stderr}`)
  }
  const mount = `mount -o loop "${image}" "${directory}" || exit 1;`
  return {
    name: 'ext4 in a loop file',
    directory,
    command: (argv) => ['unshare', '-m', 'sh', '-c', `${withoutUnified} ${mount} exec "$@"`, 'sh', ...argv],
    release: () => remove(place),
  }
}

/** A container's directory is removed in the background; what is being removed twice is tried again. */
function remove(directory) {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}
