import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import * as assert from 'uvu/assert'
import { type Namespaces, ns, StrakeError } from '../../lib/index.ts'
import { type NamespaceKind, namespaceKinds } from '../../lib/namespaces/index.ts'
import { decodeRecords, flags } from '../../lib/sys/index.ts'
import { isRoot } from '../support/machine.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

const files: Readonly<Record<NamespaceKind, string>> = {
  user: 'user',
  mount: 'mnt',
  pid: 'pid',
  uts: 'uts',
  ipc: 'ipc',
  network: 'net',
  cgroup: 'cgroup',
  time: 'time',
}
const kinds = Object.keys(namespaceKinds) as NamespaceKind[]

async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof StrakeError ? error.code : String(error)),
  )
}

function linkOf(made: Namespaces, kind: NamespaceKind): string | undefined {
  return made.links.find(({ name }) => name === files[kind])?.id
}

test('each kind alone is new for the agent and for what runs in it, and every other is the host’s', async () => {
  for (const kind of kinds) {
    const user = kind === 'user' || !isRoot
    await using made = await ns({ user, [kind]: true })
    for (const each of kinds) {
      const isNew = each === kind || (each === 'user' && user)
      const host = readlinkSync(`/proc/self/ns/${files[each]}`)
      assert.is(linkOf(made, each) !== host, isNew, `ns({ ${kind} }): ${each}`)
    }
    const { stdout, exitCode, stderr } = await made.exec(['readlink', `/proc/${kind === 'pid' ? made.pid : 'self'}/ns/${files[kind]}`])
    assert.is(exitCode, 0, `${kind}: ${stderr}`)
    assert.is(stdout.trim(), linkOf(made, kind), kind)
  }
})

test('all kinds at once; the command runs as root in there', async () => {
  await using made = await ns(Object.fromEntries(kinds.map((kind) => [kind, true])))
  const { stdout } = await made.exec('id -u; echo $PPID')
  assert.equal(stdout.trim().split('\n'), ['0', '1'])
})

test('system calls change the namespaces, and nothing outside', async () => {
  await using made = await ns({ user: true, mount: true, uts: true, pid: true, network: true, ipc: true })
  await made.sys.setHostname('box')
  await made.sys.setDomainname('example')
  assert.is((await made.exec(['hostname'])).stdout, 'box\n')
  assert.is(hostname() === 'box', false)
  await made.sys.mount({ source: 'tmpfs', target: '/mnt', type: 'tmpfs', flags: flags.MS.MS_NODEV })
  await made.sys.mkdir({ path: '/mnt/a', mode: 0o750 })
  await made.sys.write({ path: '/mnt/a/f', flags: flags.O.O_CREAT | flags.O.O_WRONLY, mode: 0o600, data: Buffer.from('hello') })
  await made.sys.symlink({ target: 'f', path: '/mnt/a/l' })
  await made.sys.link({ from: '/mnt/a/f', path: '/mnt/a/h' })
  await made.sys.rename({ from: '/mnt/a/h', path: '/mnt/a/g' })
  await made.sys.chmod({ path: '/mnt/a/g', mode: 0o644 })
  await made.sys.chown({ path: '/mnt/a/g', uid: 0, gid: 0 })
  await made.sys.truncate({ path: '/mnt/a/g', size: 2 })
  await made.sys.setTimes({ path: '/mnt/a/g', atimeSec: 1, atimeNsec: 2, mtimeSec: -3, mtimeNsec: 4 })
  const records = decodeRecords(await made.sys.readDir('/mnt/a'))
  assert.equal(records.map(({ name }) => String(name)).sort(), ['f', 'g', 'l'])
  const file = records.find(({ name }) => String(name) === 'g')!
  assert.equal([file.size, file.nlink, file.mode & 0o777, file.mtimeSec, file.mtimeNsec], [2, 2, 0o644, -3, 4])
  assert.is(String(records.find(({ name }) => String(name) === 'l')!.target), 'f')
  assert.is((await made.exec(['cat', '/mnt/a/g'])).stdout, 'he')
  await made.sys.unlink('/mnt/a/l')
  await made.sys.removeTree('/mnt/a')
  assert.is(decodeRecords(await made.sys.readDir('/mnt')).length, 0)
  await made.sys.umount('/mnt')
  await made.sys.linkUp('lo')
  assert.match((await made.exec(['cat', '/proc/net/if_inet6'])).stdout + readFileSync('/proc/net/dev', 'utf8'), /lo/)
  assert.is(await made.sys.getPid(), 1)
  await made.sys.umask(0o077)
  assert.is((await made.exec('umask')).stdout.trim(), '0077')
})

