// test: alone
// test: timeout 300
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { suite } from '../support/uvu.ts'

/** A server of its own for each session: one that is told to go takes a while, and must not be given the next. */
let server = ''
let sessions = 0
const program = fileURLToPath(new URL('./fixtures/run.ts', import.meta.url))

function tmux(...args: string[]): string {
  return spawnSync('tmux', ['-L', server, '-f', '/dev/null', ...args], { encoding: 'utf8' }).stdout
}

const screen = () => tmux('capture-pane', '-p', '-J', '-S', '-200').trimEnd()

/** Resolves, to the screen, once it shows what is looked for. */
async function see(what: RegExp, seconds = 30): Promise<string> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(50)) {
    const text = screen()
    if (what.test(text)) return text
  }
  throw new Error(`${what} did not appear:\n${screen()}`)
}

const type = (...keys: string[]) => tmux('send-keys', ...keys)

/** Types a line into an empty prompt. */
async function enter(line: string): Promise<void> {
  await see(/strake> ?$/)
  tmux('send-keys', '-l', line)
  type('Enter')
}

const test = suite<{ state: string }>('terminal')

test.before((context) => {
  context.state = mkdtempSync(join(tmpdir(), 'strake-terminal-'))
})
test.after(({ state }) => {
  if (server) tmux('kill-server')
  rmSync(state, { recursive: true, force: true })
})

function open(state: string): void {
  const environment = `env XDG_STATE_HOME=${state} STRAKE_TEST_DISPOSED=1 NO_COLOR=1`
  const loader = import.meta.resolve('tsx')
  if (server) tmux('kill-server')
  sessions += 1
  server = `strake-test-${process.pid}-${sessions}`
  tmux(
    'new-session',
    '-d',
    '-x',
    '100',
    '-y',
    '40',
    `${environment} ${process.execPath} --import ${loader} ${program} check repl; echo ended $?; cat`,
  )
}

test('a session on a terminal: completion, Ctrl-C, history, Ctrl-D', async ({ state }) => {
  if (!has('tmux')) return skip('tmux is not installed')
  open(state)
  await enter('await using box = await image("x").start({ name: "boxed" })')
  await see(/boxed" }\)\n+strake> ?$/)

  // The first Tab fills in, the second lists with types.
  tmux('send-keys', '-l', 'box.n')
  type('Tab')
  await see(/strake> box\.name$/)
  type('Enter')
  await see(/'boxed'\n+strake> ?$/)
  tmux('send-keys', '-l', 'image("x").start({ ')
  type('Tab')
  type('Tab')
  await see(/memory +number \| undefined\n +name +string \| undefined\n +network .*\nstrake> image\("x"\)\.start\(\{ ?$/)
  type('C-c')

  // Ctrl-C gives up an await, stops a loop that blocks, and drops an unfinished input.
  await enter('await new Promise(() => {})')
  await sleep(1500)
  type('C-c')
  await see(/Promise\(\(\) => \{\}\)\n\^?C?Interrupted\n+strake> ?$/)
  await enter('signal.aborted')
  await see(/false\n+strake> ?$/)
  await enter('while (true) {}')
  await sleep(1500)
  type('C-c')
  await see(/while \(true\) \{\}\n(\^C)?Interrupted\n+strake> ?$/)
  await enter('const unfinished = [')
  await see(/(\.\.\.|\|) ?$/)
  type('C-c')

  // What is typed while an input runs is kept until it is through.
  await enter('await new Promise((resolve) => setTimeout(resolve, 700, "slept"))')
  tmux('send-keys', '-l', '1 + 1')
  type('Enter')
  await see(/'slept'\nstrake> 1 \+ 1\n2\n+strake> ?$/)

  // A paste of several lines is one input, which waits for the user.
  await see(/strake> ?$/)
  tmux('set-buffer', "const pasted = ['a', 'b']\n  .map((each) => each.toUpperCase())\n  .join('|')\n")
  tmux('paste-buffer', '-p')
  await see(/\.join\('\|'\)$/)
  type('Enter')
  await enter('pasted')
  await see(/'A\|B'\n+strake> ?$/)

  await enter('.editor')
  await see(/Entering editor mode/)
  tmux('send-keys', '-l', 'const edited = (a: number) => {')
  type('Enter')
  tmux('send-keys', '-l', '  return a * 2 }')
  type('Enter')
  tmux('send-keys', '-l', 'edited(21)')
  type('C-d')
  await see(/\n42\n+strake> ?$/)

  await enter('.hlep')
  await see(/did you mean \.help\?/)
  type('C-d')
  await see(/disposed of boxed\nended 0$/)

  const history = join(state, 'strake', 'repl_history')
  assert.is(statSync(history).mode & 0o777, 0o600)
  assert.match(readFileSync(history, 'utf8'), 'await new Promise(() => {})')

  // The next session has the lines of this one; Ctrl-C twice leaves.
  open(state)
  await see(/strake> ?$/)
  type('Up')
  await see(/strake> \.hlep$/)
  type('C-c')
  await see(/strake> ?$/)
  type('C-c')
  await see(/press Ctrl\+C again/)
  type('C-c')
  await see(/ended 0$/)
})

test('the prompt does not wait for the compiler', async ({ state }) => {
  if (!has('tmux')) return skip('tmux is not installed')
  open(state)
  await see(/strake> ?$/)
  // What is entered before the compiler is there is answered once it is.
  tmux('send-keys', '-l', '20 + 22')
  type('Enter')
  await see(/42\n+strake> ?$/)
  type('C-d')
  await see(/ended 0$/)
})

test.run()
