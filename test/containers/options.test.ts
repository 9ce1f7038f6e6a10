// test: timeout 180
// Every public call that takes options, given what are none, and options that do not exist.
import * as assert from 'uvu/assert'
import {
  type Container,
  containers,
  doctor,
  type Image,
  image,
  images,
  type Namespaces,
  ns,
  plan,
  registry,
  StrakeError,
  store,
} from '../../lib/index.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

let built: Image
let container: Container
let namespaces: Namespaces

test.before(async () => {
  built = await image('host').build()
  container = await built.start({ cmd: ['sleep', '600'] })
  namespaces = await ns({ user: true, mount: true })
})
test.after(async () => {
  await container.remove()
  await namespaces.close()
})

async function refusalOf(work: () => unknown): Promise<StrakeError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
  throw new Error('it was accepted')
}

async function assertRefused(work: () => unknown, what: string, message = /./, hint = /(?:)/): Promise<void> {
  const error = await refusalOf(work).catch((cause: unknown) => {
    throw new Error(what, { cause })
  })
  assert.is(error.code, 'invalid_argument', `${what}: ${error.message}`)
  assert.match(error.message, message, what)
  assert.match(error.hint ?? '', hint, what)
}

type Options = never
type Call = readonly [name: string, call: (options: Options) => unknown, known?: string]
const base = image('host')
/** Nothing listens there: what is refused is refused before anything is asked for. */
const nowhere = '127.0.0.1:1/app'

/** Each with an option that it has, where it has one. */
const calls: readonly Call[] = [
  ['ImageBuilder.run', (options) => base.run('true', options), 'timeout'],
  ['ImageBuilder.copy', (options) => base.copy({ a: 'b' }, '/', options), 'chmod'],
  ['ImageBuilder.healthcheck', (options) => base.healthcheck(options), 'interval'],
  ['ImageBuilder.build', (options) => base.build(options), 'platform'],
  ['ImageBuilder.start', (options) => base.start(options), 'memory'],
  ['ImageBuilder.exec', (options) => base.exec(['true'], options), 'memory'],
  ['ImageBuilder.plan', (options) => base.plan(options), 'memory'],
  ['Image.push', (options) => built.push(nowhere, options), 'compression'],
  ['Image.save', (options) => built.save('/nowhere/at/all.tar', options), 'format'],
  ['Image.export', (options) => built.export('/nowhere/at/all.tar', options), 'compress'],
  ['Image.start', (options) => built.start(options), 'memory'],
  ['Image.exec', (options) => built.exec(['true'], options), 'memory'],
  ['Image.plan', (options) => built.plan(options), 'memory'],
  ['Container.exec', (options) => container.exec(['true'], options), 'timeout'],
  ['Container.stop', (options) => container.stop(options), 'grace'],
  ['Container.logs', (options) => container.logs(options), 'follow'],
  ['Container.update', (options) => container.update(options), 'memory'],
  ['Container.snapshot', (options) => container.snapshot(options), 'tag'],
  ['Container.fs.writeFile', (options) => container.fs.writeFile('/x', 'x', options), 'mode'],
  ['Container.fs.mkdir', (options) => container.fs.mkdir('/x', options), 'mode'],
  ['images.get', (options) => images.get('x', options), 'platform'],
  ['images.pull', (options) => images.pull(nowhere, options), 'platform'],
  ['images.tags', (options) => images.tags(nowhere, options), 'insecure'],
  ['images.catalog', (options) => images.catalog('127.0.0.1:1', options), 'insecure'],
  ['images.referrers', (options) => images.referrers(nowhere, options), 'artifactType'],
  ['images.deleteRemote', (options) => images.deleteRemote(nowhere, options), 'insecure'],
  ['images.remove', (options) => images.remove('x', options), 'force'],
  ['store.verify', (options) => store.verify(options), 'mend'],
  ['store.prune', (options) => store.prune(options), 'images'],
  ['doctor', (options) => doctor(options), 'machine'],
  ['plan', (options) => plan(built, options), 'memory'],
  ['ns', (options) => ns(options), 'mount'],
  ['registry', (options) => registry(options)],
  ['Namespaces.exec', (options) => namespaces.exec(['true'], options), 'timeout'],
]

