import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import * as assert from 'uvu/assert'
import { type ContainerOptions, type Image, image } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'
import { assertNothingLeft, quietTraces, rejection } from './traces.ts'

let built: Image
const scale = process.env.STRAKE_LONG_TESTS ? 10 : 1

test.before(async () => {
  built = await image('host')
    .copy(
      {
        'bin/empty-program': { content: 'no program', mode: 0o755 },
        'etc/plain': 'text',
        'bin/lost-loader': { content: '#!/no/such\n', mode: 0o755 },
        'bin/circle': { content: '#!/bin/circle\n', mode: 0o755 },
      },
      '/',
    )
    .build()
  await built.exec(['true'])
})

test('a command that cannot be run is refused by a code that says why', async () => {
  const before = await quietTraces()
  await rejection(built.exec(['no-such-command']), 'command_not_found')
  await rejection(built.exec(['/no/such/path']), 'command_not_found')
  await rejection(built.exec(['/bin/lost-loader']), 'command_not_found')
  assert.is((await rejection(built.exec(['/etc/plain']), 'command_not_found')).details?.errno, 'EACCES')
  assert.is((await rejection(built.exec(['/bin/empty-program']), 'command_not_found')).details?.errno, 'ENOEXEC')
  assert.is((await rejection(built.exec(['/etc']), 'command_not_found')).details?.errno, 'EACCES')
  for (const command of ['/etc/plain/x', '/etc/plain/']) {
    assert.is((await rejection(built.exec([command]), 'command_not_found')).details?.errno, 'ENOTDIR')
  }
  assert.is((await rejection(built.exec(['/bin/circle']), 'command_not_found')).details?.errno, 'ELOOP')
  assert.is((await rejection(built.exec([`/${'x'.repeat(256)}`]), 'command_not_found')).details?.errno, 'ENAMETOOLONG')
  await rejection(built.exec(['true'], { user: 'no-such-user' }), 'user_not_found')
  await rejection(built.exec(['true'], { user: 'root:no-such-group' }), 'user_not_found')
  await rejection(built.exec(['true'], { cwd: '/etc/plain' }), 'invalid_argument')
  await rejection(built.exec(['true'], { cwd: '/etc/plain/below' }), 'invalid_argument')
  assert.is((await built.exec(['pwd'], { cwd: '/made/for/it' })).stdout, '/made/for/it\n')
  await assertNothingLeft(before)
})

test('a working directory of the image that is none is told as one of the options is', async () => {
  const odd = await image(built).workdir('/odd').run('cd / && rmdir /odd && echo > /odd').build()
  assert.match((await rejection(odd.exec(['true']), 'invalid_argument')).hint ?? '', /cwd/)
  assert.is((await odd.exec(['pwd'], { cwd: '/etc' })).stdout, '/etc\n')
})

test('argv and env work up to the limits of the kernel, beyond them the error says E2BIG', async () => {
  const word = 'x'.repeat(100_000)
  const argv = ['sh', '-c', 'printf "%s" "$*" | wc -c', '-', ...Array.from({ length: 10 }, () => word)]
  assert.is((await built.exec(argv)).stdout.trim(), String(10 * word.length + 9))
  assert.is((await rejection(built.exec(['true', 'x'.repeat(131_072)]), 'kernel_refused')).details?.errno, 'E2BIG')
  assert.is((await rejection(built.exec(['true', ...Array.from({ length: 40 }, () => word)]), 'kernel_refused')).details?.errno, 'E2BIG')
  const env = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`V${index}`, 'y'.repeat(500)]))
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
  assert.is((await built.exec('echo ${#V999}', { env })).stdout, '500\n')
})

