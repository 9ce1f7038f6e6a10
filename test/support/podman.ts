import { join } from 'node:path'
import { run } from '../registry/server/command.ts'

/**
 * podman, by root, on storage of a test's own. It has its mounts in a mount namespace that ends with it; crun 1.8 refuses a hybrid hierarchy of cgroups, so
 * that the unified half is taken out of its sight. Resolves to what it printed, without the last line's end.
 */
export async function podman(directory: string, driver: 'vfs' | 'overlay', ...args: string[]): Promise<string> {
  const storage = ['--root', join(directory, 's'), '--runroot', join(directory, 'r'), '--tmpdir', join(directory, 't')]
  const all = [...storage, '--storage-driver', driver, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...args]
  const env = { ...process.env, HOME: directory, XDG_RUNTIME_DIR: directory }
  const script = 'umount /sys/fs/cgroup/unified 2> /dev/null; exec podman "$@"'
  return (await run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...all], env)).trimEnd()
}

/** Of a container with no groups of its own and the host's network: what podman asks of this machine beyond that may not be there. */
export const plainRun: readonly string[] = [
  ...['run', '--rm', '--cgroups', 'disabled', '--network', 'host'],
  ...['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'],
]