for (const [name, call, known] of calls) {
  test(`${name} refuses what is no object of options, and options that it does not have`, async () => {
    for (const wrong of [null, 5, 'text', ['list'], true])
      await assertRefused(() => call(wrong as Options), `${name}(${JSON.stringify(wrong)})`)
    await assertRefused(() => call({ xyzzy: 1 } as unknown as Options), `${name}({ xyzzy })`, /"xyzzy"/, /./)
    if (known === undefined) return
    const mistyped = known.slice(0, -1)
    await assertRefused(
      () => call({ [mistyped]: 1 } as unknown as Options),
      `${name}({ ${mistyped} })`,
      new RegExp(`"${mistyped}"`),
      new RegExp(`mean ${known}\\?`),
    )
  })
}

test('what only a command that is waited for has is refused of a container, and told where to look', async () => {
  const wrong: readonly Record<string, unknown>[] = [{ check: true }, { encoding: 'buffer' }, { maxOutput: '1k' }]
  for (const options of wrong) {
    const [name = ''] = Object.keys(options)
    for (const call of [base, built])
      await assertRefused(() => call.start(options as Options), name, new RegExp(`"${name}"`), /wait\(\).*logs\(\)/)
    await assertRefused(() => built.plan(options as Options), name, new RegExp(`"${name}"`))
    assert.is((await built.exec(['true'], options as Options)).exitCode, 0)
  }
})

test('what a process cannot be started with rejects, and throws nothing at the call', async () => {
  const wrong: readonly (readonly [command: unknown, options: unknown])[] = [
    [['true'], { nope: 1 }],
    [['true'], null],
    [['true'], { maxOutput: 'much' }],
    [['true'], { timeout: 'long' }],
    [['true'], { env: { A: 1 } }],
    [5, {}],
    [['a\0b'], {}],
    [[], {}],
  ]
  for (const [command, options] of wrong) {
    const [what, how] = [command as string[], options as Options]
    const processes = [base.exec(what, how), built.exec(what, how), container.exec(what, how), namespaces.exec(what, how)]
    for (const process of processes) {
      await assertRefused(() => process, JSON.stringify([command, options]))
      await assertRefused(() => process.started, JSON.stringify([command, options]))
    }
  }
})

test('readFile takes an encoding of Node, as text or in an object, and refuses another', async () => {
  await container.fs.writeFile('/l', 'é')
  assert.is(await container.fs.readFile('/l', 'utf8'), 'é')
  assert.is(await container.fs.readFile('/l', { encoding: 'utf8' }), 'é')
  assert.is(await container.fs.readFile('/l', { encoding: 'hex' }), 'c3a9')
  assert.equal(await container.fs.readFile('/l', {}), Buffer.from('é'))
  for (const wrong of [null, 5, 'utf9', ['utf8'], { encoding: 'utf9' }, { encoding: null }, { encodnig: 'utf8' }])
    await assertRefused(() => container.fs.readFile('/l', wrong as Options), JSON.stringify(wrong))
})

test('a path in a container that leads nowhere is told with what to do', async () => {
  for (const work of [() => container.fs.readFile('/no/such'), () => container.fs.list('/no/such'), () => container.fs.stat('/no/such')]) {
    const error = await refusalOf(work)
    assert.is(error.code, 'kernel_refused')
    assert.is(error.details?.errno, 'ENOENT')
    assert.match(error.message, '/no/such')
    assert.match(error.hint ?? '', 'c.fs.list("/no")')
  }
})