test('options of the wrong type or value are refused before anything runs', async () => {
  const before = await quietTraces()
  const wrong: readonly [string, unknown][] = [
    ['env', { A: 'a\0b' }],
    ['env', { 'A=B': 'x' }],
    ['env', { A: {} }],
    ['env', 'A=B'],
    ['env', 7],
    ['cwd', 7],
    ['cwd', 'a\0b'],
    ['cwd', {}],
    ['user', {}],
    ['user', 'a\0b'],
    ['user', -1],
    ['user', 1.5],
    ['stdin', 7],
    ['stdin', {}],
    ['tty', 'yes'],
    ['tty', { rows: 0 }],
    ['tty', { columns: 'x' }],
    ['timeout', 'soon'],
    ['timeout', -1],
    ['timeout', Number.NaN],
    ['timeout', {}],
    ['signal', {}],
    ['signal', 'x'],
    ['encoding', 'latin1'],
    ['maxOutput', -1],
    ['maxOutput', 'x'],
    ['maxOutput', {}],
    ['rlimits', { nofile: 'x' }],
    ['rlimits', { nothing: 1 }],
    ['rlimits', 7],
    ['umask', -1],
    ['umask', 'x'],
    ['umask', 0o1000],
    ['hostname', 7],
    ['hostname', 'a b'],
    ['hostname', 'x'.repeat(65)],
    ['network', 'bridge'],
    ['network', 7],
    ['memory', 'x'],
    ['memory', -5],
    ['memory', {}],
    ['cpus', 'x'],
    ['cpus', -1],
    ['cpus', Number.NaN],
    ['pids', 'x'],
    ['pids', -2],
    ['pids', 1.5],
    ['capabilities', 'ALL'],
    ['capabilities', { add: ['NO_SUCH'] }],
    ['capabilities', { add: 'X' }],
    ['seccomp', 'none'],
    ['seccomp', 7],
    ['seccomp', { defaultAction: 'x' }],
    ['noNewPrivileges', 'no'],
    ['readonly', 'no'],
    ['shmSize', 'x'],
    ['shmSize', {}],
    ['time', 'yes'],
    ['check', 'yes'],
  ]
  const accepted: string[] = []
  for (const [name, value] of wrong) {
    try {
      await built.exec(['true'], { [name]: value } as ContainerOptions)
      accepted.push(`${name}: ${JSON.stringify(value)} accepted`)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code !== 'invalid_argument') accepted.push(`${name}: ${JSON.stringify(value)} → ${String(error).slice(0, 120)}`)
    }
  }
  for (const argv of [[], [''], ['a\0b'], [7], null, 7, {}, undefined]) {
    await rejection(async () => built.exec(argv as string[]), 'invalid_argument')
  }
  for (const options of [{ name: 'a/b' }, { name: '' }, { name: 7 }, { cmd: [] }, { cmd: 7 }, { entrypoint: [7] }]) {
    await rejection(built.start(options as never), 'invalid_argument')
  }
  await assertNothingLeft(before)
  assert.equal(accepted, [])
})

test('all of a large output arrives at a slow reader, and memory stays flat', async () => {
  const size = 100 * scale
  const running = built.exec(`head -c ${size}M /dev/zero | tr '\\0' 'a'`)
  const hash = createHash('sha256')
  let total = 0
  let most = 0
  const begun = process.memoryUsage().rss
  for await (const chunk of running.stdout as AsyncIterable<Buffer>) {
    hash.update(chunk)
    total += chunk.length
    if (total % (64 * 65_536) < chunk.length) await sleep(1)
    most = Math.max(most, process.memoryUsage.rss())
  }
  assert.is((await running).exitCode, 0)
  assert.is(total, size * 1024 * 1024)
  const wanted = createHash('sha256')
  for (let each = 0; each < size; each += 1) wanted.update(Buffer.alloc(1024 * 1024, 'a'))
  assert.is(hash.digest('hex'), wanted.digest('hex'))
  assert.ok(most - begun < 80e6, `${(most - begun) / 1e6} MB more`)
})

test('output beyond maxOutput ends the process', async () => {
  const before = await quietTraces()
  await rejection(built.exec(['yes'], { maxOutput: '1m' }), 'limit_exceeded')
  await assertNothingLeft(before)
})

test('a large input is piped through, and a reader that stops early is no error', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'b')
  const count = 20 * scale
  const source = (): Readable => Readable.from(Array.from({ length: count }, () => piece))
  assert.is((await built.exec('cat | wc -c', { stdin: source() })).stdout.trim(), String(count * piece.length))
  assert.is((await built.exec(['head', '-c', '5'], { stdin: source() })).stdout, 'bbbbb')
  assert.is((await built.exec('exec <&-; sleep 0.1; echo closed', { stdin: source() })).stdout, 'closed\n')
  assert.is((await built.exec(['true'], { stdin: 'x'.repeat(1_000_000) })).exitCode, 0)
})

test('a terminal whose input is more than it takes does not throw', async () => {
  const result = await built.exec('stty raw; sleep 0.3; echo over', { tty: true, stdin: 'z'.repeat(300_000), timeout: 5000 })
  assert.match(result.stdout, /over/)
})

test('outputs are kept apart, exit codes are told, and a background process that holds stdout open is not waited for', async () => {
  const { stdout, stderr } = await built.exec('echo out; echo err >&2')
  assert.equal([stdout, stderr], ['out\n', 'err\n'])
  await using container = await built.start({ cmd: ['sleep', '1000'] })
  for (const code of [0, 1, 2, 126, 127, 128, 130, 200, 255]) {
    assert.is((await built.exec(`exit ${code}`)).exitCode, code)
    assert.is((await container.exec(`exit ${code}`)).exitCode, code)
  }
  const begun = Date.now()
  assert.is((await container.exec('sleep 100 & echo started')).stdout, 'started\n')
  assert.ok(Date.now() - begun < 3000)
})

test('a flood of file descriptors ends inside', async () => {
  const { stdout } = await built.exec('i=3; while [ $i -lt 2000 ] && eval "exec $i</dev/null" 2>/dev/null; do i=$((i+1)); done; echo end', {
    rlimits: { nofile: 64 },
  })
  const bash = await built.exec('ulimit -n; echo alive', { rlimits: { nofile: 64 } })
  assert.ok(stdout === 'end\n' || stdout === '')
  assert.is(bash.stdout, '64\nalive\n')
})

