import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { bakeryLock, isAlive, ownedName, ownerIn, Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const holder = fileURLToPath(new URL('lock-holder.ts', import.meta.url))

function run(...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', holder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('no two processes and no two calls of one process hold a lock at once', async () => {
  using directory = temporaryDirectory('lock')
  const path = join(directory.path, 'lock')
  const file = join(directory.path, 'count')
  writeFileSync(file, '0')
  const others = [run(path, file, '20'), run(path, file, '20'), run(path, file, '20')]
  const own = Array.from({ length: 20 }, async () => {
    const release = await bakeryLock(path)
    const value = Number(readFileSync(file, 'utf8'))
    await new Promise((resolve) => setImmediate(resolve))
    writeFileSync(file, String(value + 1))
    await release()
  })
  await Promise.all([...own, ...others.map(async (child) => assert.equal(await once(child, 'exit'), [0, null]))])
  assert.is(readFileSync(file, 'utf8'), '80')
  assert.equal(readdirSync(path), [])
})

test('the directory of a lock for a while goes with the last who leaves, and those who come meanwhile still take turns', async () => {
  using directory = temporaryDirectory('lock')
  const path = join(directory.path, 'lock')
  let holders = 0
  const visits = Array.from({ length: 8 }, async () => {
    for (let round = 0; round < 15; round += 1) {
      const release = await bakeryLock(path, { isTransient: true })
      holders += 1
      assert.is(holders, 1)
      await new Promise((resolve) => setImmediate(resolve))
      holders -= 1
      await release()
    }
  })
  await Promise.all(visits)
  assert.equal(readdirSync(directory.path), [])
})

test('opening a store removes the locks that the dead have left, not those of the living', async () => {
  using directory = temporaryDirectory('lock')
  const locks = join((await Store.open(directory.path)).root, 'locks')
  const make = (lock: string, file: string): void => {
    mkdirSync(join(locks, lock))
    writeFileSync(join(locks, lock, file), '')
  }
  make('snapshot-dead', 'take.000000000001.999999999-1-00000000-1-x')
  make('snapshot-alive', `take.000000000001.${ownedName()}`)
  mkdirSync(join(locks, 'step-empty'))
  await Store.open(directory.path)
  const left = readdirSync(locks).filter((name) => name.includes('-'))
  assert.equal(left, ['snapshot-alive'])
})

test('a lock is free again once its holder was killed, whatever it left behind', async () => {
  using directory = temporaryDirectory('lock')
  const path = join(directory.path, 'lock')
  const child = run(path, '', 'hold')
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  const busy = await bakeryLock(path, { timeout: 100 }).then(
    () => undefined,
    (error: { code: string }) => error.code,
  )
  assert.is(busy, 'store_busy')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const release = await bakeryLock(path, { timeout: 1000 })
  await release()
  assert.equal(readdirSync(path), [])
})

test('one that was killed while it chose its number holds nobody up', async () => {
  using directory = temporaryDirectory('lock')
  const path = join(directory.path, 'lock')
  await (await bakeryLock(path))()
  writeFileSync(join(path, 'choose.4194000-1-deadbeef-1-x'), '')
  writeFileSync(join(path, 'take.000000000001.4194000-1-deadbeef-2-x'), '')
  const release = await bakeryLock(path, { timeout: 1000 })
  await release()
  assert.equal(readdirSync(path), [])
})

test('waiting for a lock ends when it is aborted', async () => {
  using directory = temporaryDirectory('lock')
  const path = join(directory.path, 'lock')
  const release = await bakeryLock(path)
  const outcome = await bakeryLock(path, { signal: AbortSignal.timeout(30) }).then(
    () => undefined,
    (error: { code: string }) => error.code,
  )
  assert.is(outcome, 'aborted')
  await release()
})

test('a name tells the process that it belongs to, with whatever stands around it', () => {
  const owner = ownerIn(`.tmp.${ownedName()}.blob`)
  assert.ok(owner?.startsWith(`${process.pid}-`))
  assert.ok(isAlive(owner as string))
  assert.is(ownerIn('a'.repeat(64)), undefined)
  const [pid, start, boot] = (owner as string).split('-')
  assert.not(isAlive(`${pid}-${Number(start) + 1}-${boot}`), 'a later process with the same pid')
  assert.not(isAlive(`${pid}-${start}-00000000`), 'the same pid before a reboot')
})

test.run()
