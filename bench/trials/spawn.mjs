// Node's own way to start a program: no container at all.
import { timeCommand } from '../run-command.mjs'

export default {
  name: 'child_process.spawn',
  what: "spawn('true'), no container",
  async prepare({ programs }) {
    return () => timeCommand(programs.true, [])
  },
}