test('a terminal tells the end of its input, and waits for what is written to stdin where none was given', async () => {
  for (const [stdin, shown] of [
    ['hello\n', 'hello\r\nhello\r\nend\r\n'],
    ['', 'end\r\n'],
    ['part', 'partpartend\r\n'],
  ]) {
    assert.is((await built.exec('cat; echo end', { tty: true, stdin, timeout: 20_000 })).stdout, shown)
  }
  const process = built.exec('read word; echo "got $word"', { tty: true, timeout: 20_000 })
  process.stdin.write('this\n')
  assert.match((await process).stdout, /got this/)
})

test('a source of stdin that fails ends the command with its error', async () => {
  const source = new Readable({
    read() {
      this.destroy(new Error('boom'))
    },
  })
  const error = await rejection(built.exec('cat; sleep 600', { stdin: source }))
  assert.is(error.code, 'input_failed')
  assert.is((error.cause as Error).message, 'boom')
})

test('a command that reads a little of an endless source ends with success', async () => {
  const source = new Readable({
    read() {
      this.push(Buffer.alloc(65_536))
    },
  })
  assert.is((await built.exec('head -c 10 | wc -c', { stdin: source, timeout: 20_000 })).stdout.trim(), '10')
  assert.is(source.destroyed, true)
})

test('a seccomp profile that lets nothing be executed is refused, and one that forbids the rest hangs nobody', async () => {
  const nothing = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [] } as const
  assert.is((await rejection(built.exec('true', { seccomp: nothing }))).code, 'invalid_argument')
  for (const defaultAction of ['SCMP_ACT_ERRNO', 'SCMP_ACT_KILL', 'SCMP_ACT_KILL_PROCESS'] as const) {
    const seccomp = { defaultAction, syscalls: [{ names: ['execve'], action: 'SCMP_ACT_ALLOW' as const }] }
    const [outcome] = await Promise.allSettled([built.exec(['/bin/true'], { seccomp, timeout: 20_000 })])
    if (outcome.status === 'rejected') assert.is(outcome.reason.code, 'process_failed')
    else assert.equal([outcome.value.exitCode, outcome.value.timedOut], [null, false])
  }
})

test('a command in a container that takes too long takes its process group along', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'] })
  assert.is((await container.exec('sleep 77 & sleep 78', { timeout: 300 })).timedOut, true)
  const { stdout } = await container.exec("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
  assert.not.match(stdout, /sleep 7[78]/)
})

test('a command with a terminal may close it before it ends', async () => {
  const argv = ['sh', '-c', 'cat >/dev/null; exec 0<&- 1>&- 2>&-; sleep 0.1; exit 7']
  for (let round = 0; round < 5; round += 1) {
    const { exitCode, signal } = await built.exec(argv, { tty: true, stdin: 'q\n', timeout: 20_000 })
    assert.equal([exitCode, signal], [7, null])
    assert.is((await built.exec(['cat'], { tty: true, stdin: 'abc\n', timeout: 20_000 })).exitCode, 0)
  }
})

test('a source of stdin that is cut short, or gives what is no text and no bytes, is told', async () => {
  const cut = new Readable({ read() {} })
  cut.push('abc')
  setTimeout(() => cut.destroy(), 100)
  await rejection(built.exec(['cat'], { stdin: cut }), 'input_failed')
  await rejection(built.exec(['cat'], { stdin: Readable.from([1, 2]) }), 'input_failed')
  assert.is((await built.exec(['cat'], { stdin: Readable.from(['a', Buffer.from('b')]) })).stdout, 'ab')
})

test('an error names the variables of a command and not their values', async () => {
  const error = await rejection(built.exec(['nope'], { env: { TOKEN: 's3cr3t-token' } }))
  assert.match(inspect(error, { depth: 20 }), /TOKEN/)
  assert.not.match(inspect(error, { depth: 20 }), /s3cr3t/)
})

test('a command in a container that ends at that moment is refused by the one code for it', async () => {
  for (let round = 0; round < 30; round += 1) {
    await using container = await built.start({ cmd: ['sleep', `0.00${round % 10}`] })
    for (let at = 0; at < 3; at += 1) {
      const code = await container.exec('true').then(
        () => undefined,
        (error: unknown) => (error as { code: string }).code,
      )
      assert.ok(code === undefined || code === 'container_not_running', code)
    }
  }
})

test('few open files, another user and privileges that may be gained go together, or are refused by name', async () => {
  assert.is((await built.exec(['echo', 'ok'], { user: '65534', rlimits: { nofile: 10 } })).stdout, 'ok\n')
  assert.is((await built.exec(['echo', 'ok'], { noNewPrivileges: false })).stdout, 'ok\n')
  const options = { noNewPrivileges: false, user: '65534' }
  if (idKind === 'single') await rejection(built.exec(['echo', 'ok'], options), 'invalid_argument')
  else assert.is((await built.exec(['echo', 'ok'], options)).stdout, 'ok\n')
})

test.run()
