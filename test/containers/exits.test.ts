// How a command ended is told exactly: each exit code, and each signal by its name.
import { constants } from 'node:os'
import * as assert from 'uvu/assert'
import { type Image, image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { rejection } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
})

const codes = Array.from({ length: 256 }, (_, code) => code)

/** One after the other within a lane, a few lanes beside each other. */
async function each<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = [...items]
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: 4 }, lane))
}

test('each exit code from 0 to 255 of a command in a running container', async () => {
  await using container = await built.start({ cmd: ['sleep', 'infinity'] })
  await each(codes, async (code) => {
    const { exitCode, signal } = await container.exec(['/bin/sh', '-c', `exit ${code}`])
    assert.equal([exitCode, signal], [code, null])
  })
})

test('each exit code from 0 to 255 of a throw-away container', () =>
  each(codes, async (code) => {
    const { exitCode, signal } = await built.exec(['/bin/sh', '-c', `exit ${code}`])
    assert.equal([exitCode, signal], [code, null])
  }))

test('some exit codes of containers that were started', () =>
  each([0, 1, 2, 125, 126, 127, 128, 129, 137, 143, 254, 255], async (code) => {
    await using container = await built.start({ cmd: ['/bin/sh', '-c', `exit ${code}`] })
    const { exitCode, signal } = await container.wait()
    assert.equal([exitCode, signal], [code, null])
  }))

/** Those that end a process by default (signal(7)). SIGABRT is SIGIOT, too, and SIGIO is SIGPOLL: the commoner name is told. */
const ending = (
  'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM ' +
  'SIGSTKFLT SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGIO SIGPWR SIGSYS'
).split(' ') as NodeJS.Signals[]

test('each signal that ends a command in a running container is told by its name, and there is no exit code', async () => {
  await using container = await built.start({ cmd: ['sleep', 'infinity'] })
  await each(ending, async (name) => {
    const { exitCode, signal } = await container.exec(['/bin/sh', '-c', `kill -${constants.signals[name]} $$; exit 0`])
    assert.equal([exitCode, signal], [null, name])
  })
})

test('each signal that ends the command of a throw-away container', () =>
  each(ending, async (name) => {
    const { exitCode, signal } = await built.exec(['/bin/sh', '-c', `kill -${constants.signals[name]} $$; exit 0`])
    assert.equal([exitCode, signal], [null, name])
  }))

test('a real-time signal, which Node has no name for, is no success', async () => {
  await using container = await built.start({ cmd: ['sleep', 'infinity'] })
  for (const target of [container, built]) {
    assert.is.not((await target.exec(['/bin/sh', '-c', 'kill -40 $$; exit 0'])).exitCode, 0)
    await rejection(target.exec(['/bin/sh', '-c', 'kill -40 $$; exit 0'], { check: true }), 'process_failed')
  }
})

test('an exit code of 128 + n is none of a signal', async () => {
  const { exitCode, signal } = await built.exec(['/bin/sh', '-c', "/bin/sh -c 'kill -9 $$'; exit $?"])
  assert.equal([exitCode, signal], [137, null])
})

test.run()
