// A container in a user namespace of its own: because it asks for one, or because its `pids` are counted by nothing else.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { currentRuntime } from '../../lib/containers/index.ts'
import { type ContainerOptions, type Image, image } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { assertNothingLeft, descendants, processesWith, quietTraces, rejection, settled } from './traces.ts'

const alone = { userns: 'private' } as const
const namespace = 'readlink /proc/self/ns/user'
/**
 * A shell starts sleepers until it can make no more, and ends of that. Then there are PID 1, the main shell and the sleepers: one less than
 * the limit. They are counted without another process, and are there for a moment yet.
 */
const fill = "sh -c 'while :; do sleep 60 & done' 2>/dev/null; n=0; for each in /proc/[0-9]*; do n=$((n+1)); done; echo $n; sleep 0.3"
let built: Image

/** Has containers do without control groups, as most ordinary users must. */
async function withoutCgroups<Value>(work: () => PromiseLike<Value>): Promise<Value> {
  const runtime = await currentRuntime()
  const before = runtime.cgroups
  Object.defineProperty(runtime, 'cgroups', { value: { ...before, kind: 'none' } })
  try {
    return await work()
  } finally {
    Object.defineProperty(runtime, 'cgroups', { value: before })
  }
}

/** How many processes a container has: those below the parent of its main process, and that. */
function below(main: number): number {
  return descendants(Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${main}/status`, 'utf8'))?.[1])).length + 1
}

test.before(async () => {
  built = await image('host').build()
})

test('each has a user namespace of its own, other containers share one, and the ids inside are the same', async () => {
  const script = `${namespace}; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id`
  const outputs: string[] = []
  for (const options of [alone, alone, {}, { userns: 'shared' as const }]) {
    const { exitCode, stdout, stderr } = await built.exec(script, options)
    assert.is(exitCode, 0, stderr)
    outputs.push(stdout)
  }
  const [one, other, shared, again] = outputs.map((text) => text.split('\n'))
  assert.is.not(one?.[0], other?.[0])
  assert.is.not(one?.[0], shared?.[0])
  assert.is(shared?.[0], again?.[0])
  assert.is(one?.at(-2), shared?.at(-2))
  assert.ok(one?.includes(idKind === 'single' ? 'deny' : 'allow'), outputs[0])
})

test('a start in one is as confined as any other', async () => {
  // PID 1 lets itself be looked at once it has given up what the command has not, which may be a moment after the command's beginning.
  const settled = 'until grep -q "^CapPrm:.*0020$" /proc/1/status; do :; done'
  const look = `${settled}; grep -E "^(Cap|NoNewPrivs|Seccomp)" /proc/self/status /proc/1/status; cut -d" " -f4- /proc/self/mounts | sort; ls /dev /sys`
  for (const options of [{}, { network: 'host' as const }, { user: 65_534 }, { tty: true }, { readonly: true }]) {
    const shared = await built.exec(look, options)
    const own = await built.exec(look, { ...options, ...alone })
    assert.is(own.exitCode, 0, own.stderr)
    const masked = (text: string): string => text.replaceAll(/(upperdir|workdir)=[^,]*/g, '$1')
    assert.is(masked(own.stdout), masked(shared.stdout), JSON.stringify(options))
    const outside = await built.exec('mount -t tmpfs none /mnt 2>&1; umount /proc/keys 2>&1; cat /proc/keys; ls -A /store 2>&1', alone)
    assert.not.match(outside.stdout, /keyring|containers/)
  }
})

test('what it writes belongs to the same ids as elsewhere: in a snapshot, in a build, and for its fs', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'], ...alone })
  await container.fs.writeFile('/from-outside', 'note')
  await container.exec('chown 7:8 /from-outside; touch /mine; chown 5:6 /mine; chmod 4755 /mine', { check: true })
  const look = 'ls -ln /from-outside /mine | cut -d" " -f1,3,4'
  const expected = idKind === 'single' ? '-rw-r--r-- 0 0\n-rwsr-xr-x 0 0\n' : '-rw-r--r-- 7 8\n-rwsr-xr-x 5 6\n'
  assert.is((await container.exec(look)).stdout, expected)
  assert.is(await container.fs.readFile('/from-outside', 'utf8'), 'note')
  const copy = await container.snapshot()
  for (const options of [{}, alone]) assert.is((await copy.exec(look, options)).stdout, expected)
  const step = await image(built).run('echo made > /made && chown 9 /made', { userns: 'private' }).build()
  assert.is((await step.exec('cat /made; ls -ln /made | cut -d" " -f3')).stdout, `made\n${idKind === 'single' ? 0 : 9}\n`)
})

testAs(test, ['root', 'subid'], 'programs become other users in it, as package managers do', async () => {
  const { exitCode, stdout, stderr } = await built.exec(
    'setpriv --reuid 42 --regid 43 --groups 44,45 id -G; setpriv --reuid 42 --regid 43 --clear-groups sh -c "touch /tmp/x && stat -c %u:%g /tmp/x"',
    alone,
  )
  assert.is(stdout, '43 44 45\n42:43\n', stderr)
  assert.is(exitCode, 0)
})

test('exec joins it, with the rights of the container and no others', async () => {
  await using container = await built.start({ cmd: ['sleep', '600'], ...alone })
  const rights = 'grep -E "^(Cap|NoNewPrivs|Seccomp)" /proc/self/status'
  const { stdout } = await container.exec(`${namespace}; readlink /proc/1/ns/user; ${rights}`)
  const [own, init, ...status] = stdout.trim().split('\n')
  assert.is(own, init)
  assert.is.not(own, (await built.exec(namespace)).stdout.trim())
  assert.equal(status, (await built.exec(rights)).stdout.trim().split('\n'))
  for (const options of [{ user: 65_534 }, { tty: true }, { cwd: '/some/where' }]) {
    const each = await container.exec(['sh', '-c', 'id -u; pwd'], options)
    assert.is(each.exitCode, 0, JSON.stringify([options, each.stderr]))
    assert.match(each.stdout, options.user ? /^65534\r?\n/ : /^0\r?\n/)
  }
  const running = container.exec(['sleep', '4711'])
  const name = `/proc/${await running.started}/comm`
  assert.is(
    await settled(
      () => readFileSync(name, 'latin1'),
      (each) => each === 'sleep\n',
    ),
    'sleep\n',
  )
  running.kill('SIGTERM')
  assert.is((await running).signal, 'SIGTERM')
})

test('it is paused, signalled and stopped as any other', async () => {
  await using container = await built.start({ cmd: ['sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.05; done'], ...alone })
  await delay(100)
  await container.pause()
  assert.match(readFileSync(`/proc/${container.pid}/status`, 'utf8'), /^State:\t[TD]/m)
  await container.unpause()
  await container.kill('SIGTERM')
  assert.is((await container.wait()).exitCode, 7)
})

test('one that nothing allows is refused', async () => {
  await rejection(built.exec(['true'], { userns: 'own' } as unknown as ContainerOptions), 'invalid_argument')
})

for (const user of ['0:0', '65534:65534']) {
  test(`without a cgroup, pids are those of the container alone: eight side by side, as ${user}`, async () => {
    const results = await withoutCgroups(() =>
      Promise.all(Array.from({ length: 8 }, () => built.exec(['sh', '-c', fill], { user, pids: 32, timeout: 30_000 }))),
    )
    for (const { exitCode, stdout, stderr } of results) assert.equal([stdout, exitCode], ['31\n', 0], stderr)
  })
}

test('without a cgroup, a bomb of processes in one container takes none from another, nor can it start more by an exec', async () => {
  await withoutCgroups(async () => {
    // A shell that cannot fork ends: the bomb may put itself out, and what it filled must still be there to be counted; so must the main process.
    const again = '(while :; do (f) 2>/dev/null; sleep 0.05; done) &'
    const script = `f() { f | f & }; (sleep 0.1; ${again} ${again} ${again} wait) & exec sleep 600`
    await using bomb = await built.start({ cmd: ['sh', '-c', script], pids: 24 })
    await using calm = await built.start({ cmd: ['sleep', '600'], pids: 24 })
    await delay(200)
    for (let round = 0; round < 5; round += 1) {
      assert.is((await calm.exec('for i in 1 2 3 4 5 6 7 8; do sleep 0.05 & done; wait; echo fine')).stdout, 'fine\n')
      assert.is((await built.exec('(echo fine)', { pids: 4 })).stdout, 'fine\n')
    }
    assert.ok(below(bomb.pid) <= 24, `${below(bomb.pid)} processes`)
    assert.is((await calm.exec(fill)).stdout, '23\n')
  })
})

test("without a cgroup, root's command by an exec is let into a full container, and starts nothing there", async () => {
  await withoutCgroups(async () => {
    await using full = await built.start({ cmd: `sh -c 'while :; do sleep 600 & done' 2>/dev/null; sleep 6013; true`, pids: 16 })
    assert.is(
      await settled(
        () => processesWith(['sleep', '6013'].join('\0')).length,
        (count) => count === 1,
      ),
      1,
    )
    assert.is(below(full.pid), 16)
    const { exitCode, stderr } = await full.exec('echo in >&2; (true); echo on >&2')
    assert.equal([exitCode, stderr.split('\n')[0], /on/.test(stderr)], [2, 'in', false], stderr)
    const other = full.exec('(true)', { user: 65_534 })
    if (idKind === 'single') assert.is((await other).exitCode, 2)
    else assert.equal((await rejection(other, 'kernel_refused')).details?.errno, 'EAGAIN')
  })
})

testAs(test, ['root', 'subid'], 'without a cgroup, pids count all users of the container together', async () => {
  const users = [1, 2, 3, 4].map((uid) => `setpriv --reuid ${uid} --clear-groups sh -c 'while :; do sleep 60 & done' 2>/dev/null`)
  const { stdout, stderr } = await withoutCgroups(() => built.exec(`${users.join(';')}; ${fill}`, { pids: 32, timeout: 30_000 }))
  assert.is(stdout, '31\n', stderr)
})

test('without a cgroup, rlimits of the command hold inside the bound of the container', async () => {
  await withoutCgroups(async () => {
    const limit = (rlimits: ContainerOptions['rlimits'], user: number): PromiseLike<{ readonly stdout: string }> =>
      built.exec("grep processes /proc/self/limits | tr -s ' ' | cut -d' ' -f4", { pids: 32, user, ...(rlimits ? { rlimits } : {}) })
    for (const user of [0, 65_534]) {
      assert.is((await limit(undefined, user)).stdout, '32\n')
      assert.is((await limit({ nproc: 20 }, user)).stdout, '20\n')
      assert.is((await limit({ nproc: 1000 }, user)).stdout, '32\n')
    }
    // The shared namespace can still be asked for.
    const shared = await built.exec(namespace, { pids: 1000, userns: 'shared' })
    assert.is(shared.stdout, (await built.exec(namespace)).stdout)
    assert.is.not((await built.exec(namespace, { pids: 1000 })).stdout, shared.stdout)
  })
})

test('fewer processes than a start needs: it is refused, and nothing is left', async () => {
  const before = await quietTraces()
  await withoutCgroups(async () => {
    await rejection(built.exec(['true'], { pids: 1 }), 'invalid_argument')
    assert.is((await built.exec(['true'], { pids: 2 })).exitCode, 0)
  })
  await assertNothingLeft(before)
})

test.run()
