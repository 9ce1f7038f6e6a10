// HOSTILE.md, "Running containers": what code in a container sees of anything else. R01, R02, R07, R08, R09.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'
import { arena, outcomes } from './arena.ts'

test('R01: the program of PID 1 cannot be opened for writing, nor that of a process just started', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  for (const user of ['0', '1000']) {
    const { stdout } = await container.exec(['/probe', 'process', '1'], { user })
    assert.match(outcomes(stdout).get('exe for writing') ?? '', /^(EACCES|ETXTBSY|EPERM)$/)
    const own = await container.exec(['/probe', 'executable'], { user })
    for (const [path, end] of outcomes(own.stdout)) assert.notEqual(end, 'done', path)
  }
})

test("R01: what the command of an exec runs is the container's, also when it names /proc/self/exe", async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  // CVE-2019-5736: an interpreter line of /proc/self/exe made the runtime run itself inside.
  await container.fs.writeFile('/bin/trap', '#!/proc/self/exe\n', { mode: 0o755 })
  const trapped = await container.exec(['/bin/trap'], { timeout: 5000 }).then(
    ({ stdout, exitCode }) => ({ stdout, exitCode }),
    (error: unknown) => ({ error }),
  )
  // Whatever it runs, it has no channel to anybody: nothing comes of it.
  if ('stdout' in trapped) assert.equal(trapped.stdout, '')
  const after = await container.exec(['/probe', 'executable'])
  assert.equal(after.exitCode, 0)
})

for (const tty of [false, true]) {
  test(`R02: a command has fds 0 to 2 and no others${tty ? ', on a terminal' : ''}`, async () => {
    await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'], tty })
    // The shell lists by a glob, which it has expanded by an fd of its own that is closed again; 255 is bash's own copy of a terminal.
    const list = [
      '/bin/sh',
      '-c',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
      'for each in /proc/self/fd/*; do [ -e "$each" ] && echo "${each##*/}"; done; ls /proc/1/fd | sed s/^/one:/; true',
    ]
    const inStart = await (await arena()).exec(list, { tty })
    const inExec = await container.exec(list, { tty })
    for (const { stdout } of [inStart, inExec]) {
      const seen = stdout.split(/\s+/).filter((each) => each !== '' && each !== '255' && each !== '10')
      assert.deepEqual(seen, ['0', '1', '2'], JSON.stringify(stdout))
    }
  })
}

test('R02: a working directory that names an fd of the engine ends inside the container or nowhere', async () => {
  const base = await arena()
  await using container = await base.start({ cmd: ['sleep', 'infinity'] })
  const look = ['/bin/sh', '-c', '/bin/ls -d store scaffold t ../store ../../store ../../../store 2>/dev/null; /bin/pwd; /bin/ls -id . /']
  for (let fd = 0; fd < 24; fd += 1) {
    for (const exec of [(cwd: string) => base.exec(look, { cwd }), (cwd: string) => container.exec(look, { cwd })]) {
      for (const cwd of [`/proc/self/fd/${fd}`, `/proc/thread-self/fd/${fd}`]) {
        try {
          const { stdout } = await exec(cwd)
          assert.ok(!/store|scaffold/.test(stdout), `${cwd}: ${stdout}`)
          // Where it did work it is the root of the container, which has a path there.
          assert.match(stdout, /^\//, `${cwd}: ${stdout}`)
        } catch (error) {
          assert.match((error as { code?: string }).code ?? String(error), /^(invalid_argument|kernel_refused)$/)
        }
      }
    }
  }
})

test('R07: no process of anybody else is in sight', async () => {
  await using other = await (await arena()).start({ cmd: ['sleep', '4711'] })
  const { stdout } = await (await arena()).exec(
    'for each in /proc/[0-9]*; do tr "\\0" " " < $each/cmdline; echo; done; kill -0 -1; echo "$?"',
  )
  assert.ok(!stdout.includes('4711'))
  assert.ok(!stdout.includes('node'))
  assert.equal(other.state, 'running')
})

test('R07: PID numbers of the host are nobody inside', async () => {
  for (const pid of [process.pid, process.ppid]) {
    const { stdout } = await (await arena()).exec(['/probe', 'process', String(pid)])
    for (const [what, end] of outcomes(stdout)) assert.ok(/^(ENOENT|ESRCH|EPERM)$/.test(end), `${what}: ${end}`)
  }
})

test('R07: a user other than root looks into nothing of PID 1', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  const { stdout } = await container.exec(['/probe', 'process', '1'], { user: '1000' })
  const ends = outcomes(stdout)
  assert.ok(ends.size > 10)
  // With one id mapped it has PID 1's, as the host sees it: these two directories open, and nothing in them does.
  const opens = idKind === 'single' ? ['fd', 'map_files'] : []
  for (const [what, end] of ends) if (!opens.includes(what)) assert.notEqual(end, 'done', what)
})

test('R08: a command has a session of its own, and nothing is typed into a terminal', async () => {
  const { stdout } = await (await arena()).exec(['/probe', 'terminal'], { tty: true })
  const ends = outcomes(stdout.replaceAll('\r', ''))
  assert.match(ends.get('TIOCLINUX') ?? '', /^(EPERM|ENOTTY)$/)
  const [session, own] = (ends.get('session') ?? '').split(' ')
  assert.equal(session, own)
  const piped = outcomes((await (await arena()).exec(['/probe', 'terminal'])).stdout)
  assert.match(piped.get('TIOCSTI') ?? '', /^(EPERM|EIO|ENOTTY|EINVAL)$/)
  assert.equal(...((piped.get('session') ?? '1 2').split(' ') as [string, string]))
})

test("R08: /dev/tty is the container's terminal or none", async () => {
  const { stdout } = await (await arena()).exec('exec 2>&1; (: < /dev/tty) && echo opened || echo refused')
  assert.match(stdout, /refused$/m)
})

test("R09: abstract sockets and the loopback of the host are not the container's", async () => {
  const name = `strake-hostile-${process.pid}`
  const abstract = createServer().listen(`\0${name}`)
  const loopback = createServer().listen(0, '127.0.0.1')
  await Promise.all([once(abstract, 'listening'), once(loopback, 'listening')])
  try {
    const { port } = loopback.address() as { port: number }
    const base = await arena()
    assert.equal(outcomes((await base.exec(['/probe', 'connects', name])).stdout).get('abstract'), 'ECONNREFUSED')
    const dialled = await base.exec(['/bin/bash', '-c', `: < /dev/tcp/127.0.0.1/${port}`])
    assert.notEqual(dialled.exitCode, 0)
    // Shared when asked for: the same two answer with the host's network, as with Docker's.
    const shared = outcomes((await base.exec(['/probe', 'connects', name], { network: 'host' })).stdout)
    assert.equal(shared.get('abstract'), 'done')
    assert.equal((await base.exec(['/bin/bash', '-c', `: < /dev/tcp/127.0.0.1/${port}`], { network: 'host' })).exitCode, 0)
  } finally {
    abstract.close()
    loopback.close()
  }
})

test.run()
