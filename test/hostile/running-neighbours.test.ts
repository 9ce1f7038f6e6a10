// HOSTILE.md, "Running containers": containers of one zygote share its user namespace. What they can do to each other, to the engine's
// own processes, and what they can learn from their memory. R07, R09.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Container } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { arena, outcomes, probe } from './arena.ts'

const strong = { add: ['ALL'] } as const

/** All that can be given to a container, short of the host's network. */
async function strongest(): Promise<Container> {
  return (await arena()).start({ cmd: ['sleep', 'infinity'], capabilities: strong, seccomp: 'unconfined', noNewPrivileges: false })
}

test('R07: a container with every capability and no filter sees, signals and traces nobody of another', async () => {
  await using victim = await (await arena()).start({ cmd: ['sleep', '4712'], env: { TOKEN: 'neighbour-secret' } })
  await using attacker = await strongest()
  const { stdout } = await attacker.exec(
    'for each in /proc/[0-9]*; do tr "\\0" " " < $each/cmdline; tr "\\0" " " < $each/environ; done 2>/dev/null',
  )
  assert.ok(!/4712|neighbour-secret/.test(stdout))
  const all = outcomes((await attacker.exec(['/probe', 'process', String(victim.pid)])).stdout)
  for (const [what, end] of all) assert.notEqual(end, 'done', what)
  await attacker.exec('kill -9 -1')
  assert.equal(victim.state, 'running')
  assert.equal((await victim.exec(['true'])).exitCode, 0)
})

test("R07: a container's mount namespace holds no way to the store, nor to another's files", async () => {
  await using victim = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  await victim.fs.writeFile('/neighbour-file', 'secret')
  await using attacker = await strongest()
  // Of every process in sight: its root, its working directory, its open files; and all that a mount could show.
  const { stdout } = await attacker.exec(`
    for each in /proc/[0-9]*; do
      ls $each/root/store $each/cwd/store $each/root/scaffold 2>/dev/null
      ls -l $each/fd 2>/dev/null
    done
    cut -d' ' -f5 /proc/self/mountinfo
    for each in /proc/[0-9]*; do cut -d' ' -f5 $each/mountinfo; done 2>/dev/null | sort -u
    mkdir -p /m && umount -l /proc /sys /dev 2>/dev/null; mount -t tmpfs none /m && mount --rbind / /m && find /m -xdev -name 'neighbour-file'
    cd / ; for up in 1 2 3 4 5 6 7 8; do cd ..; done; ls -d store containers snapshots 2>/dev/null
    true`)
  assert.ok(!/^\/store|snapshots$|containers$|scaffold$|neighbour-file/m.test(stdout), stdout)
})

test('R07: the first moments of an exec are out of reach of a container with CAP_SYS_PTRACE', async () => {
  const base = await arena()
  await using container = await base.start({ cmd: ['sleep', 'infinity'], capabilities: { add: ['SYS_PTRACE'] } })
  const hunter = container.exec(['/probe', 'hunt', '2500'])
  for (const until = Date.now() + 2200; Date.now() < until; ) await container.exec(['true'])
  const { stdout } = await hunter
  assert.equal(outcomes(stdout).get('tries'), 'done')
  // With one id mapped the zygote's memory counts to the containers' namespace: there CAP_SYS_PTRACE is the right to look at what
  // starts in this very container, and docs say so.
  if (idKind !== 'single') assert.equal(outcomes(stdout).get('caught'), '0')
})

test('R07: in a user namespace of its own CAP_SYS_PTRACE gives no look into the first moments of an exec, with one id neither', async () => {
  const base = await arena()
  await using container = await base.start({ cmd: ['sleep', 'infinity'], capabilities: { add: ['SYS_PTRACE'] }, userns: 'private' })
  const hunter = container.exec(['/probe', 'hunt', '2500'])
  for (const until = Date.now() + 2200; Date.now() < until; ) await container.exec(['true'])
  const { stdout } = await hunter
  assert.equal(outcomes(stdout).get('tries'), 'done')
  assert.equal(outcomes(stdout).get('caught'), '0')
})

test('R07: without CAP_SYS_PTRACE the first moments of an exec are out of reach, for every user', async () => {
  const base = await arena()
  await using container = await base.start({ cmd: ['sleep', 'infinity'] })
  const hunter = container.exec(['/probe', 'hunt', '2500'])
  for (const until = Date.now() + 2200; Date.now() < until; ) await container.exec(['true'])
  const { stdout } = await hunter
  assert.equal(outcomes(stdout).get('tries'), 'done')
  assert.equal(outcomes(stdout).get('caught'), '0')
})

test("R07: PID 1 holds nothing: no open file, CAP_KILL only, the container's filter", async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  const { stdout } = await container.exec("ls -A /proc/1/fd; grep -E '^(CapPrm|CapBnd|Seccomp|NoNewPrivs):' /proc/1/status")
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/:\s*/)),
    [
      ['CapPrm', '0000000000000020'],
      ['CapBnd', '00000000a80425fb'],
      ['NoNewPrivs', '1'],
      ['Seccomp', '2'],
    ],
  )
})

/** The processes that run strake-init for this one, and how often `needle` is in the memory of each. */
function initsWith(needle: string): { pid: number; found: number }[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
  return pids.flatMap((pid) => {
    try {
      if (!readlinkSync(`/proc/${pid}/exe`).includes('strake-init') || !isMine(pid)) return []
      return [{ pid, found: countIn(pid, needle) }]
    } catch {
      return []
    }
  })
}

function isMine(pid: number): boolean {
  for (let at = pid; at > 1; ) {
    if (at === process.pid) return true
    at = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? 0)
  }
  return false
}

