// A C program that makes the same container by system calls alone: what no implementation without spares can be faster than.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { makeRootfs } from '../rootfs.mjs'

export default {
  name: 'C floor',
  what: 'the same system calls in C, timed there; nothing made ahead',
  async prepare({ image, programs, scratch, atEnd }) {
    const root = join(scratch, 'floor')
    for (const name of ['containers', 'new', 'empty', 'etc']) mkdirSync(join(root, name), { recursive: true })
    makeRootfs(join(root, 'lower'), programs)
    const program = join(root, 'floor')
    copyFileSync(programs.floor, program)
    const filter = join(root, 'filter')
    writeFileSync(filter, seccompProgram([...image.plan({ argv: ['/bin/true'] })]))
    const child = spawn(program, [root, filter], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.on('error', () => undefined)
    const ended = once(child, 'close')
    atEnd(async () => {
      child.stdin.end()
      await ended
    })
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    return async () => {
      child.stdin.write('.')
      const { value, done } = await lines.next()
      if (done) throw new Error('the C floor ended')
      return Number(value) / 1000
    }
  },
}

/** The very bytes that the engine would load. */
function seccompProgram(ops) {
  for (const op of ops) {
    if (op.op === 'seccomp') return op.filter
    if (op.op === 'fork') {
      const inner = seccompProgram(op.ops)
      if (inner) return inner
    }
  }
  return undefined
}
