import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import { type Digest, hexOf } from './digest.ts'
import { failedWith } from './files.ts'
import { isAlive, type Owner, ownedName, ownerIn } from './owner.ts'
import { storeError } from './store-error.ts'

/**
 * A thing of the store that may be held: a blob, a snapshot by the hex digits of its chainID, an image by its manifest (that a container runs), a cache of
 * commands by its name. A snapshot may be held before it is there; `mounted` is said beside it once it was seen to be.
 */
export type HoldKey = `blob:${Digest}` | `snapshot:${string}` | `mounted:${string}` | `image:${Digest}` | `mount:${string}`

export function blobKey(digest: Digest): HoldKey {
  return `blob:${digest}`
}

export function snapshotKey(chainId: Digest): HoldKey {
  return `snapshot:${hexOf(chainId)}`
}

export function mountedKey(chainId: Digest): HoldKey {
  return `mounted:${hexOf(chainId)}`
}

/** Milliseconds that what was stored outside of any hold is kept for: the time between a blob and the manifest that names it. */
const lingering = 600_000
const longestWait = 60_000
const pause = 5

/**
 * Keeps things of the store from being collected as garbage by whatever process, until it is released or this process ends. A file of one
 * key a line, whose name has the process's owner in it. It protects nothing from `remove` of an image: that is what garbage is made by.
 */
export class Hold implements Disposable {
  readonly #directory: string
  readonly #path: string
  readonly #wait: (keys: readonly HoldKey[]) => Promise<void>
  readonly #onRelease: (hold: Hold) => void
  #kept = new Map<HoldKey, Promise<void>>()
  #isReleased = false
  /** Blobs that were published while it was open. */
  readonly made = new Set<Digest>()

  constructor(directory: string, wait: (keys: readonly HoldKey[]) => Promise<void>, onRelease: (hold: Hold) => void) {
    this.#directory = directory
    this.#path = join(directory, ownedName())
    this.#wait = wait
    this.#onRelease = onRelease
  }

