// test: alone
// test: timeout 180
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { runShell, shellTarget } from '../../repl/debug.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { Screen } from '../support/tmux.ts'
import { test } from '../support/uvu.ts'

const program = fileURLToPath(new URL('../../repl/main.ts', import.meta.url))

test('.debug opens a shell in the state before the step that failed, and the prompt is there again after it', async () => {
  if (!has('tmux')) return skip('tmux is not installed')
  using state = temporaryDirectory('debug')
  const environment = `env XDG_STATE_HOME=${state.path} NO_COLOR=1`
  using screen = new Screen(`${environment} ${process.execPath} --import ${import.meta.resolve('tsx')} ${program}; echo ended $?; cat`)
  await screen.enter('.debug')
  await screen.see(/No build has failed yet/)
  await screen.enter("await image('host').run('echo made > /first').run('echo not kept > /second; exit 3').build()")
  await screen.see(/build_failed(?:.|\n)*\nstrake> ?$/)
  await screen.enter('.debug')
  await screen.see(/exit 3\n(?:.|\n)*[#$] ?$/)
  await screen.enter('cat /first; ls /second; stty size', /[#$] ?$/)
  await screen.see(/\nmade\n(?:.|\n)*\/second(?:.|\n)*No such file(?:.|\n)*\n\d+ 100\n/)
  // Ctrl-C is the shell's, and so is what is typed.
  await screen.enter('sleep 100', /[#$] ?$/)
  screen.press('C-c')
  await screen.enter('exit 7', /[#$] ?$/)
  await screen.see(/The shell has ended with 7(?:.|\n)*\nstrake> ?$/)
  await screen.enter('20 + 22')
  await screen.see(/\n42\n+strake> ?$/)
  await screen.enter(".debug image('host')")
  await screen.enter('exit', /[#$] ?$/)
  await screen.see(/The shell has ended\.(?:.|\n)*\nstrake> ?$/)
  await screen.enter("const box = await image('host').start({ cmd: ['sleep', '600'] })")
  await screen.see(/600'\] }\)\n+strake> ?$/)
  await screen.enter('.debug box')
  await screen.enter('echo kept > /note; exit', /[#$] ?$/)
  await screen.see(/stays in the container\.(?:.|\n)*\nstrake> ?$/)
  await screen.enter("(await box.exec('cat /note')).stdout")
  await screen.see(/'kept\\n'\n+strake> ?$/)
  await screen.enter('.debug 5')
  await screen.see(/No shell can be opened in this/)
  screen.press('C-d')
  await screen.see(/ended 0$/)
})

test('a terminal without a size has a shell of 24 rows and 80 columns, also after it has changed to none', async () => {
  const sizes: unknown[] = []
  const output = Object.assign(new PassThrough(), { rows: 0, columns: 0 })
  const target = {
    exec(_: readonly string[], { tty }: { tty?: unknown }) {
      sizes.push(tty)
      const ended = Promise.resolve().then(() => {
        output.emit('resize')
        return { exitCode: 0, signal: null }
      })
      return Object.assign(ended, { stdin: new PassThrough(), stdout: new PassThrough(), resize: (size: unknown) => sizes.push(size) })
    },
  }
  assert.match(await runShell(target, { input: new PassThrough(), output }), /has ended/)
  assert.equal(sizes, [
    { rows: 24, columns: 80 },
    { rows: 24, columns: 80 },
  ])
})

test('what has no state to look into is refused', () => {
  for (const value of [5, null, new Error('x'), {}]) assert.throws(() => shellTarget(value), /No shell can be opened/)
})

test.run()
