// As spawn.mjs, with the machine's own dynamically linked `true`.
import { timeCommand } from '../run-command.mjs'

export default {
  name: "child_process.spawn, host's true",
  what: 'the dynamic loader is part of it',
  async prepare() {
    return () => timeCommand('true', [])
  },
}
