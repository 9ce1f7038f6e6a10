import * as assert from 'uvu/assert'
import * as settings from '../../lib/containers/settings.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { test } from '../support/uvu.ts'

const { argvOf, checkHostname, checkName, commandOf, environmentOf, limitsOf } = settings

function refused(work: () => unknown, what: string): void {
  try {
    work()
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'invalid_argument') return
    throw error
  }
  throw new Error(`${what} was accepted`)
}

const facts = { home: '/root', hostname: 'box', hasTerminal: false }

test('a string goes to the shell, an array is run as it is', () => {
  assert.equal(argvOf('echo $HOME'), ['/bin/sh', '-c', 'echo $HOME'])
  assert.equal(argvOf('echo', ['/bin/bash', '-lc']), ['/bin/bash', '-lc', 'echo'])
  assert.equal(argvOf(['echo', '$HOME', '']), ['echo', '$HOME', ''])
})

test('a command with what no argument can be is refused', () => {
  for (const wrong of [['a\0b'], 'a\0b', [7], [null], 7, null, undefined, {}]) {
    refused(() => argvOf(wrong as unknown as string), JSON.stringify(wrong) ?? 'undefined')
  }
})

test('entrypoint and command are joined as Docker joins them', () => {
  const config = { Entrypoint: ['/entry'], Cmd: ['one', 'two'] }
  assert.equal(commandOf(config, {}), ['/entry', 'one', 'two'])
  assert.equal(commandOf(config, { cmd: ['three'] }), ['/entry', 'three'])
  assert.equal(commandOf(config, { entrypoint: ['/other'] }), ['/other'])
  assert.equal(commandOf(config, { entrypoint: ['/other'], cmd: ['three'] }), ['/other', 'three'])
  assert.equal(commandOf(config, { entrypoint: [], cmd: ['three'] }), ['three'])
  assert.equal(commandOf({ Cmd: ['one'] }, {}), ['one'])
  assert.equal(commandOf({ Shell: ['/bin/bash', '-c'] }, { cmd: 'one two' }), ['/bin/bash', '-c', 'one two'])
})

test('nothing to run is refused', () => {
  refused(() => commandOf({}, {}), 'no command')
  refused(() => commandOf({ Entrypoint: ['/entry'], Cmd: ['x'] }, { entrypoint: [] }), 'an entrypoint taken away')
})

test('variables: defaults, then the image’s, then the options’; undefined takes one away', () => {
  assert.equal(environmentOf({}, {}, facts), [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'HOSTNAME=box',
    'HOME=/root',
  ])
  const config = { Env: ['PATH=/image', 'A=1', 'B=x=y', 'EMPTY='] }
  assert.equal(environmentOf(config, { env: { A: '2', B: undefined, C: '', HOME: '/own' } }, facts), [
    'PATH=/image',
    'HOSTNAME=box',
    'A=2',
    'EMPTY=',
    'C=',
    'HOME=/own',
  ])
  assert.ok(environmentOf({}, {}, { ...facts, hasTerminal: true }).includes('TERM=xterm'))
  assert.ok(environmentOf({}, { env: { TERM: 'dumb' } }, { ...facts, hasTerminal: true }).includes('TERM=dumb'))
})

test('undefined takes away the variables that have defaults, too', () => {
  const env = { PATH: undefined, HOME: undefined, HOSTNAME: undefined, TERM: undefined }
  assert.equal(environmentOf({}, { env }, { ...facts, hasTerminal: true }), [])
  assert.equal(environmentOf({ Env: ['HOME=/image'] }, { env }, facts), [])
})

test('the stop signal of an image is read as Docker reads it, and what is none is SIGTERM', () => {
  const signals = {
    SIGQUIT: 3,
    sigquit: 3,
    quit: 3,
    'rtmin+3': 37,
    SIGRTMAX: 64,
    '9': 9,
    nonsense: 15,
    SIGNO: 15,
    '0': 15,
    '99': 15,
    '': 15,
  }
  for (const [StopSignal, number] of Object.entries(signals))
    assert.is(settings.stopSignalOf({ config: { StopSignal } }), number, StopSignal)
  assert.is(settings.stopSignalOf({ config: {} }), 15)
})

