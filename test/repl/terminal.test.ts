// test: alone
// test: timeout 300
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { Screen } from '../support/tmux.ts'
import { suite } from '../support/uvu.ts'

const program = fileURLToPath(new URL('./fixtures/run.ts', import.meta.url))
let open: Screen | undefined

const test = suite<{ state: string }>('terminal')

test.before((context) => {
  context.state = mkdtempSync(join(tmpdir(), 'strake-terminal-'))
})
test.after(({ state }) => {
  open?.[Symbol.dispose]()
  rmSync(state, { recursive: true, force: true })
})

function session(state: string): Screen {
  const environment = `env XDG_STATE_HOME=${state} STRAKE_TEST_DISPOSED=1 NO_COLOR=1`
  open?.[Symbol.dispose]()
  open = new Screen(`${environment} ${process.execPath} --import ${import.meta.resolve('tsx')} ${program} check repl; echo ended $?; cat`)
  return open
}

test('a session on a terminal: completion, Ctrl-C, history, Ctrl-D', async ({ state }) => {
  if (!has('tmux')) return skip('tmux is not installed')
  let screen = session(state)
  await screen.enter('await using box = await image("x").start({ name: "boxed" })')
  await screen.see(/boxed" }\)\n+strake> ?$/)

  // The first Tab fills in, the second lists with types.
  screen.write('box.n')
  screen.press('Tab')
  await screen.see(/strake> box\.name$/)
  screen.press('Enter')
  await screen.see(/'boxed'\n+strake> ?$/)
  screen.write('image("x").start({ ')
  screen.press('Tab')
  screen.press('Tab')
  await screen.see(/memory +number \| undefined\n +name +string \| undefined\n +network .*\nstrake> image\("x"\)\.start\(\{ ?$/)
  screen.press('C-c')

  // Ctrl-C gives up an await, stops a loop that blocks, and drops an unfinished input.
  await screen.enter('await new Promise(() => {})')
  await sleep(1500)
  screen.press('C-c')
  await screen.see(/Promise\(\(\) => \{\}\)\n\^?C?Interrupted\. What was awaited goes on: .*\n+strake> ?$/)
  await screen.enter("await new Promise((_, fail) => signal.onabort = () => fail(new Error('ended')))")
  await sleep(1500)
  screen.press('C-c')
  await screen.see(/'ended'\)\)\)?\n\^?C?Interrupted\n+strake> ?$/)
  await screen.enter('signal.aborted')
  await screen.see(/false\n+strake> ?$/)
  await screen.enter('while (true) {}')
  await sleep(1500)
  screen.press('C-c')
  await screen.see(/while \(true\) \{\}\n(\^C)?Interrupted\n+strake> ?$/)
  await screen.enter('const unfinished = [')
  await screen.see(/(\.\.\.|\|) ?$/)
  screen.press('C-c')

  // What is typed while an input runs is kept until it is through.
  await screen.enter('await new Promise((resolve) => setTimeout(resolve, 700, "slept"))')
  screen.write('1 + 1')
  screen.press('Enter')
  await screen.see(/'slept'\nstrake> 1 \+ 1\n2\n+strake> ?$/)

  // A paste of several lines is one input, which waits for the user.
  await screen.see(/strake> ?$/)
  screen.paste("const pasted = ['a', 'b']\n  .map((each) => each.toUpperCase())\n  .join('|')\n")
  await screen.see(/\.join\('\|'\)$/)
  screen.press('Enter')
  await screen.enter('pasted')
  await screen.see(/'A\|B'\n+strake> ?$/)

  await screen.enter('.editor')
  await screen.see(/Entering editor mode/)
  screen.write('const edited = (a: number) => {')
  screen.press('Enter')
  screen.write('  return a * 2 }')
  screen.press('Enter')
  screen.write('edited(21)')
  screen.press('C-d')
  await screen.see(/\n42\n+strake> ?$/)

  await screen.enter('.hlep')
  await screen.see(/did you mean \.help\?/)
  screen.press('C-d')
  await screen.see(/disposed of boxed\nended 0$/)

  const history = join(state, 'strake', 'repl_history')
  assert.is(statSync(history).mode & 0o777, 0o600)
  assert.match(readFileSync(history, 'utf8'), 'await new Promise(() => {})')

  // The next session has the lines of this one; Ctrl-C twice leaves.
  screen = session(state)
  await screen.see(/strake> ?$/)
  screen.press('Up')
  await screen.see(/strake> \.hlep$/)
  screen.press('C-c')
  await screen.see(/strake> ?$/)
  screen.press('C-c')
  await screen.see(/press Ctrl\+C again/)
  screen.press('C-c')
  await screen.see(/ended 0$/)
})

test('Ctrl-C gives up an input that waits for the compiler still, and what it would have done is not done', async ({ state }) => {
  if (!has('tmux')) return skip('tmux is not installed')
  const screen = session(state)
  await screen.see(/strake> ?$/)
  screen.write("console.log('do' + 'ne')")
  screen.press('Enter', 'C-c')
  await screen.see(/'ne'\)\n\^?C?Interrupted\n+strake> ?$/)
  await screen.enter('20 + 22')
  await screen.see(/42\n+strake> ?$/)
  assert.not.match(screen.text(), /^done$/m)
  screen.press('C-d')
  await screen.see(/ended 0$/)
})

test('the prompt does not wait for the compiler', async ({ state }) => {
  if (!has('tmux')) return skip('tmux is not installed')
  const screen = session(state)
  await screen.see(/strake> ?$/)
  // What is entered before the compiler is there is answered once it is.
  screen.write('20 + 22')
  screen.press('Enter')
  await screen.see(/42\n+strake> ?$/)
  screen.press('C-d')
  await screen.see(/ended 0$/)
})

test.run()