/** Values that are none, of calls that have no other fault. */
const values: readonly (readonly [name: string, call: () => unknown, message?: RegExp, hint?: RegExp])[] = [
  ['a tag that is a number', () => base.build({ tag: 5 as Options }), /tag/],
  ['a tag of a snapshot that is a number', () => container.snapshot({ tag: 5 as Options }), /tag/],
  ['a context that is a number', () => base.build({ context: 5 as Options })],
  ['a signal that is none', () => base.build({ signal: 5 as Options }), /AbortSignal/],
  ['a progress that is no function', () => base.build({ onProgress: 5 as Options }), /function/],
  ['a platform that is a number', () => base.build({ platform: 5 as Options }), /platform/],
  ['with() of nothing', () => base.with(null as Options), /function/],
  ['a port in a list', () => base.expose([8080] as Options), /port/],
  ['a base that only looks like an image', () => base.copy('a', '/', { from: { data: null } as Options })],
  ['plan of nothing', () => plan(null as Options)],
  ['a target that is none', () => built.save(null as Options)],
  ['a target of an export that is none', () => built.export(5 as Options)],
  ['a file to load that is none', () => images.load(null as Options)],
  ['a file to import that is none', () => images.import(5 as Options)],
  ['images to prune that there are not', () => store.prune({ images: 'unused' as Options }), /untagged/],
  ['an age that is no number', () => store.prune({ cache: true, olderThan: '7d' as Options }), /olderThan/],
  ['a namespace that is neither wanted nor not', () => ns({ user: 'no' as Options }), /boolean/],
  ['a namespace with a name of every object', () => ns({ toString: true } as Options), /toString/],
  ['no namespaces at all', () => ns(undefined as Options)],
  ['no command in namespaces', () => namespaces.exec(null as Options)],
  ['lines that are less than none', () => container.logs({ tail: -1 }), /tail/],
  ['a name of a throw-away container', () => built.exec(['true'], { name: 'a' } as Options), /"name"/],
  ['a limit of one command', () => container.exec(['true'], { memory: '64m' } as Options), /"memory"/],
  ['a negative timeout', () => built.exec(['true'], { timeout: -1 }), /timeout/],
  ['a timeout that is no number', () => built.exec(['true'], { timeout: Number.NaN }), /timeout/],
  ['a negative timeout of a step', () => base.run('true', { timeout: -1 }), /timeout/],
  ['a negative grace', () => container.stop({ grace: -1 }), /grace/],
  ['a user that is empty', () => built.exec(['true'], { user: '' }), /user/],
  ['a group without a user', () => built.exec(['true'], { user: ':1' }), /user/],
  ['a user without the group that it says', () => container.exec(['true'], { user: '0:' }), /user/],
  ['a variable that is a number', () => built.exec(['true'], { env: { A: 1 as Options } }), /env\.A/, /String\(/],
  ['a variable in a container that is null', () => container.exec(['true'], { env: { A: null as Options } }), /env\.A/, /String\(/],
  ['a variable in namespaces that is a number', () => namespaces.exec(['true'], { env: { A: 1 as Options } }), /env\.A/, /String\(/],
  ['a variable of a step that is a number', () => base.run('true', { env: { A: 1 as Options } }), /env\.A/, /String\(/],
  ['a variable of an image that is a number', () => base.env({ A: 1 as Options }), /env\.A/, /String\(/],
  ['a label that is true', () => base.label({ a: true as Options }), /label\.a/, /String\(/],
  ['one process', () => built.exec(['true'], { pids: 1 }), /at least 2/, /PID 1/],
  ['one process from now on', () => container.update({ pids: 1 }), /at least 2/],
  ['memory for nothing', () => built.start({ cmd: ['true'], memory: '1m' }), /1m/, /6m/],
  [
    'limits as Docker writes them',
    () => built.exec(['true'], { rlimits: { nofile: { soft: 1, hard: 2 } as Options } }),
    /an object/,
    /\[soft, hard\]/,
  ],
  ['a resource that is mistyped', () => built.exec(['true'], { rlimits: { nofiles: 1 } as Options }), /nofiles/, /nofile\?/],
  ['a size of a terminal that is mistyped', () => built.exec(['true'], { tty: { row: 1 } as Options }), /"row"/, /rows\?/],
]

for (const [name, call, message, hint] of values) test(`refused: ${name}`, () => assertRefused(call, name, message, hint))

test('resize of a terminal refuses what is no size', async () => {
  const shell = built.exec(['sleep', '600'], { tty: true })
  await shell.started
  for (const size of [null, 5, 'text', [], {}, { rows: 0, columns: 80 }, { rows: 24 }, { rows: 24, columns: 80, depth: 3 }])
    await assertRefused(() => shell.resize(size as Options), JSON.stringify(size))
  shell.resize({ rows: 30, columns: 90 })
  shell.kill('SIGKILL')
  assert.is((await shell).signal, 'SIGKILL')
})

test('containers.get of what is no name finds nothing', async () => {
  for (const wrong of [null, 5, {}]) assert.is((await refusalOf(() => containers.get(wrong as Options))).code, 'container_not_found')
})

for (const timeout of [0, '0', Number.POSITIVE_INFINITY, 2 ** 31, 1e15, '1000h']) {
  test(`a timeout of ${timeout} lets a command end by itself`, async () => {
    const { exitCode, timedOut } = await built.exec(['sleep', '0.1'], { timeout })
    assert.equal({ exitCode, timedOut }, { exitCode: 0, timedOut: false })
  })
}

test('a grace longer than setTimeout takes is not over at once', async () => {
  await using patient = await built.start({ cmd: ['sh', '-c', 'trap "sleep 0.2; exit 7" TERM; echo ready; while :; do sleep 0.05; done'] })
  for await (const _ of patient.logs({ follow: true })) break
  assert.is((await patient.stop({ grace: 2 ** 31 })).exitCode, 7)
})

test('two processes are enough for a command', async () => {
  assert.is((await built.exec(['true'], { pids: 2 })).exitCode, 0)
})

testAs(test, ['root', 'subid'], 'a user beyond the ids that containers have is refused with their number', async () => {
  for (const user of [2_000_000_000, '0:2000000000']) {
    await assertRefused(() => built.exec(['true'], { user }), String(user), /2000000000/, /\d{2,}/)
    await assertRefused(() => container.exec(['true'], { user }), String(user), /2000000000/, /\d{2,}/)
  }
})

test('a limit above what anyone may have, and a file system that is not there, are told with what to do', async () => {
  const limit = await refusalOf(() => built.exec(['true'], { rlimits: { nofile: 2e9 } }))
  assert.is(limit.details?.errno, 'EPERM')
  assert.match(limit.hint ?? '', /fs\.nr_open/)
  const mount = await refusalOf(() => namespaces.sys.mount({ source: 'x', target: '/mnt', type: 'nofs' }))
  assert.match(mount.hint ?? '', /modprobe nofs/)
})

test('values that a caller without types could give are refused with what to do, and none of them is taken for another', async () => {
  const wrong: [option: string, value: unknown, message: RegExp, hint?: RegExp][] = [
    ['network', null, /'none' or 'host'/],
    ['cwd', null, /absolute path/],
    ['cwd', 'tmp', /absolute path/],
    ['cpus', Number.NaN, /is NaN/],
    ['seccomp', false, /profile/, /unconfined/],
    ['capabilities', [], /add, drop/, /ALL/],
    ['stdin', 'inherit', /stream/, /process\.stdin/],
    ['stdin', 'ignore', /stream/, /process\.stdin/],
  ]
  for (const [name, value, message, hint] of wrong) {
    await assertRefused(() => built.exec(['true'], { [name]: value }), `${name}: ${String(value)}`, message, hint)
  }
  const address = await refusalOf(() => built.exec(['true'], { rlimits: { as: 1000 } }))
  assert.match(address.hint ?? '', /rlimits/)
})

test('Infinity is no bound, whatever it is of', async () => {
  const options = { memory: Number.POSITIVE_INFINITY, pids: Number.POSITIVE_INFINITY, cpus: Number.POSITIVE_INFINITY }
  const unbounded = { ...options, maxOutput: Number.POSITIVE_INFINITY, timeout: Number.POSITIVE_INFINITY }
  assert.is((await built.exec(['echo', 'on'], unbounded)).stdout, 'on\n')
})

test.run()
