import { mkdirSync, readdirSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import { failedWith } from './files.ts'
import { isAlive, ownedName, ownerIn } from './owner.ts'
import { storeError } from './store-error.ts'

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
 *
 * The files are touched synchronously: none of it waits for a disk, and a dozen ways through the thread pool cost more than what is locked.
 */
export const bakeryLock: FileLock = async (path, options = {}) => {
  const id = ownedName()
  const choosing = join(path, `choose.${id}`)
  const mine: string[] = []
  const leave: Release = async () => {
    // Where nothing can be removed any more nothing can be locked either, and why is told by what failed before.
    try {
      for (const each of mine) rmSync(each, { force: true })
      if (options.isTransient) removeEmpty(path)
    } catch {}
  }
  try {
    mine.push(choosing)
    enter(path, choosing)
    const number = 1 + Math.max(0, ...contenders(path).map((each) => each.number))
    const take = join(path, `take.${String(number).padStart(12, '0')}.${id}`)
    mine.push(take)
    writeFileSync(take, '', { flag: 'wx', mode: 0o600 })
    unlinkSync(choosing)
    mine.shift()
    await waitForTurn(path, { name: '', id, number }, options)
  } catch (error) {
    await leave()
    throw storeError(error)
  }
  return leave
}

/** Makes a first file in the directory of a lock, which whoever left last may remove at any moment until then. */
function enter(path: string, file: string): void {
  for (let attempt = 1; ; attempt += 1) {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    try {
      writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
      return
    } catch (error) {
      if (!failedWith(error, 'ENOENT') || attempt >= mostAttempts) throw error
    }
  }
}

/** The kernel removes no directory that holds a file, so it stays as long as anybody is in it. */
function removeEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!failedWith(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error
  }
}

/** Removes what contenders that are gone have left of a transient lock, and its directory if nobody is in it. */
export function sweepLock(path: string): void {
  try {
    for (const name of readdirSync(path)) {
      const owner = ownerIn(name)
      if (owner !== undefined && !isAlive(owner)) rmSync(join(path, name), { force: true })
    }
    removeEmpty(path)
  } catch (error) {
    // Whoever left it last was quicker.
    if (!failedWith(error, 'ENOENT')) throw error
  }
}

function contenders(path: string): Contender[] {
  const found: Contender[] = []
  for (const name of readdirSync(path)) {
    const match = /^(?:choose|take\.([0-9]+))\.(.+)$/.exec(name)
    if (match) found.push({ name, id: match[2] ?? '', number: Number(match[1] ?? 0) })
  }
  return found
}

async function waitForTurn(path: string, self: Contender, options: LockOptions): Promise<void> {
  const deadline = Date.now() + (options.timeout ?? 60_000)
  for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
    // A directory scan may miss a contender that goes from `choose` to `take` meanwhile; the next scan cannot miss it too.
    const ahead = livingAhead(path, self) ?? livingAhead(path, self)
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
function livingAhead(path: string, self: Contender): Contender | undefined {
  const ahead = contenders(path).filter((each) => each.id !== self.id && comesBefore(each, self))
  for (const each of ahead.sort((one, other) => (comesBefore(one, other) ? -1 : 1))) {
    const owner = ownerIn(each.name)
    if (owner !== undefined && isAlive(owner)) return each
    rmSync(join(path, each.name), { force: true })
  }
  return undefined
}