test('names and values of variables that the kernel could not carry are refused', () => {
  for (const env of [{ '': 'x' }, { 'A=B': 'x' }, { 'A\0': 'x' }, { A: 'x\0' }, { A: {} }, { A: null }, { A: 1 }]) {
    refused(() => environmentOf({}, { env: env as unknown as Record<string, string> }, facts), JSON.stringify(env))
  }
})

test('host names: what hostname(7) allows', () => {
  for (const name of ['a', 'box-1', 'a.b.c', '1', 'x'.repeat(64)]) assert.is(checkHostname(name), name)
  for (const name of ['', '-a', 'a-', 'a..b', '.a', 'a.', 'a b', 'a_b', 'ä', 'a\n', 'x'.repeat(65)])
    refused(() => checkHostname(name), name)
})

test('names of containers', () => {
  for (const name of ['a', 'web_1.x-y', '1', 'x'.repeat(128)]) assert.is(checkName(name), name)
  for (const name of ['', '-a', '.a', '_a', 'a/b', 'a b', '../a', 'a\n', 'x'.repeat(129), 7, undefined]) {
    refused(() => checkName(name as string), String(name))
  }
})

test('what is refused is shown without what would move a terminal’s cursor', () => {
  try {
    checkName('a\u001b[2J\u009b\r\n'.repeat(30))
    assert.unreachable()
  } catch (error) {
    assert.not.match((error as Error).message, /\p{Cc}/u)
    assert.ok((error as Error).message.length < 200)
  }
})

test('limits: none is undefined, each is read in its units', () => {
  assert.is(limitsOf({}), undefined)
  assert.is(limitsOf({ memory: '64m' })?.memory, 64 * 1024 * 1024)
  assert.is(limitsOf({ memory: 1024 * 1024 * 64 })?.memory, 64 * 1024 * 1024)
  assert.is(limitsOf({ cpus: 0.5 })?.cpus, 0.5)
  assert.is(limitsOf({ pids: 10 })?.pids, 10)
  for (const wrong of [
    { memory: 'x' },
    { memory: -1 },
    { cpus: 0 },
    { cpus: -1 },
    { cpus: Number.NaN },
    { pids: 0 },
    { pids: 1 },
    { pids: 1.5 },
    { memory: '5m' },
  ]) {
    refused(() => limitsOf(wrong), JSON.stringify(wrong))
  }
})

test('working directory, terminal and umask of a command', () => {
  const spec = (options: Parameters<typeof settings.commandSpec>[1], WorkingDir?: string): ReturnType<typeof settings.commandSpec> =>
    settings.commandSpec(['x'], options, {
      config: WorkingDir === undefined ? {} : { WorkingDir },
      user: { uid: 0, gid: 0, groups: [], home: '/root' } as unknown as settings.CommandFacts['user'],
      hostname: 'box',
    })
  assert.is(spec({}).cwd, '/')
  assert.is(spec({}, '/srv').cwd, '/srv')
  assert.is(spec({ cwd: 'below' }, '/srv').cwd, '/srv/below')
  assert.is(spec({ cwd: '../../../up' }, '/srv').cwd, '/up')
  assert.is(spec({ cwd: '/abs' }, '/srv').cwd, '/abs')
  assert.is(spec({}).tty, undefined)
  assert.equal(spec({ tty: true }).tty, { rows: 24, columns: 80 })
  assert.equal(spec({ tty: { rows: 50 } }).tty, { rows: 50, columns: 80 })
  for (const rows of [0, -1, 1.5, 65_536, Number.NaN]) refused(() => spec({ tty: { rows } }), `rows ${rows}`)
  assert.is(spec({}).umask, 0o022)
  assert.is(spec({ umask: 0 }).umask, 0)
  assert.is(spec({}).noNewPrivileges, true)
  refused(() => spec({ cwd: `/${'x'.repeat(4001)}` }), 'a long cwd')
  refused(() => settings.commandSpec([], {}, { config: {}, user: {} as settings.CommandFacts['user'], hostname: 'x' }), 'an empty argv')
})

test.run()
