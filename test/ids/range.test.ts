import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { type IdMachine, idMapArguments, idMapText, idRange, parseIdMap } from '../../lib/ids/index.ts'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

const wholeMap = '         0          0 4294967295\n'
const status = 'Name:\tnode\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\n'

function machine(changes: Partial<IdMachine> & { files?: Record<string, string> } = {}): IdMachine {
  const files: Record<string, string> = {
    '/proc/self/status': status,
    '/proc/self/uid_map': wholeMap,
    '/proc/self/gid_map': wholeMap,
    ...changes.files,
  }
  return {
    uid: 1000,
    gid: 1000,
    name: 'alice',
    read: async (file) => files[file],
    subids: async () => [{ first: 100000, count: 65536 }],
    which: (command) => `/usr/bin/${command}`,
    ...changes,
  }
}

test('an ordinary user with subuids: 0 is the user, the rest follows', async () => {
  const ids = await idRange({ machine: machine() })
  assert.equal(ids.kind, 'subid')
  assert.equal(idMapText(ids.uidMap), '0 1000 1\n1 100000 65536\n')
  assert.deepEqual(ids.commands, { uid: '/usr/bin/newuidmap', gid: '/usr/bin/newgidmap' })
  assert.deepEqual(ids.problems, [])
})

test('an ordinary user who lacks something has one id, and is told what', async () => {
  const cases: readonly (readonly [Partial<IdMachine> & { files?: Record<string, string> }, RegExp])[] = [
    [{ subids: async () => [] }, /subuid gives no ids to alice/],
    [{ subids: async (kind) => (kind === 'gid' ? [] : [{ first: 5, count: 5 }]) }, /subgid gives no ids to alice/],
    [{ name: undefined, uid: 1000 }, /uid 1000 has no name in \/etc\/passwd/],
    [{ which: () => undefined }, /newuidmap and newgidmap are not installed/],
    [{ files: { '/proc/self/status': status.replace('Privs:\t0', 'Privs:\t1') } }, /no_new_privs/],
    [{ files: { '/proc/self/uid_map': '0 1000 65536\n' } }, /cannot be mapped here/],
  ]
  for (const [changes, problem] of cases) {
    const ids = await idRange({ machine: machine(changes) })
    assert.equal(ids.kind, 'single')
    assert.equal(idMapText(ids.uidMap), '0 1000 1\n')
    assert.match(ids.problems.join('; '), problem)
  }
})

test('root: a range of its own, never the host’s 0; the recorded one from then on', async () => {
  const root = machine({ uid: 0, gid: 0, name: 'root' })
  const ids = await idRange({ machine: root })
  assert.equal(ids.kind, 'root')
  assert.ok(ids.range && ids.range.first > 1_000_000)
  assert.deepEqual(ids.uidMap, [{ inside: 0, outside: ids.range.first, count: 65536 }])
  const recorded = { first: 3_000_000, count: 65536 }
  assert.deepEqual((await idRange({ machine: root, recorded })).range, recorded)
})

test('root keeps off users of passwd, subuids, and what the caller says is taken', async () => {
  const free = (await idRange({ machine: machine({ uid: 0, gid: 0 }) })).range
  assert.ok(free)
  const files = {
    '/etc/passwd': `big:x:${free.first + 3}:1::/:/bin/sh\n`,
    '/etc/subgid': `x:${free.first + 65536}:65536\n`,
    '/etc/group': `g:x:${free.first + 2 * 65536}:\n`,
  }
  const taken = [{ first: free.first + 3 * 65536, count: 65536 }]
  const ids = await idRange({ machine: machine({ uid: 0, gid: 0, files }), taken })
  assert.equal(ids.range?.first, free.first + 4 * 65536)
})

test('root without CAP_SETUID has one id; root of a small user namespace what that has', async () => {
  const bare = await idRange({ machine: machine({ uid: 0, gid: 0, files: { '/proc/self/status': 'CapEff:\t0000000000000000\n' } }) })
  assert.equal(bare.kind, 'single')
  const small = { '/proc/self/uid_map': '0 1000 1\n1 100000 65535\n', '/proc/self/gid_map': '0 1000 1\n1 100000 30000\n' }
  const nested = await idRange({ machine: machine({ uid: 0, gid: 0, files: small }) })
  assert.deepEqual(nested.range, { first: 1, count: 30000 })
  const one = await idRange({ machine: machine({ uid: 0, gid: 0, files: { '/proc/self/uid_map': '0 1000 1\n' } }) })
  assert.equal(one.kind, 'single')
})

test('on this machine the kind is what the machine’s files say', async () => {
  assert.equal((await idRange()).kind, idKind)
})

test('the kernel takes the maps: an ordinary user is root inside, the host’s root is nobody', async () => {
  const ids = await idRange()
  const child = spawn('unshare', ['--user', 'sh', '-c', 'echo ready; read line; id -u; cat /proc/self/uid_map; id -G'])
  const lines: string[] = []
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.stdout.setEncoding('utf8')
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.stdout.on('data', (data: string) => lines.push(data) === 1 && resolve())
  })
  const pid = child.pid!
  if (ids.kind === 'subid') {
    assert.equal(spawnSync(ids.commands!.uid, idMapArguments(pid, ids.uidMap)).status, 0)
    assert.equal(spawnSync(ids.commands!.gid, idMapArguments(pid, ids.gidMap)).status, 0)
  } else {
    if (ids.kind === 'single') writeFileSync(`/proc/${pid}/setgroups`, 'deny')
    writeFileSync(`/proc/${pid}/uid_map`, idMapText(ids.uidMap))
    writeFileSync(`/proc/${pid}/gid_map`, idMapText(ids.gidMap))
  }
  child.stdin.end('\n')
  await ended
  const [ready, uid, ...map] = lines.join('').trim().split('\n')
  assert.equal(ready, 'ready')
  assert.equal(uid, ids.kind === 'root' ? '65534' : '0')
  assert.equal(parseIdMap(map.slice(0, ids.uidMap.length).join('\n')).length, ids.uidMap.length)
})

test.run()
