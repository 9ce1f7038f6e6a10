// util-linux: the namespaces alone, no root file system of their own, no confinement.
import { timeCommand } from '../run-command.mjs'

export default {
  name: 'unshare',
  command: 'unshare',
  what: 'the same namespaces, nothing mounted, nothing confined',
  async prepare({ programs }) {
    const args = ['--user', '--map-root-user', '--pid', '--fork', '--mount', '--uts', '--ipc', '--net', '--cgroup', programs.true]
    return () => timeCommand('unshare', args)
  },
}
