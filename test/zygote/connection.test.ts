import { closeSync, fstatSync, openSync, readFileSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { idRange } from '../../lib/ids/index.ts'
import { decodeRecords, flags, type Op } from '../../lib/sys/index.ts'
import { type Connection, launchAgent } from '../../lib/zygote/index.ts'
import { assertKeepsNoFds } from '../support/fds.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const { CLONE, O } = flags

/** An agent in namespaces of its own, as any user may have one. */
async function agent(): Promise<Connection> {
  const made = await launchAgent({ clone: CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS, ids: await idRange() })
  await made.run([{ op: 'mount', target: '/', flags: flags.MS.MS_REC | flags.MS.MS_PRIVATE }])
  return made
}

/** Runs a host's command as a child of the agent. */
function command(argv: readonly string[]): Op[] {
  return [{ op: 'exec', paths: [argv[0] ?? ''], argv, env: ['PATH=/usr/bin:/bin'] }]
}

async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof StrakeError ? error.code : String(error)),
  )
}

test('a request larger than a packet travels in a memfd, which is closed afterwards', async () => {
  await using one = await agent()
  const [bytes] = (await one.run([{ op: 'getPid' }, { op: 'mount', source: 't', target: '/tmp', type: 'tmpfs' }])).results
  assert.is(bytes, 1)
  const data = Buffer.alloc(3_000_000, 'x')
  await assertKeepsNoFds(() => one.run([{ op: 'write', path: '/tmp/large', flags: O.O_CREAT | O.O_WRONLY, mode: 0o600, data }]))
  const [record] = (await one.run([{ op: 'stat', path: '/tmp/large' }])).results
  assert.is(decodeRecords(record as Uint8Array)[0]!.size, data.length)
})

test('a reply larger than a packet arrives whole', async () => {
  await using one = await agent()
  const names = Array.from({ length: 2000 }, (_, index) => `a-rather-long-name-of-a-file-${index}`)
  await one.run([
    { op: 'mount', source: 't', target: '/tmp', type: 'tmpfs' },
    ...names.map((name): Op => ({ op: 'mkdir', path: `/tmp/${name}`, mode: 0o700 })),
  ])
  names.sort()
  await assertKeepsNoFds(async () => {
    const [bytes] = (await one.run([{ op: 'readDir', path: '/tmp' }])).results
    assert.ok((bytes as Uint8Array).length > 65_536)
    assert.equal(
      decodeRecords(bytes as Uint8Array)
        .map(({ name }) => String(name))
        .sort(),
      names,
    )
  })
})

test('500 requests at once, each with an fd, are all answered in order', async () => {
  await using one = await agent()
  const fd = openSync('/dev/null', 'r')
  const body = Buffer.alloc(2000)
  await assertKeepsNoFds(async () => {
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 500 }, async (_, index) => {
        const { results } = await one.run([{ op: 'getPid' }, { op: 'write', path: '/dev/null', flags: O.O_WRONLY, mode: 0, data: body }], {
          given: fd,
        })
        assert.equal(results, [1])
        order.push(index)
      }),
    )
    assert.equal(
      order,
      Array.from({ length: 500 }, (_, index) => index),
    )
  })
  closeSync(fd)
})

test('500 children at once end with their own exit codes', async () => {
  await using one = await agent()
  const codes = await Promise.all(
    Array.from({ length: 500 }, async (_, index) => {
      const child = one.start({ clone: 0, ops: command(['/bin/sh', '-c', `exit ${index % 200}`]) })
      return (await child.ended).exitCode
    }),
  )
  assert.equal(
    codes,
    Array.from({ length: 500 }, (_, index) => index % 200),
  )
})

test('fds go over and come back: the same file, closed on exec', async () => {
  using directory = temporaryDirectory('fds')
  await using one = await agent()
  const fd = openSync(`${directory.path}/file`, 'w+')
  writeSync(fd, 'here')
  const { fds } = await one.run(
    [
      { op: 'writeFd', fd: 'file', data: Buffer.from(' and there') },
      { op: 'sendFd', fd: 'file', name: 'back' },
    ],
    { file: fd },
  )
  const back = fds.back!
  assert.is(fstatSync(back).ino, fstatSync(fd).ino)
  assert.is(readFileSync(`${directory.path}/file`, 'utf8'), 'here and there')
  assert.match(readFileSync(`/proc/self/fdinfo/${back}`, 'utf8'), /flags:\s+02\d{6}/)
  closeSync(back)
  closeSync(fd)
})

