// The second container of one image and the same options has the first one's program, with its own names in it.
import * as assert from 'uvu/assert'
import { newDirectory } from '../../lib/containers/directory.ts'
import { currentRuntime } from '../../lib/containers/runtime.ts'
import { commandSpec, containerSpec } from '../../lib/containers/settings.ts'
import { Templates, templateKey } from '../../lib/containers/templates.ts'
import { type ContainerOptions, type Image, image } from '../../lib/index.ts'
import { planOf } from '../../lib/process/index.ts'
import { encodeProgram } from '../../lib/sys/index.ts'
import { test } from '../support/uvu.ts'
import { rejection } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
})

const user = { uid: 0, gid: 0, groups: [0], home: '/root' }
const optionSets: readonly ContainerOptions[] = [
  {},
  { hostname: 'fixed.example' },
  { env: { A: 'b'.repeat(3000) }, cwd: '/some/where', readonly: true, tty: true },
  { rlimits: { nofile: 64 }, shmSize: '1m', time: true, capabilities: { drop: ['ALL'] }, seccomp: 'unconfined' },
]

test('a program with other names put in is the one that would have been made', async () => {
  const { store } = await currentRuntime()
  const zygote = await (await currentRuntime()).zygote()
  for (const options of optionSets) {
    const templates = new Templates(store)
    const source = { config: {}, layers: [] }
    const specOf: Parameters<Templates['note']>[4] = (directory) => {
      const hostname = options.hostname ?? directory.id.slice(0, 12)
      return containerSpec(options, {
        zygotePath: directory.zygotePath,
        layers: ['/store/snapshots/aa'],
        hostname,
        volatile: true,
        ids: 'subid',
        cgroups: 1,
        command: commandSpec(['sh', '-c', 'true'], options, { config: {}, user, hostname }),
        config: {},
      })
    }
    const given = ['stdin', 'stdout', 'stderr', 'cgroup0']
    assert.is(templates.find(zygote, source, 'key', newDirectory(store)), undefined)
    templates.note(zygote, source, 'key', given, specOf)
    assert.is(templates.find(zygote, source, 'key', newDirectory(store)), undefined, 'what was asked for once is not kept')
    templates.note(zygote, source, 'key', given, specOf)
    for (let round = 0; round < 3; round += 1) {
      const directory = newDirectory(store)
      const found = templates.find(zygote, source, 'key', directory)
      assert.ok(found)
      const bytes = Buffer.from(found.bytes)
      assert.equal(found.program(), planOf(specOf(directory)).program)
      assert.ok(bytes.equals(encodeProgram(planOf(specOf(directory)).program, given)))
    }
  }
})

test('requests that differ in anything that matters have different keys, and what is made anew has none', () => {
  const keyOf = (options: ContainerOptions, argv = ['true'], given = ['stdin'], limits: unknown = {}): string | undefined =>
    templateKey(
      { argv, options, image: { config: {}, layers: [] }, directory: { id: '', name: '', path: '', zygotePath: '' } },
      given,
      limits,
    )
  const keys = [
    keyOf({}),
    keyOf({ env: {} }),
    keyOf({ env: { A: '1' } }),
    keyOf({ env: { A: undefined } }),
    keyOf({ rlimits: { nofile: Number.POSITIVE_INFINITY } }),
    keyOf({ rlimits: { nofile: 3 } }),
    keyOf({ user: 0 }),
    keyOf({ user: '0' }),
    keyOf({}, ['false']),
    keyOf({}, ['true'], []),
    keyOf({}, ['true'], ['stdin'], { cgroups: 2 }),
    keyOf({ userns: 'private' }),
  ]
  assert.ok(keys.every((key) => key !== undefined))
  assert.is(new Set(keys).size, keys.length)
  assert.is(keyOf({ timeout: 5, stdin: 'x', check: true, signal: AbortSignal.timeout(1000) }), keyOf({}))
  for (const options of [{ network: 'host' }, { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] } }] as ContainerOptions[]) {
    assert.is(keyOf(options), undefined)
  }
  assert.is(keyOf({}, ['x'.repeat(10_000)]), undefined)
})

test('each of many equal containers has names of its own', async () => {
  const seen = new Set<string>()
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.all(
      Array.from({ length: 3 }, () =>
        built.exec('hostname; echo $HOSTNAME; cat /etc/hostname; grep -c $HOSTNAME /etc/hosts; echo x > /mine; ls /'),
      ),
    )
    for (const { stdout } of results) {
      const [name = '', variable, file, lines] = stdout.split('\n')
      assert.match(name, /^[0-9a-f]{12}$/)
      assert.equal([variable, file, lines], [name, name, '1'])
      seen.add(name)
    }
  }
  assert.is(seen.size, 15)
})

test('a container tells its own names, however its program was made', async () => {
  for (let round = 0; round < 4; round += 1) {
    await using container = await built.start({ cmd: ['sleep', '600'], env: { A: '1' } })
    const { hostname, env } = await container.inspect()
    assert.is(hostname, container.id.slice(0, 12))
    assert.ok(env.includes(`HOSTNAME=${hostname}`))
    assert.match(JSON.stringify([...container.plan()]), new RegExp(`upperdir=/store/containers/${hostname}`))
    await container.fs.writeFile('/of-this-round', String(round))
    assert.is((await container.exec(['cat', '/of-this-round'])).stdout, String(round))
  }
})

test('a failure is explained as ever, and an option that is none refused, after the same call succeeded', async () => {
  for (let round = 0; round < 4; round += 1) {
    await rejection(built.exec(['/no/such/thing']), 'command_not_found')
    await rejection(built.exec(['true'], { user: 'nobody-knows' }), 'user_not_found')
  }
})

test.run()
