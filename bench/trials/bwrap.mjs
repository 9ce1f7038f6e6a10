// bubblewrap: all namespaces, a bind of /, its /dev and /proc; no overlay, no seccomp.
import { timeCommand } from '../run-command.mjs'

export default {
  name: 'bwrap',
  command: 'bwrap',
  what: 'all namespaces, bind of /, no overlay, no seccomp',
  async prepare({ programs }) {
    const args = ['--unshare-all', '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc', programs.true]
    return () => timeCommand('bwrap', args)
  },
}