test('a request with an fd that is none is refused, and the next is answered', async () => {
  await using one = await agent()
  assert.is(await codeOf(one.run([{ op: 'getPid' }], { bad: 999_999 })), 'kernel_refused')
  const child = one.start({ clone: 0, ops: command(['/bin/true']) }, { bad: 999_999 })
  assert.is(await codeOf(child.started), 'kernel_refused')
  assert.is((await child.ended).exitCode, 127)
  assert.equal((await one.run([{ op: 'getPid' }])).results, [1])
})

test('runKeeping keeps slots for later calls, run does not', async () => {
  await using one = await agent()
  await one.runKeeping([{ op: 'open', path: '/', flags: O.O_PATH, out: 'root' }])
  await one.runKeeping([{ op: 'fchdir', fd: 'root' }])
  await one.run([{ op: 'open', path: '/', flags: O.O_PATH, out: 'other' }])
  assert.is(await codeOf(one.runKeeping([{ op: 'fchdir', fd: 'other' }])), 'invalid_argument')
})

test('an op that may fail has an empty result, and the next keeps its own', async () => {
  await using one = await agent()
  const { results } = await one.run([
    { op: 'stat', path: '/no/such/file', tolerate: ['ENOENT'] },
    { op: 'readDir', path: '/no/such/file', tolerate: ['ENOENT'] },
    { op: 'getPid' },
  ])
  assert.equal(
    results.map((each) => (typeof each === 'number' ? each : each.length)),
    [0, 0, 1],
  )
})

test('a failed op is named with its number; those before it were carried out', async () => {
  await using one = await agent()
  try {
    await one.run([{ op: 'umask', mask: 18 }, { op: 'chdir', path: '/no/such' }, { op: 'getPid' }])
    assert.unreachable()
  } catch (error) {
    assert.ok(error instanceof StrakeError)
    assert.equal([error.code, error.details?.op, error.details?.index, error.details?.errno], ['kernel_refused', 'chdir', 1, 'ENOENT'])
  }
})

test('what is pending when the agent is killed ends with zygote_lost, and nothing of its namespace is left', async () => {
  const one = await agent()
  const child = one.start({ clone: 0, ops: command(['/bin/sleep', '600']) })
  // `started` is told by an op that this program does not have.
  child.started.catch(() => undefined)
  const pending = one.run([{ op: 'open', path: '/proc/self/exe', flags: 0, out: 'x' }, { op: 'getPid' }]).then(
    () => undefined,
    () => undefined,
  )
  process.kill(one.pid, 'SIGKILL')
  await one.ended
  await pending
  assert.is((await child.ended).lost, true)
  assert.is(await codeOf(one.run([{ op: 'getPid' }])), 'zygote_lost')
  assert.throws(
    () => one.start({ clone: 0, ops: [] }),
    (error: unknown) => error instanceof StrakeError && error.code === 'zygote_lost',
  )
  await one.close()
})

test('an agent that is not asked does not keep the event loop alive, one that is held does', async () => {
  const face = new URL('../../lib/zygote/index.ts', import.meta.url).href
  const ids = new URL('../../lib/ids/index.ts', import.meta.url).href
  const run = (body: string): Promise<number> => {
    const begin = performance.now()
    const code = `import('tsx/esm/api').then(async ({ register }) => { register(); const { launchAgent } = await import('${face}'); const { idRange } = await import('${ids}'); const agent = await launchAgent({ clone: ${CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID}, ids: await idRange() }); ${body} })`
    return new Promise((resolve, reject) => {
      const worker = new Worker(code, { eval: true })
      worker.once('error', reject)
      worker.once('exit', () => resolve(performance.now() - begin))
    })
  }
  const idle = await run('')
  const held = await run(
    `const release = agent.hold(); setTimeout(() => undefined, 0); const timer = setTimeout(release, ${Math.round(idle) + 1500}); timer.unref()`,
  )
  assert.ok(held > idle + 800, `${idle} ms idle, ${held} ms held`)
})

test.run()
