import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { Blobs } from './blobs.ts'
import { failedWith, replaceFile } from './files.ts'
import { foreignHint } from './foreign.ts'
import { blobKey, type Hold, type HoldKey, Holds } from './holds.ts'
import { homeDirectory } from './home.ts'
import { bakeryLock, type FileLock, type LockOptions, type Release, sweepLock } from './lock.ts'
import { putOciForm } from './oci-form.ts'
import { isAlive, ownedName, ownerIn } from './owner.ts'
import { formatIndex, Refs } from './refs.ts'
import { Reserve } from './reserve.ts'
import { storeError } from './store-error.ts'
import { Unsynced } from './unsynced.ts'

/** What stands beside `content/` in a store; every one is on the same file system, so that `rename` works between them. */
export type StoreDirectory = 'content' | 'snapshots' | 'containers' | 'cache' | 'volumes' | 'tmp' | 'locks'

const directories: readonly StoreDirectory[] = ['content', 'snapshots', 'containers', 'cache', 'volumes', 'tmp', 'locks']

/** `$STRAKE_ROOT`, else /var/lib/strake for root, else `$XDG_DATA_HOME/strake`, else ~/.local/share/strake. Throws `store_invalid` where there is no home. */
export function defaultRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env.STRAKE_ROOT) return resolve(env.STRAKE_ROOT)
  if (process.getuid?.() === 0) return '/var/lib/strake'
  // One that is relative is to be ignored (XDG Base Directory Specification).
  const { XDG_DATA_HOME: data = '' } = env
  if (isAbsolute(data)) return join(data, 'strake')
  const home = homeDirectory(env)
  if (home !== undefined) return join(home, '.local', 'share', 'strake')
  throw new StrakeError('store_invalid', `there is no place for the store: uid ${process.getuid?.()} has no home directory`, {
    hint: 'set STRAKE_ROOT to a directory that you may write to, on ext4, xfs, btrfs or tmpfs: export STRAKE_ROOT=/var/tmp/my-strake',
  })
}

export interface StoreOptions {
  /** Default `bakeryLock`. */
  readonly lock?: FileLock
}

/**
 * Where everything is that outlives a process: images in `content/` (an OCI image layout), unpacked layers in
 * `snapshots/`, containers, build cache, volumes. Any number of processes may have one store open.
 */
export class Store {
  /** Absolute. */
  readonly root: string
  readonly blobs: Blobs
  readonly refs: Refs
  readonly holds: Holds
  readonly unsynced: Unsynced
  readonly #lock: FileLock
  readonly #reserve: Reserve

  private constructor(root: string, lock: FileLock) {
    this.root = root
    this.#lock = lock
    this.#reserve = new Reserve(join(root, 'locks', 'reserve'))
    this.holds = new Holds(join(root, 'locks'))
    this.unsynced = new Unsynced(join(root, 'locks'), join(root, 'snapshots'))
    this.blobs = new Blobs(join(root, 'content', 'blobs'), join(root, 'tmp'), {
      note: (digest) => this.holds.note(blobKey(digest)),
      made: (digest) => this.holds.noteMade(digest),
    })
    this.refs = new Refs(join(root, 'content'), join(root, 'locks', 'index'), join(root, 'tmp'), lock, {
      hold: () => this.hold(),
      has: async (digest) => await this.blobs.has(digest),
      put: async (descriptor) => await putOciForm(this.blobs, descriptor),
    })
  }

