import { mkdir, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import { failedWith } from './files.ts'
import { storeError } from './full.ts'
import { isAlive, ownedName, ownerIn } from './owner.ts'

export interface LockOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds to wait before `store_busy`; default 60,000. */
  readonly timeout?: number
  /** For one of many names, each used for a while only: whoever leaves last removes the directory. */
  readonly isTransient?: boolean
}

export type Release = () => Promise<void>

/** Takes the lock that is named by `path`, and is free again when its holder gives it back or ends, however it ends. */
export type FileLock = (path: string, options?: LockOptions) => Promise<Release>

interface Contender {
  readonly name: string
  readonly id: string
  /** 0 while it is still choosing its number. */
  readonly number: number
}

const firstPause = 1
const longestPause = 25
const mostAttempts = 1000

/**
 * Lamport's bakery (1974) with files for registers: `path` is a directory in which each contender has a file of its own,
 * `choose.<id>` while it picks a number and `take.<number>.<id>` from then on; the lowest number has the lock. A dead
 * process's file may be removed by anybody at any time without harm, since its name is never used again: that is what a
 * single lock file broken by its finder cannot offer (two finders, and the second breaks the first one's new lock).
 * Processes that share a store must see each other's pids: one in another pid namespace counts as dead.
 */
export const bakeryLock: FileLock = async (path, options = {}) => {
  const id = ownedName()
  const choosing = join(path, `choose.${id}`)
  let mine: string | undefined
  const leave: Release = async () => {
    await rm(choosing, { force: true })
    if (mine) await rm(mine, { force: true })
    if (options.isTransient) await removeEmpty(path)
  }
  try {
    await enter(path, choosing)
    const number = 1 + Math.max(0, ...(await contenders(path)).map((each) => each.number))
    mine = join(path, `take.${String(number).padStart(12, '0')}.${id}`)
    await writeFile(mine, '', { flag: 'wx', mode: 0o600 })
    await unlink(choosing)
    await waitForTurn(path, { name: '', id, number }, options)
  } catch (error) {
    await leave()
    throw storeError(error)
  }
  return leave
}

/** Makes a first file in the directory of a lock, which whoever left last may remove at any moment until then. */
async function enter(path: string, file: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await mkdir(path, { recursive: true, mode: 0o700 })
    try {
      return await writeFile(file, '', { flag: 'wx', mode: 0o600 })
    } catch (error) {
      if (!failedWith(error, 'ENOENT') || attempt >= mostAttempts) throw error
    }
  }
}

/** The kernel removes no directory that holds a file, so it stays as long as anybody is in it. */
async function removeEmpty(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    if (!failedWith(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error
  }
}

async function contenders(path: string): Promise<Contender[]> {
  const found: Contender[] = []
  for (const name of await readdir(path)) {
    const match = /^(?:choose|take\.([0-9]+))\.(.+)$/.exec(name)
    if (match) found.push({ name, id: match[2] ?? '', number: Number(match[1] ?? 0) })
  }
  return found
}

async function waitForTurn(path: string, self: Contender, options: LockOptions): Promise<void> {
  const deadline = Date.now() + (options.timeout ?? 60_000)
  for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
    // A directory scan may miss a contender that goes from `choose` to `take` meanwhile; the next scan cannot miss it too.
    const ahead = (await livingAhead(path, self)) ?? (await livingAhead(path, self))
    if (ahead === undefined) return
    if (options.signal?.aborted)
      throw new StrakeError('aborted', `waiting for the lock ${path} was aborted`, { cause: options.signal.reason })
    if (Date.now() > deadline) {
      const holder = ownerIn(ahead.name)
      throw new StrakeError('store_busy', `the lock ${path} is held by process ${holder?.split('-')[0] ?? 'unknown'}`, {
        details: { path, holder },
      })
    }
    await sleep(pause)
  }
}

/** One that is still choosing counts as ahead: its number may turn out to be the lower one. */
function comesBefore(other: Contender, self: Contender): boolean {
  return other.number < self.number || (other.number === self.number && other.id < self.id)
}

/** The first in the queue before `self` whose process is there; the dead ones before it are removed. */
async function livingAhead(path: string, self: Contender): Promise<Contender | undefined> {
  const ahead = (await contenders(path)).filter((each) => each.id !== self.id && comesBefore(each, self))
  for (const each of ahead.sort((one, other) => (comesBefore(one, other) ? -1 : 1))) {
    const owner = ownerIn(each.name)
    if (owner !== undefined && isAlive(owner)) return each
    await rm(join(path, each.name), { force: true })
  }
  return undefined
}