test('slots stay from call to call: a root file system made, attached and entered step by step', async () => {
  await using made = await ns({ user: true, mount: true })
  await made.sys.fsopen({ type: 'tmpfs', out: 'context' })
  await made.sys.fsconfig({ fd: 'context', command: flags.FSCONFIG.FSCONFIG_SET_STRING, key: 'size', value: '1m' })
  await made.sys.fsconfig({ fd: 'context', command: flags.FSCONFIG.FSCONFIG_CMD_CREATE })
  await made.sys.fsmount({ fd: 'context', out: 'tree' })
  await made.sys.moveMount({ from: 'tree', toPath: '/mnt', flags: flags.MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH })
  assert.match((await made.exec(['cat', '/proc/self/mountinfo'])).stdout, / \/mnt .* tmpfs .*size=1024k/)
  await made.sys.close('context')
  assert.is(await codeOf(made.sys.fsconfig({ fd: 'context', command: flags.FSCONFIG.FSCONFIG_CMD_CREATE })), 'kernel_refused')
  await made.sys.chroot('/mnt')
  await made.sys.chdir('/')
  assert.is(decodeRecords(await made.sys.readDir('/')).length, 0)
})

test('an op that the kernel refuses is named, and the namespaces live on', async () => {
  await using made = await ns({ user: true, mount: true })
  try {
    await made.sys.mount({ source: 'x', target: '/mnt', type: 'no-such-file-system' })
    assert.unreachable()
  } catch (error) {
    assert.ok(error instanceof StrakeError)
    assert.equal([error.code, error.details?.op, error.details?.errno], ['kernel_refused', 'mount', 'ENODEV'])
  }
  assert.is((await made.exec(['true'])).exitCode, 0)
})

test('a command: exit code, signal, environment, directory, input, and one that does not exist', async () => {
  await using made = await ns({ user: true, uts: true })
  assert.is((await made.exec('exit 7')).exitCode, 7)
  assert.is((await made.exec('kill -TERM $$')).signal, 'SIGTERM')
  assert.is((await made.exec('echo $GREETING; pwd', { env: { GREETING: 'hi' }, cwd: '/usr' })).stdout, 'hi\n/usr\n')
  assert.is((await made.exec(['cat'], { stdin: 'given' })).stdout, 'given')
  const missing = await made.exec(['/no/such/command']).catch((reason: unknown) => reason)
  assert.ok(missing instanceof StrakeError)
  assert.is(missing.code, 'command_not_found')
  assert.not.match(`${missing.message} ${missing.hint}`, /container|image/)
  assert.is(await codeOf(made.exec(['sleep', '60'], { signal: AbortSignal.timeout(50) })), 'aborted')
  assert.is((await made.exec(['sleep', '60'], { timeout: 50 })).timedOut, true)
})

