// podman: the same root file system as an image in a store of its own; no network, no cgroup.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { timeCommand } from '../run-command.mjs'

export default {
  name: 'podman run',
  command: 'podman',
  what: '--network none --cgroups disabled, store of its own',
  isSlow: true,
  async prepare({ rootfs, scratch, atEnd }) {
    // Its runroot may be 50 characters long.
    const global = [
      ...['--root', join(scratch, 'podman'), '--runroot', join(scratch, 'run'), '--tmpdir', join(scratch, 'podman-tmp')],
      ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'none', '--runtime', 'crun'],
    ]
    const archive = join(scratch, 'rootfs.tar')
    const call = (command, args) => {
      const done = spawnSync(command, args, { encoding: 'utf8' })
      if (done.error || done.status !== 0)
        throw new Error(`${command} ${args.slice(-3).join(' ')}: ${done.error?.message ?? done.stderr.slice(-300)}`)
    }
    call('tar', ['-C', rootfs, '-cf', archive, '.'])
    atEnd(() => {
      // Its overlay directories may be mounted still, in this process's own mount namespace.
      spawnSync('podman', [...global, 'system', 'reset', '--force'], { stdio: 'ignore' })
    })
    call('podman', [...global, 'import', '--quiet', archive, 'bench/true:1'])
    const limits = ['nofile', 'nproc'].flatMap((name) => ['--ulimit', `${name}=1024:1024`])
    const args = [...global, 'run', '--rm', '--network', 'none', '--cgroups', 'disabled', ...limits, 'bench/true:1', '/bin/true']
    return () => timeCommand('podman', args)
  },
}