function countIn(pid: number, needle: string): number {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  let found = 0
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from = '0', to = '0'] = /^(\w+)-(\w+) r/.exec(line) ?? []
      const bytes = Buffer.alloc(Number.parseInt(to, 16) - Number.parseInt(from, 16))
      try {
        readSync(memory, bytes, 0, bytes.length, Number.parseInt(from, 16))
      } catch {
        continue
      }
      for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) found += 1
    }
  } finally {
    closeSync(memory)
  }
  return found
}

/** Each way in which a secret travels through the zygote. */
const ways: readonly { what: string; pass: (secret: string) => Promise<Container | undefined> }[] = [
  {
    what: "a throw-away command's environment",
    pass: async (secret) => void (await (await arena()).exec(['true'], { env: { SECRET: secret } })),
  },
  { what: "a start's environment", pass: async (secret) => (await arena()).start({ cmd: ['sleep', 'infinity'], env: { SECRET: secret } }) },
  {
    what: "a start's environment too large for a packet",
    pass: async (secret) => (await arena()).start({ cmd: ['sleep', 'infinity'], env: { SECRET: secret, ...padding() } }),
  },
  {
    what: "an exec's environment",
    pass: async (secret) => {
      const container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
      await container.exec(['true'], { env: { SECRET: secret } })
      return container
    },
  },
  {
    what: 'a file that is written',
    pass: async (secret) => {
      const container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
      await container.fs.writeFile('/secret', secret)
      return container
    },
  },
]

/** 100,000 bytes at a time: one string of an environment holds 128 KiB. */
function padding(): Record<string, string> {
  return Object.fromEntries(['A', 'B', 'C'].map((name) => [name, 'x'.repeat(100_000)]))
}

for (const { what, pass } of ways) {
  testAs(
    test,
    ['root'],
    `R07: ${what} is in the memory of no other container's PID 1, nor the zygote's, nor of what starts next`,
    async () => {
      const secret = `secret-${Math.random().toString(36).slice(2)}-${process.pid}`
      const holder = await pass(secret)
      const after = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
      try {
        const own = holder === undefined ? 0 : Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${holder.pid}/status`, 'utf8'))?.[1])
        const inits = initsWith(secret)
        assert.ok(inits.length >= 2, 'the zygote and a PID 1 are found')
        // A container's own PID 1 had the plan: so the search does find.
        if (what === "a start's environment") assert.ok((inits.find(({ pid }) => pid === own)?.found ?? 0) > 0)
        for (const { pid, found } of inits) if (pid !== own) assert.equal(found, 0, `process ${pid}`)
      } finally {
        await holder?.remove()
        await after.remove()
      }
    },
  )
}

test('R09: System V memory, queues and abstract sockets are not shared by neighbours', async () => {
  await using one = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  await using two = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  const look = 'readlink /proc/self/ns/ipc /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/uts /proc/self/ns/cgroup'
  const [first, second] = [await one.exec(look), await two.exec(look)].map(({ stdout }) => stdout.trim().split('\n'))
  assert.equal(first?.length, 6)
  for (const [at, namespace] of (first ?? []).slice(0, 5).entries()) assert.notEqual(namespace, second?.[at])
  await one.exec('touch /dev/shm/mine /dev/mqueue/mine; ls /dev/shm /dev/mqueue', { check: true })
  assert.ok(!(await two.exec('ls /dev/shm /dev/mqueue')).stdout.includes('mine'))
})

test("R05: the caller's session keyring is not the container's, even without a filter", async () => {
  const base = await arena()
  const script = fileURLToPath(new URL('keyring-holder.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(probe(), ['login', process.execPath, '--import', 'tsx', script, probe(), base.digest])
  const [own, inside] = stdout
    .trim()
    .split('\n')
    .map((line) => Number(line.split('\t')[1]))
  assert.ok(own !== undefined && inside !== undefined, stdout)
  if (own > 0) assert.notEqual(inside, own)
})

/**
 * Writes -1 over the start of all memory that PID 1 shares with anybody: it may, as root of the container, from the moment on when PID 1
 * has given up the capabilities that the command has not (ptrace(2), access mode checking).
 */
const overwrite = `count=0
until (: < /proc/1/maps) 2> /dev/null; do :; done
while read range rights rest; do
  [ "$rights" = rw-s ] || continue
  count=$((count + 1))
  printf '\\377\\377\\377\\377' | dd of=/proc/1/mem bs=1 seek=$((0x\${range%%-*})) conv=notrunc 2> /dev/null || echo refused
done < /proc/1/maps
echo $count`

test('R07: what PID 1 shares with the engine is its own alone, and overwriting it decides about nobody else', async () => {
  const built = await arena()
  for (const userns of ['shared', 'private'] as const) {
    await using bystander = await built.start({ cmd: ['sleep', '1000'] })
    await using target = await built.start({ cmd: ['sh', '-c', 'sleep 2; exit 5'] })
    const inside = target.exec(['sleep', '1000'], { timeout: 1500 })
    const other = bystander.exec(['sh', '-c', 'sleep 3; exit 6'])
    await Promise.all([inside.started, other.started])
    // Spares that were made by now, and those that are made after it.
    for (let round = 0; round < 6; round += 1) await built.exec(['true'])
    const { stdout } = await built.exec(overwrite, { userns })
    assert.equal(stdout, '1\n')
    assert.equal((await inside).timedOut, true)
    assert.equal((await target.wait()).exitCode, 5)
    assert.equal((await other).exitCode, 6)
    assert.equal(bystander.state, 'running')
  }
})

test.run()