test('closed namespaces are lost, and what ran in their pid namespace with them', async () => {
  const made = await ns({ user: true, pid: true })
  const running = made.exec(['sleep', '600'])
  const pid = await running.started
  await made.close()
  assert.is(await codeOf(running), 'zygote_lost')
  assert.is(await codeOf(made.sys.getPid()), 'zygote_lost')
  assert.is(await codeOf(made.exec(['true'])), 'zygote_lost')
  assert.is(await codeOf((async () => made.links)()), 'zygote_lost')
  for (let wait = 0; wait < 100 && isAlive(pid); wait++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.not.ok(isAlive(pid))
})

function isAlive(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('an agent that may have no file open any more ends, and does not wait for what it cannot hear', async () => {
  await using made = await ns({ user: true, pid: true })
  const pid = await made.exec(['sleep', '600']).started
  // RLIMIT_NOFILE
  await made.sys.prlimit({ resource: 7, soft: 0, hard: 0 }).catch(() => {})
  for (let wait = 0; wait < 1000 && (isAlive(pid) || isAlive(made.pid)); wait++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.not.ok(isAlive(made.pid))
  assert.not.ok(isAlive(pid))
  assert.is(await codeOf(made.exec(['true'])), 'zygote_lost')
})

test('an agent whose watch over its children is closed ends, and a command does not wait for ever', async () => {
  await using made = await ns({ user: true, pid: true })
  await made.sys.closeRange({ first: 4 }).catch(() => {})
  assert.is(await codeOf(made.exec(['true'])), 'zygote_lost')
})

test('an agent that may have few files open says so of a command that needs more', async () => {
  for (const most of [3, 5, 7]) {
    await using made = await ns({ user: true })
    await made.sys.prlimit({ resource: flags.RLIMIT.RLIMIT_NOFILE, soft: most, hard: most })
    assert.is(await codeOf(made.exec(['true'])), 'limit_exceeded', String(most))
    assert.type(await made.sys.getPid(), 'number')
  }
})

test('flags below 0 or with a fraction are refused by the name of their field', async () => {
  await using made = await ns({ user: true, mount: true })
  for (const wrong of [-1, 1.5]) {
    const error = await made.sys.mount({ target: '/mnt', type: 'tmpfs', flags: wrong }).catch((reason: unknown) => reason)
    assert.ok(error instanceof StrakeError)
    assert.is(error.code, 'invalid_argument')
    assert.match(error.message, /'flags'/)
  }
})

test('what unshare(2) in the agent cannot give is told with what can', async () => {
  await using first = await ns({ user: true })
  await first.sys.unshare(flags.CLONE.CLONE_NEWPID)
  const pid = await first.exec(['true']).catch((reason: unknown) => reason)
  assert.ok(pid instanceof StrakeError)
  assert.match(pid.hint ?? '', /ns\(\{ pid: true \}\)/)
  await using second = await ns({ user: true })
  await second.sys.unshare(flags.CLONE.CLONE_NEWUSER)
  const user = await second.exec(['true']).catch((reason: unknown) => reason)
  assert.ok(user instanceof StrakeError)
  assert.match(user.hint ?? '', /uid_map/)
  const write = (file: string, text: string): Promise<void> =>
    second.sys.write({ path: `/proc/self/${file}`, flags: flags.O.O_WRONLY, data: Buffer.from(text) })
  await write('setgroups', 'deny')
  await write('uid_map', '0 0 1')
  await write('gid_map', '0 0 1')
  assert.is((await second.exec(['id', '-u'])).stdout, '0\n')
})

test('a kind that does not exist is refused by name', async () => {
  assert.is(await codeOf(ns({ files: true } as never)), 'invalid_argument')
})

testAs(test, ['subid', 'single'], 'without a user namespace of its own an ordinary user is told to ask for one', async () => {
  try {
    await ns({ uts: true })
    assert.unreachable()
  } catch (error) {
    assert.ok(error instanceof StrakeError)
    assert.is(error.code, 'kernel_refused')
    assert.match(error.hint ?? '', /user: true/)
  }
})

test('a field that a system call does not have is refused, and the nearest name told', async () => {
  await using made = await ns({ user: true, mount: true })
  const fields = { source: 'tmpfs', target: '/mnt', type: 'tmpfs' }
  const error = await made.sys.mount({ ...fields, flgas: 1 } as never).catch((reason: unknown) => reason)
  assert.instance(error, StrakeError)
  assert.is((error as StrakeError).code, 'invalid_argument')
  assert.match((error as StrakeError).hint ?? '', /flags/)
  await made.sys.mount(fields)
})

test.run()