  /**
   * Opens a store, made if it is not there, and removes what processes that are gone had left half done. Rejects with
   * `store_invalid` when the place cannot be used, with `store_full` when there is no room to make it.
   */
  static async open(root: string = defaultRoot(), options: StoreOptions = {}): Promise<Store> {
    const store = new Store(resolve(root), options.lock ?? bakeryLock)
    try {
      makeDirectories(store.root)
      for (const each of directories) {
        await mkdir(store.path(each), { recursive: true, mode: 0o700 })
        // Also what only reads says what it holds, in locks/.
        accessSync(store.path(each), constants.R_OK | constants.W_OK | constants.X_OK)
      }
      store.holds.prepare()
      store.unsynced.prepare()
      await store.#makeLayout()
    } catch (cause) {
      const full = storeError(cause, `the store ${store.root}`)
      if (full !== cause || (full instanceof StrakeError && full.code === 'store_full')) throw full
      throw new StrakeError(
        'store_invalid',
        `the store ${store.root} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
        { hint: foreignHint(store.root, cause) ?? 'set STRAKE_ROOT to a directory that you may write to', cause },
      )
    }
    if (store.unsynced.hasOlder())
      await store.withLock('boot', () => store.unsynced.dropOlder(() => store.temporary('snapshots')), { isTransient: true })
    await store.sweep()
    await store.#reserve.keep()
    return store
  }

  /** Carries out what takes things away, also where the disk is full: what `work` writes has room held for it. It may be called twice. */
  async freeing<T>(work: () => Promise<T>): Promise<T> {
    return await this.#reserve.use(work)
  }

  /** A path in the store. */
  path(directory: StoreDirectory, ...names: readonly string[]): string {
    return join(this.root, directory, ...names)
  }

  /**
   * A path in `directory` that nobody else uses, known as this process's: once the process is gone, `sweep` removes what is
   * there. Nothing is made.
   */
  temporary(directory: StoreDirectory = 'tmp', suffix = ''): string {
    return this.path(directory, `.tmp.${ownedName()}${suffix && `.${suffix}`}`)
  }

  /**
   * Keeps what is stored or looked for from now on from being collected as garbage, by this process or another, until it is released:
   * for work whose result gets its name at the end.
   *
   * @example using _ = store.hold()
   */
  hold(): Hold {
    return this.holds.open()
  }

  /** Has the open holds keep these. To be awaited before one looks whether they are there. */
  async note(...keys: readonly HoldKey[]): Promise<void> {
    await this.holds.note(...keys)
  }

  /** Takes the lock of this name, which all processes of the store share; it is free again when its holder ends. */
  async lock(name: string, options?: LockOptions): Promise<Release> {
    return await this.#lock(this.path('locks', name), options)
  }

  /** Runs `work` while holding a lock. */
  async withLock<T>(name: string, work: () => Promise<T>, options?: LockOptions): Promise<T> {
    const release = await this.lock(name, options)
    try {
      return await work()
    } finally {
      await release()
    }
  }

  /**
   * Removes what processes that are gone left in `tmp/` and, unfinished, in `snapshots/` and `cache/`, and their locks. Resolves to the paths that could not
   * be removed: trees with files of an ordinary user's sub-ids, which only an agent in that user namespace may delete.
   */
  async sweep(): Promise<string[]> {
    const stubborn: string[] = []
    // One of many of a kind has a dash in its name.
    for (const each of await readdir(this.path('locks'), { withFileTypes: true }))
      if (each.isDirectory() && each.name.includes('-')) sweepLock(this.path('locks', each.name))
    for (const directory of ['tmp', 'snapshots', 'cache', join('locks', 'holds'), join('locks', 'doomed')]) {
      for (const name of await readdir(join(this.root, directory))) {
        const owner = ownerIn(name)
        if (owner === undefined || isAlive(owner)) continue
        const path = join(this.root, directory, name)
        await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
          if (!failedWith(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw error
          stubborn.push(path)
        })
      }
    }
    return stubborn
  }

  async #makeLayout(): Promise<void> {
    await mkdir(this.path('content', 'blobs', 'sha256'), { recursive: true, mode: 0o700 })
    await makeOnce(this.path('content', 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}', this.temporary())
    if (await exists(this.path('content', 'index.json'))) return
    await this.withLock('index', () => makeOnce(this.path('content', 'index.json'), formatIndex({ manifests: [] }), this.temporary()))
  }
}

/** As `mkdir -p`. (That of Node 20 never ends where a file system answers ENOENT for what is directly below a directory: /proc.) */
function makeDirectories(path: string): void {
  const above = dirname(path)
  if (above !== path && !existsSync(above)) makeDirectories(above)
  try {
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (!failedWith(error, 'EEXIST')) throw error
  }
}

async function makeOnce(path: string, content: string, temporary: string): Promise<void> {
  if (await exists(path)) return
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await replaceFile(path, content, temporary)
}

async function exists(path: string): Promise<boolean> {
  try {
    await (await open(path, 'r')).close()
    return true
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}