  /**
   * Announces that these are needed, then waits while a collector is removing any of them. Whether they are there is to be asked
   * afterwards. Rejects with `store_busy` when that takes longer than a minute, with `store_full` where there is no room to say so.
   */
  async keep(...keys: readonly HoldKey[]): Promise<void> {
    const fresh = keys.filter((key) => !this.#kept.has(key))
    if (fresh.length > 0 && !this.#isReleased) {
      // Synchronous: two system calls that do not wait for a disk, where the way through the thread pool costs more.
      try {
        appendFileSync(this.#path, fresh.map((key) => `${key}\n`).join(''), { mode: 0o600 })
      } catch (error) {
        throw storeError(error)
      }
      const waited = this.#wait(fresh)
      waited.catch(() => {
        for (const key of fresh) this.#kept.delete(key)
      })
      for (const key of fresh) this.#kept.set(key, waited)
    }
    await Promise.all(keys.map((key) => this.#kept.get(key)))
  }

  /** Lets go of all but these, which are held already. */
  replace(keys: Iterable<HoldKey>): void {
    if (this.#isReleased) return
    const kept = new Map<HoldKey, Promise<void>>()
    for (const key of keys) kept.set(key, this.#kept.get(key) ?? Promise.resolve())
    this.#kept = kept
    if (kept.size === 0) {
      rmSync(this.#path, { force: true })
      return
    }
    const temporary = join(this.#directory, `${ownedName()}.new`)
    try {
      writeFileSync(temporary, [...kept.keys()].map((key) => `${key}\n`).join(''), { mode: 0o600 })
      renameSync(temporary, this.#path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw storeError(error)
    }
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#onRelease(this)
    // It ends what has failed already, perhaps: where the store has become read-only. With this process its file counts for nothing.
    try {
      rmSync(this.#path, { force: true })
    } catch {}
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/**
 * What is in use in a store, and what is about to be removed: docs/decisions/0008. Both sides announce first and look afterwards (Dekker's
 * algorithm, with files for flags), so that at least one of a user and a collector who meet sees the other.
 */
export class Holds {
  readonly #directory: string
  readonly #doomed: string
  readonly #following = new Set<Hold>()
  #strays: { readonly hold: Hold; readonly timer: NodeJS.Timeout } | undefined

  constructor(locks: string) {
    this.#directory = join(locks, 'holds')
    this.#doomed = join(locks, 'doomed')
  }

  prepare(): void {
    for (const each of [this.#directory, this.#doomed]) mkdirSync(each, { recursive: true, mode: 0o700 })
  }

  /** Holds whatever is stored or looked for in the store by this thread until it is released. For the time of one pull, load, build. */
  open(): Hold {
    const hold = this.openFor()
    this.#following.add(hold)
    return hold
  }

  /** Holds what it is told to. */
  openFor(): Hold {
    return new Hold(
      this.#directory,
      (keys) => this.#waitFor(keys),
      (hold) => this.#following.delete(hold),
    )
  }

  /** Has every open hold keep these; where there is none they are kept for ten minutes. */
  async note(...keys: readonly HoldKey[]): Promise<void> {
    await Promise.all(this.#current().map((hold) => hold.keep(...keys)))
  }

  noteMade(digest: Digest): void {
    for (const hold of this.#following) hold.made.add(digest)
  }

  #current(): Hold[] {
    if (this.#following.size > 0) return [...this.#following]
    const hold = this.#strays?.hold ?? this.openFor()
    clearTimeout(this.#strays?.timer)
    const timer = setTimeout(() => {
      this.#strays = undefined
      hold.release()
    }, lingering)
    timer.unref()
    this.#strays = { hold, timer }
    return [hold]
  }

  /** What the living hold, each key with those who hold it. */
  held(): Map<HoldKey, Set<Owner>> {
    const held = new Map<HoldKey, Set<Owner>>()
    for (const { owner, keys } of entriesIn(this.#directory)) {
      for (const key of keys) held.set(key, (held.get(key) ?? new Set()).add(owner))
    }
    return held
  }

  /**
   * The collector's side, one at a time: announces `candidates`, has `confirm` look again at what is needed, removes what is still not. `confirm`
   * must ask `held()` before it reads the names: a name that was given before a hold was released is then seen.
   */
  async remove(
    candidates: readonly HoldKey[],
    confirm: () => Promise<ReadonlySet<HoldKey>>,
    remove: (keys: readonly HoldKey[]) => Promise<void>,
  ): Promise<void> {
    if (candidates.length === 0) return
    const file = join(this.#doomed, ownedName())
    const temporary = `${file}.new`
    try {
      // The temporary's name counts as well: whoever sees a part of it sees too few, and the whole has its name before anybody is asked.
      writeFileSync(temporary, candidates.map((key) => `${key}\n`).join(''), { mode: 0o600 })
      renameSync(temporary, file)
      const needed = await confirm()
      await remove(candidates.filter((key) => !needed.has(key)))
    } catch (error) {
      throw storeError(error)
    } finally {
      for (const each of [temporary, file]) rmSync(each, { force: true })
    }
  }

  async #waitFor(keys: readonly HoldKey[]): Promise<void> {
    const deadline = Date.now() + longestWait
    for (;;) {
      const holder = this.#doomedBy(keys)
      if (holder === undefined) return
      if (Date.now() > deadline)
        throw new StrakeError('store_busy', `process ${holder.split('-')[0]} is removing what is needed from the store`, {
          details: { holder },
        })
      await sleep(pause)
    }
  }

  #doomedBy(keys: readonly HoldKey[]): Owner | undefined {
    if (readdirSync(this.#doomed).length === 0) return undefined
    return entriesIn(this.#doomed).find((entry) => keys.some((key) => entry.keys.has(key)))?.owner
  }
}

/** The files of living processes. */
function entriesIn(directory: string): { readonly owner: Owner; readonly keys: ReadonlySet<HoldKey> }[] {
  return readdirSync(directory).flatMap((name) => {
    const owner = ownerIn(name)
    if (owner === undefined || !isAlive(owner)) return []
    try {
      // A last line that is not whole is of one who has not finished announcing, and will look at us afterwards.
      return [{ owner, keys: new Set(readFileSync(join(directory, name), 'latin1').split('\n').slice(0, -1) as HoldKey[]) }]
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return []
      throw error
    }
  })
}
